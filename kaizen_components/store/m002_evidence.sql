-- The tables that schema 2 added. A step that planes have gone through: it never changes.

CREATE TABLE agentgateway_events (
  "id" TEXT PRIMARY KEY,
  "event_type" TEXT,
  "status" TEXT,
  "summary" TEXT,
  "body" TEXT,
  "payload_json" TEXT,
  "task_id" TEXT,
  "writer_role" TEXT,
  "is_test" INTEGER NOT NULL,
  "created_at" TEXT NOT NULL,
  "updated_at" TEXT NOT NULL,
  "source_command" TEXT NOT NULL,
  "retired_reason" TEXT,
  "personal_data_json" TEXT,
  "content_hash" TEXT NOT NULL,
  "current_revision_id" TEXT NOT NULL,
  "created_seq" INTEGER NOT NULL,
  "updated_seq" INTEGER NOT NULL,
  "is_open" INTEGER NOT NULL
);
CREATE INDEX agentgateway_events_created ON agentgateway_events (created_seq);
CREATE INDEX agentgateway_events_open ON agentgateway_events (is_open, created_seq);
CREATE INDEX agentgateway_events_test ON agentgateway_events (is_test) WHERE is_test = 1;
CREATE INDEX agentgateway_events_event_type ON agentgateway_events ("event_type", created_seq);
CREATE INDEX agentgateway_events_task_id ON agentgateway_events ("task_id", created_seq);

CREATE TABLE db_settings (
  "id" TEXT PRIMARY KEY,
  "name" TEXT,
  "value" TEXT,
  "status" TEXT,
  "writer_role" TEXT,
  "is_test" INTEGER NOT NULL,
  "created_at" TEXT NOT NULL,
  "updated_at" TEXT NOT NULL,
  "source_command" TEXT NOT NULL,
  "retired_reason" TEXT,
  "personal_data_json" TEXT,
  "content_hash" TEXT NOT NULL,
  "current_revision_id" TEXT NOT NULL,
  "created_seq" INTEGER NOT NULL,
  "updated_seq" INTEGER NOT NULL,
  "is_open" INTEGER NOT NULL
);
CREATE INDEX db_settings_created ON db_settings (created_seq);
CREATE INDEX db_settings_open ON db_settings (is_open, created_seq);
CREATE INDEX db_settings_test ON db_settings (is_test) WHERE is_test = 1;
CREATE INDEX db_settings_name ON db_settings ("name", created_seq);

CREATE TABLE evidence_blocks (
  "id" TEXT PRIMARY KEY,
  "document_id" TEXT,
  "block_index" INTEGER,
  "block_type" TEXT,
  "text" TEXT,
  "tail" TEXT,
  "start_index" INTEGER,
  "end_index" INTEGER,
  "heading" TEXT,
  "page" INTEGER,
  "extraction_method" TEXT,
  "extraction_confidence" REAL,
  "status" TEXT,
  "writer_role" TEXT,
  "is_test" INTEGER NOT NULL,
  "created_at" TEXT NOT NULL,
  "updated_at" TEXT NOT NULL,
  "source_command" TEXT NOT NULL,
  "retired_reason" TEXT,
  "personal_data_json" TEXT,
  "content_hash" TEXT NOT NULL,
  "current_revision_id" TEXT NOT NULL,
  "created_seq" INTEGER NOT NULL,
  "updated_seq" INTEGER NOT NULL,
  "is_open" INTEGER NOT NULL
);
CREATE INDEX evidence_blocks_created ON evidence_blocks (created_seq);
CREATE INDEX evidence_blocks_test ON evidence_blocks (is_test) WHERE is_test = 1;
CREATE INDEX evidence_blocks_document_id ON evidence_blocks ("document_id", created_seq);

CREATE TABLE evidence_chunks (
  "id" TEXT PRIMARY KEY,
  "text" TEXT,
  "chunk_index" INTEGER,
  "chunker" TEXT,
  "document_id" TEXT,
  "source_lock_id" TEXT,
  "start_index" INTEGER,
  "end_index" INTEGER,
  "token_count" INTEGER,
  "context" TEXT,
  "backend" TEXT,
  "neighbor_prev_id" TEXT,
  "neighbor_next_id" TEXT,
  "page" INTEGER,
  "status" TEXT,
  "writer_role" TEXT,
  "is_test" INTEGER NOT NULL,
  "created_at" TEXT NOT NULL,
  "updated_at" TEXT NOT NULL,
  "source_command" TEXT NOT NULL,
  "retired_reason" TEXT,
  "personal_data_json" TEXT,
  "content_hash" TEXT NOT NULL,
  "current_revision_id" TEXT NOT NULL,
  "created_seq" INTEGER NOT NULL,
  "updated_seq" INTEGER NOT NULL,
  "is_open" INTEGER NOT NULL
);
CREATE INDEX evidence_chunks_created ON evidence_chunks (created_seq);
CREATE INDEX evidence_chunks_test ON evidence_chunks (is_test) WHERE is_test = 1;
CREATE INDEX evidence_chunks_document_id ON evidence_chunks ("document_id", created_seq);

CREATE TABLE evidence_documents (
  "id" TEXT PRIMARY KEY,
  "origin_kind" TEXT,
  "origin_ref" TEXT,
  "backend" TEXT,
  "summary" TEXT,
  "source_lock_id" TEXT,
  "task_id" TEXT,
  "media_type" TEXT,
  "backend_version" TEXT,
  "extraction_method" TEXT,
  "extraction_confidence" REAL,
  "block_count" INTEGER,
  "chunk_count" INTEGER,
  "title" TEXT,
  "sha256" TEXT,
  "text_sha256" TEXT,
  "text_length" INTEGER,
  "masked_json" TEXT,
  "chunker" TEXT,
  "checked_at" TEXT,
  "status" TEXT,
  "writer_role" TEXT,
  "is_test" INTEGER NOT NULL,
  "created_at" TEXT NOT NULL,
  "updated_at" TEXT NOT NULL,
  "source_command" TEXT NOT NULL,
  "retired_reason" TEXT,
  "personal_data_json" TEXT,
  "content_hash" TEXT NOT NULL,
  "current_revision_id" TEXT NOT NULL,
  "created_seq" INTEGER NOT NULL,
  "updated_seq" INTEGER NOT NULL,
  "is_open" INTEGER NOT NULL
);
CREATE INDEX evidence_documents_created ON evidence_documents (created_seq);
CREATE INDEX evidence_documents_open ON evidence_documents (is_open, created_seq);
CREATE INDEX evidence_documents_test ON evidence_documents (is_test) WHERE is_test = 1;
CREATE INDEX evidence_documents_origin_ref ON evidence_documents ("origin_ref", created_seq);
CREATE INDEX evidence_documents_source_lock_id ON evidence_documents ("source_lock_id", created_seq);
CREATE INDEX evidence_documents_task_id ON evidence_documents ("task_id", created_seq);
CREATE INDEX evidence_documents_sha256 ON evidence_documents ("sha256", created_seq);

CREATE TABLE generative_run_routes (
  "id" TEXT PRIMARY KEY,
  "run_id" TEXT,
  "route" TEXT,
  "runtime_profile" TEXT,
  "mcp_candidate" TEXT,
  "mcp_version" TEXT,
  "ab_pair_id" TEXT,
  "payload_json" TEXT,
  "status" TEXT,
  "writer_role" TEXT,
  "is_test" INTEGER NOT NULL,
  "created_at" TEXT NOT NULL,
  "updated_at" TEXT NOT NULL,
  "source_command" TEXT NOT NULL,
  "retired_reason" TEXT,
  "personal_data_json" TEXT,
  "content_hash" TEXT NOT NULL,
  "current_revision_id" TEXT NOT NULL,
  "created_seq" INTEGER NOT NULL,
  "updated_seq" INTEGER NOT NULL,
  "is_open" INTEGER NOT NULL
);
CREATE INDEX generative_run_routes_created ON generative_run_routes (created_seq);
CREATE INDEX generative_run_routes_open ON generative_run_routes (is_open, created_seq);
CREATE INDEX generative_run_routes_test ON generative_run_routes (is_test) WHERE is_test = 1;
CREATE INDEX generative_run_routes_run_id ON generative_run_routes ("run_id", created_seq);
CREATE INDEX generative_run_routes_ab_pair_id ON generative_run_routes ("ab_pair_id", created_seq);

CREATE TABLE generative_runs (
  "id" TEXT PRIMARY KEY,
  "backend" TEXT,
  "template" TEXT,
  "workflow_hash" TEXT,
  "status" TEXT,
  "summary" TEXT,
  "task_id" TEXT,
  "endpoint" TEXT,
  "workflow_artifact_id" TEXT,
  "seed" TEXT,
  "models_json" TEXT,
  "prompt_id" TEXT,
  "output_artifact_ids_json" TEXT,
  "output_dir" TEXT,
  "latency_ms" INTEGER,
  "dry_run" INTEGER,
  "error" TEXT,
  "replay_of" TEXT,
  "inputs_json" TEXT,
  "outputs_json" TEXT,
  "writer_role" TEXT,
  "is_test" INTEGER NOT NULL,
  "created_at" TEXT NOT NULL,
  "updated_at" TEXT NOT NULL,
  "source_command" TEXT NOT NULL,
  "retired_reason" TEXT,
  "personal_data_json" TEXT,
  "content_hash" TEXT NOT NULL,
  "current_revision_id" TEXT NOT NULL,
  "created_seq" INTEGER NOT NULL,
  "updated_seq" INTEGER NOT NULL,
  "is_open" INTEGER NOT NULL
);
CREATE INDEX generative_runs_created ON generative_runs (created_seq);
CREATE INDEX generative_runs_open ON generative_runs (is_open, created_seq);
CREATE INDEX generative_runs_test ON generative_runs (is_test) WHERE is_test = 1;
CREATE INDEX generative_runs_template ON generative_runs ("template", created_seq);
CREATE INDEX generative_runs_workflow_hash ON generative_runs ("workflow_hash", created_seq);
CREATE INDEX generative_runs_task_id ON generative_runs ("task_id", created_seq);
CREATE INDEX generative_runs_replay_of ON generative_runs ("replay_of", created_seq);

CREATE TABLE improvement_proposals (
  "id" TEXT PRIMARY KEY,
  "contract" TEXT,
  "title" TEXT,
  "summary" TEXT,
  "body" TEXT,
  "metric" TEXT,
  "baseline_score" REAL,
  "candidate_score" REAL,
  "payload_json" TEXT,
  "status" TEXT,
  "writer_role" TEXT,
  "is_test" INTEGER NOT NULL,
  "created_at" TEXT NOT NULL,
  "updated_at" TEXT NOT NULL,
  "source_command" TEXT NOT NULL,
  "retired_reason" TEXT,
  "personal_data_json" TEXT,
  "content_hash" TEXT NOT NULL,
  "current_revision_id" TEXT NOT NULL,
  "created_seq" INTEGER NOT NULL,
  "updated_seq" INTEGER NOT NULL,
  "is_open" INTEGER NOT NULL
);
CREATE INDEX improvement_proposals_created ON improvement_proposals (created_seq);
CREATE INDEX improvement_proposals_open ON improvement_proposals (is_open, created_seq);
CREATE INDEX improvement_proposals_test ON improvement_proposals (is_test) WHERE is_test = 1;
CREATE INDEX improvement_proposals_contract ON improvement_proposals ("contract", created_seq);

CREATE TABLE pii_scan (
  "id" TEXT PRIMARY KEY,
  "regex_hit_count" INTEGER,
  "model_hit_count" INTEGER,
  "summary" TEXT,
  "task_id" TEXT,
  "trace_id" TEXT,
  "source_ref" TEXT,
  "hits_json" TEXT,
  "model" TEXT,
  "provider" TEXT,
  "status" TEXT,
  "writer_role" TEXT,
  "is_test" INTEGER NOT NULL,
  "created_at" TEXT NOT NULL,
  "updated_at" TEXT NOT NULL,
  "source_command" TEXT NOT NULL,
  "retired_reason" TEXT,
  "personal_data_json" TEXT,
  "content_hash" TEXT NOT NULL,
  "current_revision_id" TEXT NOT NULL,
  "created_seq" INTEGER NOT NULL,
  "updated_seq" INTEGER NOT NULL,
  "is_open" INTEGER NOT NULL
);
CREATE INDEX pii_scan_created ON pii_scan (created_seq);
CREATE INDEX pii_scan_open ON pii_scan (is_open, created_seq);
CREATE INDEX pii_scan_test ON pii_scan (is_test) WHERE is_test = 1;
CREATE INDEX pii_scan_task_id ON pii_scan ("task_id", created_seq);
CREATE INDEX pii_scan_trace_id ON pii_scan ("trace_id", created_seq);

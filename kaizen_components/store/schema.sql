-- Generated from the record kinds by support_scripts/generate.py. Do not edit.

CREATE TABLE ledger (
  seq INTEGER PRIMARY KEY,
  entry_id TEXT NOT NULL,
  time TEXT NOT NULL,
  op TEXT NOT NULL,
  action TEXT NOT NULL,
  kind TEXT NOT NULL,
  kind_version INTEGER NOT NULL,
  record_id TEXT NOT NULL,
  task_id TEXT,
  agent TEXT,
  session TEXT,
  writer_role TEXT NOT NULL,
  idempotency_key TEXT,
  request_hash TEXT,
  content TEXT,
  content_hash TEXT NOT NULL,
  leaf_hash TEXT NOT NULL,
  chain_hash TEXT NOT NULL
);
CREATE UNIQUE INDEX ledger_entry_id ON ledger (entry_id);
CREATE INDEX ledger_record_id ON ledger (record_id, seq);
CREATE INDEX ledger_task_id ON ledger (task_id, seq) WHERE task_id IS NOT NULL;
CREATE INDEX ledger_time ON ledger (time);
CREATE UNIQUE INDEX ledger_idempotency_key ON ledger (idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE TABLE counters (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
);

CREATE TABLE agent_events (
  "id" TEXT PRIMARY KEY,
  "run_id" TEXT,
  "number" INTEGER,
  "type" TEXT,
  "data_json" TEXT,
  "tool_call_id" TEXT,
  "masked" INTEGER,
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
CREATE INDEX agent_events_created ON agent_events (created_seq);
CREATE INDEX agent_events_test ON agent_events (is_test) WHERE is_test = 1;
CREATE INDEX agent_events_run_id ON agent_events ("run_id", created_seq);

CREATE TABLE agent_executions (
  "id" TEXT PRIMARY KEY,
  "agent" TEXT,
  "timestamp" TEXT,
  "success" INTEGER,
  "execution_time_s" REAL,
  "quality_score" REAL,
  "primary_metric_json" TEXT,
  "session_id" TEXT,
  "metadata_json" TEXT,
  "helix_session_uid" TEXT,
  "repo" TEXT,
  "flavor" TEXT,
  "tokens" INTEGER,
  "infra_overhead_share" REAL,
  "fingerprint" TEXT,
  "origin" TEXT,
  "task_id" TEXT,
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
CREATE INDEX agent_executions_created ON agent_executions (created_seq);
CREATE INDEX agent_executions_test ON agent_executions (is_test) WHERE is_test = 1;
CREATE INDEX agent_executions_agent ON agent_executions ("agent", created_seq);
CREATE INDEX agent_executions_timestamp ON agent_executions ("timestamp", created_seq);
CREATE INDEX agent_executions_session_id ON agent_executions ("session_id", created_seq);
CREATE INDEX agent_executions_helix_session_uid ON agent_executions ("helix_session_uid", created_seq);
CREATE INDEX agent_executions_fingerprint ON agent_executions ("fingerprint", created_seq);
CREATE INDEX agent_executions_task_id ON agent_executions ("task_id", created_seq);
CREATE INDEX agent_executions_series ON agent_executions ("agent", "timestamp", "created_seq", "success", "quality_score", "execution_time_s");

CREATE TABLE agent_memories (
  "id" TEXT PRIMARY KEY,
  "agent" TEXT,
  "text" TEXT,
  "text_sha256" TEXT,
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
CREATE INDEX agent_memories_created ON agent_memories (created_seq);
CREATE INDEX agent_memories_test ON agent_memories (is_test) WHERE is_test = 1;
CREATE INDEX agent_memories_agent ON agent_memories ("agent", created_seq);

CREATE TABLE agent_runs (
  "id" TEXT PRIMARY KEY,
  "summary" TEXT,
  "task_id" TEXT,
  "parent_run_id" TEXT,
  "agent_type" TEXT,
  "model" TEXT,
  "runner" TEXT,
  "mode" TEXT,
  "max_calls" INTEGER,
  "max_cycles" INTEGER,
  "max_tool_ms" INTEGER,
  "max_wall_ms" INTEGER,
  "max_cost_usd" REAL,
  "status" TEXT,
  "calls" INTEGER,
  "tool_ms" INTEGER,
  "cycles" INTEGER,
  "cost_usd" REAL,
  "events" INTEGER,
  "interrupt" TEXT,
  "interrupt_reason" TEXT,
  "reason" TEXT,
  "proof_ids_json" TEXT,
  "checkpoint_id" TEXT,
  "resumed_from" TEXT,
  "resumed_how" TEXT,
  "allowed_prompts_json" TEXT,
  "mode_before_plan" TEXT,
  "started_at" TEXT,
  "ended_at" TEXT,
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
CREATE INDEX agent_runs_created ON agent_runs (created_seq);
CREATE INDEX agent_runs_test ON agent_runs (is_test) WHERE is_test = 1;
CREATE INDEX agent_runs_task_id ON agent_runs ("task_id", created_seq);
CREATE INDEX agent_runs_parent_run_id ON agent_runs ("parent_run_id", created_seq);
CREATE INDEX agent_runs_status ON agent_runs ("status", created_seq);
CREATE INDEX agent_runs_resumed_from ON agent_runs ("resumed_from", created_seq);

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

CREATE TABLE anti_patterns (
  "id" TEXT PRIMARY KEY,
  "title" TEXT,
  "symptom" TEXT,
  "maintainability_harm" TEXT,
  "trigger_evidence" TEXT,
  "preferred_correction" TEXT,
  "valid_exceptions" TEXT,
  "verification" TEXT,
  "summary" TEXT,
  "scope" TEXT,
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
CREATE INDEX anti_patterns_created ON anti_patterns (created_seq);
CREATE INDEX anti_patterns_open ON anti_patterns (is_open, created_seq);
CREATE INDEX anti_patterns_test ON anti_patterns (is_test) WHERE is_test = 1;

CREATE TABLE approvals (
  "id" TEXT PRIMARY KEY,
  "call_id" TEXT,
  "tool" TEXT,
  "arguments_sha256" TEXT,
  "run_id" TEXT,
  "reason" TEXT,
  "expires_at" TEXT,
  "used_by" TEXT,
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
CREATE INDEX approvals_created ON approvals (created_seq);
CREATE INDEX approvals_test ON approvals (is_test) WHERE is_test = 1;
CREATE INDEX approvals_arguments_sha256 ON approvals ("arguments_sha256", created_seq);

CREATE TABLE artifacts (
  "id" TEXT PRIMARY KEY,
  "path" TEXT,
  "kind" TEXT,
  "summary" TEXT,
  "body" TEXT,
  "task_id" TEXT,
  "sha256" TEXT,
  "bytes" INTEGER,
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
CREATE INDEX artifacts_created ON artifacts (created_seq);
CREATE INDEX artifacts_open ON artifacts (is_open, created_seq);
CREATE INDEX artifacts_test ON artifacts (is_test) WHERE is_test = 1;
CREATE INDEX artifacts_path ON artifacts ("path", created_seq);
CREATE INDEX artifacts_task_id ON artifacts ("task_id", created_seq);

CREATE TABLE checkpoints (
  "id" TEXT PRIMARY KEY,
  "run_id" TEXT,
  "number" INTEGER,
  "name" TEXT,
  "event_number" INTEGER,
  "state_json" TEXT,
  "todos_json" TEXT,
  "totals_json" TEXT,
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
CREATE INDEX checkpoints_created ON checkpoints (created_seq);
CREATE INDEX checkpoints_test ON checkpoints (is_test) WHERE is_test = 1;
CREATE INDEX checkpoints_run_id ON checkpoints ("run_id", created_seq);

CREATE TABLE criteria (
  "id" TEXT PRIMARY KEY,
  "summary" TEXT,
  "status" TEXT,
  "task_id" TEXT,
  "plan_id" TEXT,
  "proof_ids_json" TEXT,
  "waiver_reason" TEXT,
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
CREATE INDEX criteria_created ON criteria (created_seq);
CREATE INDEX criteria_open ON criteria (is_open, created_seq);
CREATE INDEX criteria_test ON criteria (is_test) WHERE is_test = 1;
CREATE INDEX criteria_task_id ON criteria ("task_id", created_seq);
CREATE INDEX criteria_plan_id ON criteria ("plan_id", created_seq);

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

CREATE TABLE diagnostic_packets (
  "id" TEXT PRIMARY KEY,
  "summary" TEXT,
  "title" TEXT,
  "body" TEXT,
  "payload_json" TEXT,
  "payload_sha256" TEXT,
  "packet_type" TEXT,
  "task_id" TEXT,
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
CREATE INDEX diagnostic_packets_created ON diagnostic_packets (created_seq);
CREATE INDEX diagnostic_packets_open ON diagnostic_packets (is_open, created_seq);
CREATE INDEX diagnostic_packets_test ON diagnostic_packets (is_test) WHERE is_test = 1;
CREATE INDEX diagnostic_packets_task_id ON diagnostic_packets ("task_id", created_seq);

CREATE TABLE eval_cases (
  "id" TEXT PRIMARY KEY,
  "title" TEXT,
  "summary" TEXT,
  "body" TEXT,
  "category" TEXT,
  "scope" TEXT,
  "status" TEXT,
  "fixture_path" TEXT,
  "expected_json" TEXT,
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
CREATE INDEX eval_cases_created ON eval_cases (created_seq);
CREATE INDEX eval_cases_open ON eval_cases (is_open, created_seq);
CREATE INDEX eval_cases_test ON eval_cases (is_test) WHERE is_test = 1;

CREATE TABLE eval_runs (
  "id" TEXT PRIMARY KEY,
  "summary" TEXT,
  "body" TEXT,
  "eval_case_id" TEXT,
  "status" TEXT,
  "artifact_ids_json" TEXT,
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
CREATE INDEX eval_runs_created ON eval_runs (created_seq);
CREATE INDEX eval_runs_open ON eval_runs (is_open, created_seq);
CREATE INDEX eval_runs_test ON eval_runs (is_test) WHERE is_test = 1;
CREATE INDEX eval_runs_eval_case_id ON eval_runs ("eval_case_id", created_seq);

CREATE TABLE eval_scores (
  "id" TEXT PRIMARY KEY,
  "name" TEXT,
  "data_type" TEXT,
  "source" TEXT,
  "trace_event_id" TEXT,
  "eval_run_id" TEXT,
  "verification_id" TEXT,
  "comment" TEXT,
  "value_num" REAL,
  "value_label" TEXT,
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
CREATE INDEX eval_scores_created ON eval_scores (created_seq);
CREATE INDEX eval_scores_open ON eval_scores (is_open, created_seq);
CREATE INDEX eval_scores_test ON eval_scores (is_test) WHERE is_test = 1;
CREATE INDEX eval_scores_name ON eval_scores ("name", created_seq);
CREATE INDEX eval_scores_trace_event_id ON eval_scores ("trace_event_id", created_seq);
CREATE INDEX eval_scores_eval_run_id ON eval_scores ("eval_run_id", created_seq);

CREATE TABLE event_receivers (
  "id" TEXT PRIMARY KEY,
  "name" TEXT,
  "transport" TEXT,
  "target" TEXT,
  "delivered" INTEGER,
  "failures" INTEGER,
  "last_error" TEXT,
  "last_at" TEXT,
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
CREATE INDEX event_receivers_created ON event_receivers (created_seq);
CREATE INDEX event_receivers_test ON event_receivers (is_test) WHERE is_test = 1;
CREATE INDEX event_receivers_name ON event_receivers ("name", created_seq);

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

CREATE TABLE execution_contracts (
  "id" TEXT PRIMARY KEY,
  "title" TEXT,
  "summary" TEXT,
  "scope" TEXT,
  "body" TEXT,
  "allowed_paths_json" TEXT,
  "forbidden_paths_json" TEXT,
  "allowed_effects_json" TEXT,
  "forbidden_effects_json" TEXT,
  "verifier_command" TEXT,
  "stop_rule" TEXT,
  "task_id" TEXT,
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
CREATE INDEX execution_contracts_created ON execution_contracts (created_seq);
CREATE INDEX execution_contracts_open ON execution_contracts (is_open, created_seq);
CREATE INDEX execution_contracts_test ON execution_contracts (is_test) WHERE is_test = 1;
CREATE INDEX execution_contracts_task_id ON execution_contracts ("task_id", created_seq);

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

CREATE TABLE gotcha (
  "id" TEXT PRIMARY KEY,
  "title" TEXT,
  "summary" TEXT,
  "body" TEXT,
  "scope" TEXT,
  "status" TEXT,
  "writer_role" TEXT,
  "source_task_id" TEXT,
  "artifact_ids_json" TEXT,
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
CREATE INDEX gotcha_created ON gotcha (created_seq);
CREATE INDEX gotcha_open ON gotcha (is_open, created_seq);
CREATE INDEX gotcha_test ON gotcha (is_test) WHERE is_test = 1;
CREATE INDEX gotcha_source_task_id ON gotcha ("source_task_id", created_seq);

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

CREATE TABLE irl_reviews (
  "id" TEXT PRIMARY KEY,
  "summary" TEXT,
  "title" TEXT,
  "decision" TEXT,
  "body" TEXT,
  "status" TEXT,
  "review_id" TEXT,
  "event_type" TEXT,
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
CREATE INDEX irl_reviews_created ON irl_reviews (created_seq);
CREATE INDEX irl_reviews_open ON irl_reviews (is_open, created_seq);
CREATE INDEX irl_reviews_test ON irl_reviews (is_test) WHERE is_test = 1;
CREATE INDEX irl_reviews_review_id ON irl_reviews ("review_id", created_seq);

CREATE TABLE learned (
  "id" TEXT PRIMARY KEY,
  "title" TEXT,
  "summary" TEXT,
  "body" TEXT,
  "scope" TEXT,
  "status" TEXT,
  "writer_role" TEXT,
  "source_task_id" TEXT,
  "source_learning_id" TEXT,
  "artifact_ids_json" TEXT,
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
CREATE INDEX learned_created ON learned (created_seq);
CREATE INDEX learned_open ON learned (is_open, created_seq);
CREATE INDEX learned_test ON learned (is_test) WHERE is_test = 1;
CREATE INDEX learned_source_task_id ON learned ("source_task_id", created_seq);
CREATE INDEX learned_source_learning_id ON learned ("source_learning_id", created_seq);

CREATE TABLE learning (
  "id" TEXT PRIMARY KEY,
  "title" TEXT,
  "summary" TEXT,
  "body" TEXT,
  "scope" TEXT,
  "status" TEXT,
  "writer_role" TEXT,
  "source_task_id" TEXT,
  "source_gotcha_id" TEXT,
  "artifact_ids_json" TEXT,
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
CREATE INDEX learning_created ON learning (created_seq);
CREATE INDEX learning_open ON learning (is_open, created_seq);
CREATE INDEX learning_test ON learning (is_test) WHERE is_test = 1;
CREATE INDEX learning_source_task_id ON learning ("source_task_id", created_seq);
CREATE INDEX learning_source_gotcha_id ON learning ("source_gotcha_id", created_seq);

CREATE TABLE metrics_analyses (
  "id" TEXT PRIMARY KEY,
  "agent" TEXT,
  "fingerprint" TEXT,
  "executions" INTEGER,
  "agents" INTEGER,
  "insufficient" INTEGER,
  "analysis_blob" TEXT,
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
CREATE INDEX metrics_analyses_created ON metrics_analyses (created_seq);
CREATE INDEX metrics_analyses_test ON metrics_analyses (is_test) WHERE is_test = 1;
CREATE INDEX metrics_analyses_agent ON metrics_analyses ("agent", created_seq);
CREATE INDEX metrics_analyses_fingerprint ON metrics_analyses ("fingerprint", created_seq);

CREATE TABLE notes (
  "id" TEXT PRIMARY KEY,
  "summary" TEXT,
  "title" TEXT,
  "body" TEXT,
  "scope" TEXT,
  "task_id" TEXT,
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
CREATE INDEX notes_created ON notes (created_seq);
CREATE INDEX notes_open ON notes (is_open, created_seq);
CREATE INDEX notes_test ON notes (is_test) WHERE is_test = 1;
CREATE INDEX notes_task_id ON notes ("task_id", created_seq);

CREATE TABLE optimizer_calls (
  "id" TEXT PRIMARY KEY,
  "run_id" TEXT,
  "number" INTEGER,
  "purpose" TEXT,
  "request_sha256" TEXT,
  "answer_json" TEXT,
  "model" TEXT,
  "tokens" INTEGER,
  "cost_usd" REAL,
  "duration_ms" INTEGER,
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
CREATE INDEX optimizer_calls_created ON optimizer_calls (created_seq);
CREATE INDEX optimizer_calls_test ON optimizer_calls (is_test) WHERE is_test = 1;
CREATE INDEX optimizer_calls_run_id ON optimizer_calls ("run_id", created_seq);
CREATE INDEX optimizer_calls_request_sha256 ON optimizer_calls ("request_sha256", created_seq);

CREATE TABLE optimizer_candidates (
  "id" TEXT PRIMARY KEY,
  "run_id" TEXT,
  "number" INTEGER,
  "parents_json" TEXT,
  "origin" TEXT,
  "text_blob" TEXT,
  "text_bytes" INTEGER,
  "diff_blob" TEXT,
  "validation_score" REAL,
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
CREATE INDEX optimizer_candidates_created ON optimizer_candidates (created_seq);
CREATE INDEX optimizer_candidates_test ON optimizer_candidates (is_test) WHERE is_test = 1;
CREATE INDEX optimizer_candidates_run_id ON optimizer_candidates ("run_id", created_seq);
CREATE INDEX optimizer_candidates_text_blob ON optimizer_candidates ("text_blob", created_seq);

CREATE TABLE optimizer_runs (
  "id" TEXT PRIMARY KEY,
  "summary" TEXT,
  "contract" TEXT,
  "task_id" TEXT,
  "engine" TEXT,
  "plan_json" TEXT,
  "plan_sha256" TEXT,
  "cases_blob" TEXT,
  "splits_json" TEXT,
  "seed" INTEGER,
  "scorer" TEXT,
  "scorer_version" TEXT,
  "max_calls" INTEGER,
  "max_tokens" INTEGER,
  "max_cost_usd" REAL,
  "max_wall_s" REAL,
  "calls" INTEGER,
  "tokens" INTEGER,
  "cost_usd" REAL,
  "wall_s" REAL,
  "baseline_id" TEXT,
  "winner_id" TEXT,
  "result_json" TEXT,
  "verdict" TEXT,
  "proposal_id" TEXT,
  "key_sha256" TEXT,
  "request_sha256" TEXT,
  "process" TEXT,
  "reason" TEXT,
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
CREATE INDEX optimizer_runs_created ON optimizer_runs (created_seq);
CREATE INDEX optimizer_runs_test ON optimizer_runs (is_test) WHERE is_test = 1;
CREATE INDEX optimizer_runs_contract ON optimizer_runs ("contract", created_seq);
CREATE INDEX optimizer_runs_task_id ON optimizer_runs ("task_id", created_seq);
CREATE INDEX optimizer_runs_plan_sha256 ON optimizer_runs ("plan_sha256", created_seq);
CREATE INDEX optimizer_runs_key_sha256 ON optimizer_runs ("key_sha256", created_seq);
CREATE INDEX optimizer_runs_status ON optimizer_runs ("status", created_seq);

CREATE TABLE optimizer_scores (
  "id" TEXT PRIMARY KEY,
  "run_id" TEXT,
  "candidate_id" TEXT,
  "case_name" TEXT,
  "split" TEXT,
  "score" REAL,
  "feedback" TEXT,
  "output_sha256" TEXT,
  "output_blob" TEXT,
  "scorer_version" TEXT,
  "cost_usd" REAL,
  "tokens" INTEGER,
  "duration_ms" INTEGER,
  "replay_of" TEXT,
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
CREATE INDEX optimizer_scores_created ON optimizer_scores (created_seq);
CREATE INDEX optimizer_scores_test ON optimizer_scores (is_test) WHERE is_test = 1;
CREATE INDEX optimizer_scores_run_id ON optimizer_scores ("run_id", created_seq);
CREATE INDEX optimizer_scores_candidate_id ON optimizer_scores ("candidate_id", created_seq);
CREATE INDEX optimizer_scores_replay_of ON optimizer_scores ("replay_of", created_seq);

CREATE TABLE outbox_events (
  "id" TEXT PRIMARY KEY,
  "number" INTEGER,
  "type" TEXT,
  "agent" TEXT,
  "event_json" TEXT,
  "record_id" TEXT,
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
CREATE INDEX outbox_events_created ON outbox_events (created_seq);
CREATE INDEX outbox_events_test ON outbox_events (is_test) WHERE is_test = 1;
CREATE INDEX outbox_events_number ON outbox_events ("number", created_seq);
CREATE INDEX outbox_events_type ON outbox_events ("type", created_seq);
CREATE INDEX outbox_events_agent ON outbox_events ("agent", created_seq);

CREATE TABLE permission_rules (
  "id" TEXT PRIMARY KEY,
  "decision" TEXT,
  "rule" TEXT,
  "reason" TEXT,
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
CREATE INDEX permission_rules_created ON permission_rules (created_seq);
CREATE INDEX permission_rules_test ON permission_rules (is_test) WHERE is_test = 1;
CREATE INDEX permission_rules_rule ON permission_rules ("rule", created_seq);

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

CREATE TABLE plans (
  "id" TEXT PRIMARY KEY,
  "title" TEXT,
  "summary" TEXT,
  "body" TEXT,
  "status" TEXT,
  "writer_role" TEXT,
  "task_id" TEXT,
  "assumptions_json" TEXT,
  "boundaries_json" TEXT,
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
CREATE INDEX plans_created ON plans (created_seq);
CREATE INDEX plans_open ON plans (is_open, created_seq);
CREATE INDEX plans_test ON plans (is_test) WHERE is_test = 1;
CREATE INDEX plans_task_id ON plans ("task_id", created_seq);

CREATE TABLE private_policy (
  "id" TEXT PRIMARY KEY,
  "title" TEXT,
  "summary" TEXT,
  "body" TEXT,
  "trigger" TEXT,
  "priority" TEXT,
  "scope" TEXT,
  "status" TEXT,
  "writer_role" TEXT,
  "priority_rank" INTEGER,
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
CREATE INDEX private_policy_created ON private_policy (created_seq);
CREATE INDEX private_policy_open ON private_policy (is_open, priority_rank, created_seq);
CREATE INDEX private_policy_test ON private_policy (is_test) WHERE is_test = 1;
CREATE INDEX private_policy_priority_rank ON private_policy ("priority_rank", created_seq);

CREATE TABLE publications (
  "id" TEXT PRIMARY KEY,
  "analysis_id" TEXT,
  "endpoint" TEXT,
  "manifest_json" TEXT,
  "manifest_sha256" TEXT,
  "retention_class" TEXT,
  "package_id" TEXT,
  "kept_until" TEXT,
  "kept_reason" TEXT,
  "error" TEXT,
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
CREATE INDEX publications_created ON publications (created_seq);
CREATE INDEX publications_test ON publications (is_test) WHERE is_test = 1;
CREATE INDEX publications_analysis_id ON publications ("analysis_id", created_seq);
CREATE INDEX publications_manifest_sha256 ON publications ("manifest_sha256", created_seq);
CREATE INDEX publications_package_id ON publications ("package_id", created_seq);

CREATE TABLE questions (
  "id" TEXT PRIMARY KEY,
  "questions_json" TEXT,
  "answers_json" TEXT,
  "run_id" TEXT,
  "task_id" TEXT,
  "call_id" TEXT,
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
CREATE INDEX questions_created ON questions (created_seq);
CREATE INDEX questions_open ON questions (is_open, created_seq);
CREATE INDEX questions_test ON questions (is_test) WHERE is_test = 1;
CREATE INDEX questions_run_id ON questions ("run_id", created_seq);
CREATE INDEX questions_task_id ON questions ("task_id", created_seq);
CREATE INDEX questions_status ON questions ("status", created_seq);

CREATE TABLE recommendations (
  "id" TEXT PRIMARY KEY,
  "agent" TEXT,
  "analysis_id" TEXT,
  "rank" INTEGER,
  "category" TEXT,
  "text" TEXT,
  "evidence_json" TEXT,
  "fingerprint" TEXT,
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
CREATE INDEX recommendations_created ON recommendations (created_seq);
CREATE INDEX recommendations_test ON recommendations (is_test) WHERE is_test = 1;
CREATE INDEX recommendations_agent ON recommendations ("agent", created_seq);
CREATE INDEX recommendations_analysis_id ON recommendations ("analysis_id", created_seq);
CREATE INDEX recommendations_category ON recommendations ("category", created_seq);
CREATE INDEX recommendations_fingerprint ON recommendations ("fingerprint", created_seq);

CREATE TABLE reports (
  "id" TEXT PRIMARY KEY,
  "title" TEXT,
  "report_type" TEXT,
  "path" TEXT,
  "format" TEXT,
  "sha256" TEXT,
  "rows" INTEGER,
  "columns_json" TEXT,
  "window_since" TEXT,
  "window_until" TEXT,
  "query" TEXT,
  "scope" TEXT,
  "task_id" TEXT,
  "filters_json" TEXT,
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
CREATE INDEX reports_created ON reports (created_seq);
CREATE INDEX reports_open ON reports (is_open, created_seq);
CREATE INDEX reports_test ON reports (is_test) WHERE is_test = 1;
CREATE INDEX reports_report_type ON reports ("report_type", created_seq);
CREATE INDEX reports_task_id ON reports ("task_id", created_seq);

CREATE TABLE retrospectives (
  "id" TEXT PRIMARY KEY,
  "summary" TEXT,
  "title" TEXT,
  "body" TEXT,
  "kept_json" TEXT,
  "changed_json" TEXT,
  "next_priorities_json" TEXT,
  "task_id" TEXT,
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
CREATE INDEX retrospectives_created ON retrospectives (created_seq);
CREATE INDEX retrospectives_open ON retrospectives (is_open, created_seq);
CREATE INDEX retrospectives_test ON retrospectives (is_test) WHERE is_test = 1;
CREATE INDEX retrospectives_task_id ON retrospectives ("task_id", created_seq);

CREATE TABLE schema_version (
  "id" TEXT PRIMARY KEY,
  "schema_version" INTEGER,
  "migration_id" TEXT,
  "tool_version" TEXT,
  "manifest_hash" TEXT,
  "oldest_writer" INTEGER,
  "applied_at" TEXT,
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
CREATE INDEX schema_version_created ON schema_version (created_seq);
CREATE INDEX schema_version_open ON schema_version (is_open, created_seq);
CREATE INDEX schema_version_test ON schema_version (is_test) WHERE is_test = 1;

CREATE TABLE source_locks (
  "id" TEXT PRIMARY KEY,
  "source_id" TEXT,
  "authority_tier" TEXT,
  "url_or_repository" TEXT,
  "summary" TEXT,
  "body" TEXT,
  "version_or_commit" TEXT,
  "retrieved_at" TEXT,
  "content_hash" TEXT,
  "license" TEXT,
  "supersedes" TEXT,
  "status" TEXT,
  "writer_role" TEXT,
  "is_test" INTEGER NOT NULL,
  "created_at" TEXT NOT NULL,
  "updated_at" TEXT NOT NULL,
  "source_command" TEXT NOT NULL,
  "retired_reason" TEXT,
  "personal_data_json" TEXT,
  "record_hash" TEXT NOT NULL,
  "current_revision_id" TEXT NOT NULL,
  "created_seq" INTEGER NOT NULL,
  "updated_seq" INTEGER NOT NULL,
  "is_open" INTEGER NOT NULL
);
CREATE INDEX source_locks_created ON source_locks (created_seq);
CREATE INDEX source_locks_open ON source_locks (is_open, created_seq);
CREATE INDEX source_locks_test ON source_locks (is_test) WHERE is_test = 1;
CREATE INDEX source_locks_source_id ON source_locks ("source_id", created_seq);

CREATE TABLE subagent_packets (
  "id" TEXT PRIMARY KEY,
  "summary" TEXT,
  "title" TEXT,
  "body" TEXT,
  "payload_json" TEXT,
  "payload_sha256" TEXT,
  "packet_type" TEXT,
  "task_id" TEXT,
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
CREATE INDEX subagent_packets_created ON subagent_packets (created_seq);
CREATE INDEX subagent_packets_open ON subagent_packets (is_open, created_seq);
CREATE INDEX subagent_packets_test ON subagent_packets (is_test) WHERE is_test = 1;
CREATE INDEX subagent_packets_task_id ON subagent_packets ("task_id", created_seq);

CREATE TABLE tasks (
  "id" TEXT PRIMARY KEY,
  "title" TEXT,
  "summary" TEXT,
  "body" TEXT,
  "scope" TEXT,
  "status" TEXT,
  "writer_role" TEXT,
  "source_task_id" TEXT,
  "assumptions_json" TEXT,
  "boundaries_json" TEXT,
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
  "is_open" INTEGER NOT NULL,
  "entry_count" INTEGER NOT NULL
);
CREATE INDEX tasks_created ON tasks (created_seq);
CREATE INDEX tasks_open ON tasks (is_open, created_seq);
CREATE INDEX tasks_test ON tasks (is_test) WHERE is_test = 1;
CREATE INDEX tasks_source_task_id ON tasks ("source_task_id", created_seq);

CREATE TABLE todo_lists (
  "id" TEXT PRIMARY KEY,
  "todos_json" TEXT,
  "run_id" TEXT,
  "session" TEXT,
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
CREATE INDEX todo_lists_created ON todo_lists (created_seq);
CREATE INDEX todo_lists_test ON todo_lists (is_test) WHERE is_test = 1;
CREATE INDEX todo_lists_run_id ON todo_lists ("run_id", created_seq);
CREATE INDEX todo_lists_session ON todo_lists ("session", created_seq);

CREATE TABLE tool_calls (
  "id" TEXT PRIMARY KEY,
  "tool" TEXT,
  "tool_group" TEXT,
  "run_id" TEXT,
  "event_id" TEXT,
  "task_id" TEXT,
  "arguments_json" TEXT,
  "arguments_sha256" TEXT,
  "arguments_masked" INTEGER,
  "mode" TEXT,
  "decision" TEXT,
  "rule" TEXT,
  "reason" TEXT,
  "danger" TEXT,
  "approval_id" TEXT,
  "hooks_json" TEXT,
  "confinement" TEXT,
  "confinement_json" TEXT,
  "status" TEXT,
  "started_at" TEXT,
  "process" TEXT,
  "duration_ms" INTEGER,
  "error_kind" TEXT,
  "error" TEXT,
  "result_sha256" TEXT,
  "result_bytes" INTEGER,
  "result_blob" TEXT,
  "result_masked" INTEGER,
  "files_json" TEXT,
  "metadata_json" TEXT,
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
CREATE INDEX tool_calls_created ON tool_calls (created_seq);
CREATE INDEX tool_calls_test ON tool_calls (is_test) WHERE is_test = 1;
CREATE INDEX tool_calls_tool ON tool_calls ("tool", created_seq);
CREATE INDEX tool_calls_run_id ON tool_calls ("run_id", created_seq);
CREATE INDEX tool_calls_task_id ON tool_calls ("task_id", created_seq);
CREATE INDEX tool_calls_arguments_sha256 ON tool_calls ("arguments_sha256", created_seq);
CREATE INDEX tool_calls_danger ON tool_calls ("danger", created_seq);
CREATE INDEX tool_calls_status ON tool_calls ("status", created_seq);

CREATE TABLE trace_events (
  "id" TEXT PRIMARY KEY,
  "kind" TEXT,
  "summary" TEXT,
  "task_id" TEXT,
  "trace_id" TEXT,
  "parent_event_id" TEXT,
  "name" TEXT,
  "level" TEXT,
  "environment" TEXT,
  "session_id" TEXT,
  "status" TEXT,
  "status_message" TEXT,
  "model" TEXT,
  "provider" TEXT,
  "prompt_tokens" INTEGER,
  "completion_tokens" INTEGER,
  "total_tokens" INTEGER,
  "cost" REAL,
  "latency_ms" INTEGER,
  "tags_json" TEXT,
  "input_ref" TEXT,
  "output_ref" TEXT,
  "body" TEXT,
  "redaction_status" TEXT,
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
CREATE INDEX trace_events_created ON trace_events (created_seq);
CREATE INDEX trace_events_open ON trace_events (is_open, created_seq);
CREATE INDEX trace_events_test ON trace_events (is_test) WHERE is_test = 1;
CREATE INDEX trace_events_kind ON trace_events ("kind", created_seq);
CREATE INDEX trace_events_task_id ON trace_events ("task_id", created_seq);
CREATE INDEX trace_events_trace_id ON trace_events ("trace_id", created_seq);

CREATE TABLE verification_events (
  "id" TEXT PRIMARY KEY,
  "summary" TEXT,
  "title" TEXT,
  "body" TEXT,
  "task_id" TEXT,
  "proof_id" TEXT,
  "conclusion" TEXT,
  "severity" TEXT,
  "scope_label" TEXT,
  "actionability" TEXT,
  "evidence_json" TEXT,
  "findings_json" TEXT,
  "remedies_json" TEXT,
  "artifact_ids_json" TEXT,
  "basis" TEXT,
  "event_type" TEXT,
  "observation_json" TEXT,
  "exit_code" INTEGER,
  "duration_ms" INTEGER,
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
  "is_open" INTEGER NOT NULL,
  "is_blocking" INTEGER NOT NULL
);
CREATE INDEX verification_events_created ON verification_events (created_seq);
CREATE INDEX verification_events_open ON verification_events (is_open, created_seq);
CREATE INDEX verification_events_test ON verification_events (is_test) WHERE is_test = 1;
CREATE INDEX verification_events_blocking ON verification_events (created_seq) WHERE is_blocking = 1;
CREATE INDEX verification_events_added ON verification_events (created_at);
CREATE INDEX verification_events_task_id ON verification_events ("task_id", created_seq);
CREATE INDEX verification_events_proof_id ON verification_events ("proof_id", created_seq);
CREATE INDEX verification_events_conclusion ON verification_events ("conclusion", created_seq);

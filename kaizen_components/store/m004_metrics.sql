-- The tables that schema 4 added. A step that planes have gone through: it never changes.

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


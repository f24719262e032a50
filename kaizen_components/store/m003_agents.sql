-- The tables that schema 3 added. A step that planes have gone through: it never changes.

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

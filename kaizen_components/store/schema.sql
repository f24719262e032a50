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

CREATE TABLE criteria (
  "id" TEXT PRIMARY KEY,
  "status" TEXT,
  "writer_role" TEXT,
  "summary" TEXT,
  "task_id" TEXT,
  "plan_id" TEXT,
  "proof_ids_json" TEXT,
  "waiver_reason" TEXT,
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

CREATE TABLE diagnostic_packets (
  "id" TEXT PRIMARY KEY,
  "status" TEXT,
  "writer_role" TEXT,
  "summary" TEXT,
  "title" TEXT,
  "body" TEXT,
  "payload_json" TEXT,
  "payload_sha256" TEXT,
  "packet_type" TEXT,
  "task_id" TEXT,
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

CREATE TABLE gotcha (
  "id" TEXT PRIMARY KEY,
  "status" TEXT,
  "writer_role" TEXT,
  "title" TEXT,
  "summary" TEXT,
  "body" TEXT,
  "scope" TEXT,
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

CREATE TABLE plans (
  "id" TEXT PRIMARY KEY,
  "status" TEXT,
  "writer_role" TEXT,
  "title" TEXT,
  "summary" TEXT,
  "body" TEXT,
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

CREATE TABLE schema_version (
  "id" TEXT PRIMARY KEY,
  "status" TEXT,
  "writer_role" TEXT,
  "schema_version" INTEGER,
  "migration_id" TEXT,
  "tool_version" TEXT,
  "manifest_hash" TEXT,
  "oldest_writer" INTEGER,
  "applied_at" TEXT,
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

CREATE TABLE subagent_packets (
  "id" TEXT PRIMARY KEY,
  "status" TEXT,
  "writer_role" TEXT,
  "summary" TEXT,
  "title" TEXT,
  "body" TEXT,
  "payload_json" TEXT,
  "payload_sha256" TEXT,
  "packet_type" TEXT,
  "task_id" TEXT,
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
  "status" TEXT,
  "writer_role" TEXT,
  "title" TEXT,
  "summary" TEXT,
  "body" TEXT,
  "scope" TEXT,
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

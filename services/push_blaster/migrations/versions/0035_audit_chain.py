"""The audit log as a chain of hashes, whose contents can be blanked without breaking it."""

from chassis.migrations import run_sql

revision = "0035"
down_revision = "0034"


def upgrade() -> None:
    run_sql("""
ALTER TABLE audit_log
  ADD COLUMN body_hash   text,         -- SHA-256 of the body as it came
  ADD COLUMN what_hash   text,         -- SHA-256 of `what`, which may be blanked
  ADD COLUMN detail      text,         -- what changed, known with the answer; may be blanked
  ADD COLUMN detail_hash text;
CREATE TABLE audit_chain (
  no     bigint PRIMARY KEY,           -- the place in the chain, without a gap
  row_id bigint NOT NULL UNIQUE,       -- of audit_log
  hash   text NOT NULL                 -- of the hash before, and of the row's fixed columns
);
CREATE TABLE audit_checkpoints (
  no      bigint PRIMARY KEY,          -- a link whose row was pruned
  hash    text NOT NULL,
  made_at timestamptz NOT NULL
);
CREATE TABLE audit_unchained (row_id bigint PRIMARY KEY);

CREATE FUNCTION queue_for_chain() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO audit_unchained (row_id) VALUES (NEW.id);
  RETURN NULL;
END $$;
CREATE TRIGGER queue_for_chain AFTER INSERT ON audit_log
  FOR EACH ROW EXECUTE FUNCTION queue_for_chain();
INSERT INTO audit_unchained SELECT id FROM audit_log;

CREATE OR REPLACE FUNCTION keep_audit_log() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  answer CONSTANT text[] := ARRAY['status', 'answered_at', 'actor', 'role', 'detail',
                                  'detail_hash'];
  content CONSTANT text[] := ARRAY['what', 'detail'];
BEGIN
  IF TG_OP = 'UPDATE' THEN
    IF OLD.status IS NULL AND NEW.status IS NOT NULL
       AND (OLD.actor IS NULL OR NEW.actor = OLD.actor)
       AND to_jsonb(NEW) - answer = to_jsonb(OLD) - answer
       AND (OLD.role IS NULL OR NEW.role = OLD.role)
       AND NOT EXISTS (SELECT FROM audit_chain WHERE row_id = OLD.id) THEN
      RETURN NEW;
    END IF;
    IF to_jsonb(NEW) - content = to_jsonb(OLD) - content
       AND (NEW.what = OLD.what OR (NEW.what = '' AND OLD.what_hash IS NOT NULL))
       AND (NEW.detail IS NOT DISTINCT FROM OLD.detail OR NEW.detail = '')
       AND NEW IS DISTINCT FROM OLD THEN
      RETURN NEW;
    END IF;
  ELSIF TG_OP = 'DELETE' THEN
    IF OLD.at < now() - interval '365 days' THEN
      RETURN OLD;
    END IF;
  END IF;
  RAISE EXCEPTION 'audit_log is append-only: % is refused', TG_OP;
END $$;

CREATE FUNCTION keep_audit_chain() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    IF EXISTS (SELECT FROM audit_checkpoints c WHERE c.no = OLD.no AND c.hash = OLD.hash) THEN
      RETURN OLD;
    END IF;
  END IF;
  RAISE EXCEPTION 'audit_chain is append-only: % is refused', TG_OP;
END $$;
CREATE TRIGGER keep_audit_chain BEFORE UPDATE OR DELETE ON audit_chain
  FOR EACH ROW EXECUTE FUNCTION keep_audit_chain();
CREATE TRIGGER keep_audit_chain_whole BEFORE TRUNCATE ON audit_chain
  FOR EACH STATEMENT EXECUTE FUNCTION keep_audit_chain();
CREATE FUNCTION keep_audit_checkpoints() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' AND OLD.no < (SELECT max(no) FROM audit_checkpoints) THEN
    RETURN OLD;                        -- if it was not the beginning, a link is missing
  END IF;
  RAISE EXCEPTION 'audit_checkpoints is append-only: % is refused', TG_OP;
END $$;
CREATE TRIGGER keep_audit_checkpoints BEFORE UPDATE OR DELETE ON audit_checkpoints
  FOR EACH ROW EXECUTE FUNCTION keep_audit_checkpoints();
""")

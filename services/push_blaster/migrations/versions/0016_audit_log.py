"""Every request that may change something, written down before it is carried out."""

from chassis.migrations import run_sql

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    run_sql("""
CREATE TABLE audit_log (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at          timestamptz NOT NULL,
  actor       text,                 -- the name of the token; NULL before somebody has signed in
  role        text,
  method      text NOT NULL,        -- COMMAND of the command line
  path        text NOT NULL,
  endpoint    text NOT NULL,
  what        text NOT NULL,        -- query and body, without secrets, cut
  request_id  text NOT NULL,
  status      smallint,             -- of the answer, or a command's exit code; NULL: none was given
  answered_at timestamptz
);
CREATE INDEX audit_log_at ON audit_log (at);
CREATE INDEX audit_log_actor ON audit_log (actor, id);

CREATE FUNCTION keep_audit_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' THEN
    IF OLD.status IS NULL AND NEW.status IS NOT NULL
       AND (OLD.actor IS NULL OR NEW.actor = OLD.actor)
       AND to_jsonb(NEW) - ARRAY['status', 'answered_at', 'actor', 'role']
         = to_jsonb(OLD) - ARRAY['status', 'answered_at', 'actor', 'role']
       AND (OLD.role IS NULL OR NEW.role = OLD.role) THEN
      RETURN NEW;
    END IF;
  END IF;
  RAISE EXCEPTION 'audit_log is append-only: % is refused', TG_OP;
END $$;
CREATE TRIGGER keep_audit_log BEFORE UPDATE OR DELETE ON audit_log
  FOR EACH ROW EXECUTE FUNCTION keep_audit_log();
CREATE TRIGGER keep_audit_log_whole BEFORE TRUNCATE ON audit_log
  FOR EACH STATEMENT EXECUTE FUNCTION keep_audit_log();
""")

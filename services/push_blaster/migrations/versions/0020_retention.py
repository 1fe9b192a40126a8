"""The audit log may be pruned: of what is older than a year, and of nothing younger by anybody."""

from chassis.migrations import run_sql

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    run_sql("""
CREATE OR REPLACE FUNCTION keep_audit_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' THEN
    IF OLD.status IS NULL AND NEW.status IS NOT NULL
       AND (OLD.actor IS NULL OR NEW.actor = OLD.actor)
       AND to_jsonb(NEW) - ARRAY['status', 'answered_at', 'actor', 'role']
         = to_jsonb(OLD) - ARRAY['status', 'answered_at', 'actor', 'role']
       AND (OLD.role IS NULL OR NEW.role = OLD.role) THEN
      RETURN NEW;
    END IF;
  ELSIF TG_OP = 'DELETE' THEN
    IF OLD.at < now() - interval '365 days' THEN
      RETURN OLD;
    END IF;
  END IF;
  RAISE EXCEPTION 'audit_log is append-only: % is refused', TG_OP;
END $$;
""")

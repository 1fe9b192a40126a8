"""Destinations of alerts, alerts on their way, and what was true when one was raised."""

from chassis.migrations import run_sql

revision = "0046"
down_revision = "0045"


def upgrade() -> None:
    run_sql("""
-- What was true when it was raised; an older engine leaves it out.
ALTER TABLE alerts ADD COLUMN facts jsonb;
ALTER TABLE violations ADD COLUMN facts jsonb;

CREATE TABLE alert_destinations (
  id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  name            text NOT NULL,
  kind            text NOT NULL,                 -- webhook, slack, email
  address         text NOT NULL,                 -- a URL or addresses; of a setting: the host
  events          text[] NOT NULL,
  automations     text[] NOT NULL DEFAULT '{}',  -- none: those of all automations
  modes           text[] NOT NULL,
  secret          text,                          -- signs what is posted
  previous_secret text,
  previous_until  timestamptz,
  is_on           boolean NOT NULL DEFAULT true,
  since           timestamptz NOT NULL,          -- it gets what is raised from then on
  created_by      text,
  environment     text,                          -- the setting that names it, if one does
  fingerprint     text,                          -- of the URL in the setting
  seen_at         timestamptz,                   -- when an engine last had this setting
  delivered_at    timestamptz,
  failing_since   timestamptz,
  failure         text,
  given_up        integer NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX alert_destinations_name ON alert_destinations (name)
 WHERE environment IS NULL;
CREATE UNIQUE INDEX alert_destinations_environment ON alert_destinations (environment, fingerprint);

CREATE TABLE alert_deliveries (
  id             uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  destination_id uuid NOT NULL REFERENCES alert_destinations ON DELETE CASCADE,
  execution_id   text NOT NULL REFERENCES executions ON DELETE CASCADE,
  body           jsonb NOT NULL,
  raised_at      timestamptz NOT NULL,
  next_at        timestamptz NOT NULL,           -- not tried before then
  tries          integer NOT NULL DEFAULT 0,
  done_at        timestamptz,                    -- when it was taken, or given up
  failure        text,                           -- why the last try failed
  no             bigint GENERATED ALWAYS AS IDENTITY
);
CREATE INDEX alert_deliveries_due ON alert_deliveries (next_at) WHERE done_at IS NULL;
CREATE INDEX alert_deliveries_newest ON alert_deliveries (destination_id, no);
CREATE INDEX alert_deliveries_execution ON alert_deliveries (execution_id);

-- A webhook that the version before has notified lately goes on where that version ended.
INSERT INTO alert_destinations (name, kind, address, events, modes, since, environment)
SELECT setting, 'webhook', '', '{}', '{}', last.told_at - interval '30 minutes', setting
  FROM (SELECT max(told_at) AS told_at FROM alerts) last,
       (VALUES ('PUSH_ALERT_WEBHOOK_URL'), ('PUSH_ALERT_TEST_WEBHOOK_URL')) of_each (setting)
 WHERE last.told_at > now() - interval '1 day';
""")

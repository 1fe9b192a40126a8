"""The audit trail of rules and layers: what was changed, by whom, from what to what."""

from chassis.migrations import run_sql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    run_sql("""
CREATE TABLE rule_changes (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  changed_at  timestamptz NOT NULL DEFAULT now(),
  action      text NOT NULL CHECK (action IN (
                'rules_replaced', 'rule_added', 'rule_changed', 'rule_removed', 'layer_changed')),
  subject     text NOT NULL,                     -- a rule's name, or a layer's number
  set_version integer REFERENCES rule_sets,      -- the set of rules that the change made
  changed_by  text NOT NULL,
  note        text NOT NULL,
  before      jsonb,
  after       jsonb
);
""")

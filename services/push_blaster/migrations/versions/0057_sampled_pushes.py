"""The pushes of a sample of users, of which the fatigue curve is made."""

from chassis.migrations import run_sql

revision = "0057"
down_revision = "0056"


def upgrade() -> None:
    run_sql("""
-- The pushes that were planned for some users. They go after 37 days, or with their user; they stay
-- when their execution is removed.
CREATE TABLE sampled_pushes (
  user_id          uuid NOT NULL,
  execution_number bigint NOT NULL,
  position         smallint NOT NULL,
  layer_id         smallint NOT NULL,
  at               timestamptz NOT NULL,  -- the instant at which cadence counts the push
  is_sent          boolean NOT NULL,
  recent           smallint,              -- the user's pushes of the 7 days before; set a day later
  is_opened        boolean NOT NULL DEFAULT false,  -- within a day
  is_opted_out     boolean NOT NULL DEFAULT false,  -- the push led to an opt-out within a day
  PRIMARY KEY (user_id, execution_number, position)
);
CREATE INDEX sampled_pushes_at ON sampled_pushes (at);
CREATE INDEX sampled_pushes_unfinished ON sampled_pushes (at) WHERE is_sent AND recent IS NULL;

-- How often the sample was halved: 0 means that all users are in it.
CREATE TABLE user_sample (
  is_only  boolean PRIMARY KEY DEFAULT true CHECK (is_only),
  halvings smallint NOT NULL DEFAULT 0 CHECK (halvings BETWEEN 0 AND 40)
);
INSERT INTO user_sample DEFAULT VALUES;
""")

"""What pushes did: reported events, conversions, and the counters of results."""

from chassis.migrations import run_sql

revision = "0049"
down_revision = "0048"


def upgrade() -> None:
    run_sql("""
-- Events as they came, one row a request, until an engine folds them. A row fits in a page.
CREATE TABLE event_inbox (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  received_at timestamptz NOT NULL,
  numbers     bigint[] NOT NULL,             -- of executions; the arrays are of one length
  positions   smallint[] NOT NULL,
  variants    smallint[] NOT NULL,
  users       uuid[] NOT NULL,
  events      text[] NOT NULL,
  actions     text[] NOT NULL,
  ats         timestamptz[] NOT NULL
) WITH (toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0,
        autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_insert_threshold = -1);

-- Each event of a user of a push, once. A week is that of the push (result_pushes.week), so that
-- every event of a push is in one partition. The rows of a user are found through the user's
-- deliveries.
CREATE TABLE events (
  week             date NOT NULL,
  execution_number bigint NOT NULL,
  position         smallint NOT NULL,
  user_id          uuid NOT NULL,
  event            text NOT NULL,
  action           text NOT NULL DEFAULT '', -- which button, of the event `action`
  variant          smallint NOT NULL,        -- the place of the variant, from 1; 0: the push's own
  at               timestamptz NOT NULL,     -- between the send and received_at
  received_at      timestamptz NOT NULL,
  PRIMARY KEY (week, execution_number, position, user_id, event, action)
) PARTITION BY RANGE (week);
CREATE TABLE events_strays PARTITION OF events DEFAULT;

-- The first time that a user did something since the texts of a push changed: comparisons of
-- variants, and of a holdout, count each user once.
CREATE TABLE first_events (
  user_id          uuid NOT NULL,
  texts            uuid NOT NULL,            -- of automation, push and texts: adapters/engagement
  metric           text NOT NULL,            -- opened, action, converted
  execution_number bigint NOT NULL,          -- in which execution
  PRIMARY KEY (user_id, texts, metric)
);
CREATE INDEX first_events_texts ON first_events (texts);

-- The counters of a push; they outlive events, deliveries and executions.
CREATE TABLE result_counts (
  execution_number bigint NOT NULL,
  position         smallint NOT NULL,
  variant          smallint NOT NULL,        -- 0: none; -1: own holdout; -2: the global one
  sent             integer NOT NULL DEFAULT 0,
  failed           integer NOT NULL DEFAULT 0,
  delivered        integer NOT NULL DEFAULT 0,   -- users, as all that follow
  opened           integer NOT NULL DEFAULT 0,
  dismissed        integer NOT NULL DEFAULT 0,
  actions          integer NOT NULL DEFAULT 0,
  opted_out        integer NOT NULL DEFAULT 0,
  first_at_risk    integer NOT NULL DEFAULT 0,   -- sent to, and had not opened these texts before
  first_opened     integer NOT NULL DEFAULT 0,
  first_acted      integer NOT NULL DEFAULT 0,
  assigned         integer NOT NULL DEFAULT 0,   -- were offered a turn first in this push
  converted        integer NOT NULL DEFAULT 0,   -- of these, within the hours of the goal
  first_assigned   integer NOT NULL DEFAULT 0,   -- assigned, and had not converted before
  first_converted  integer NOT NULL DEFAULT 0,
  conversions      integer NOT NULL DEFAULT 0,   -- not users: one may convert several times
  value            numeric NOT NULL DEFAULT 0,   -- the sum of these conversions
  PRIMARY KEY (execution_number, position, variant)
) WITH (fillfactor = 50);

-- What users did elsewhere, as a backend reports it; a key counts once.
CREATE TABLE conversions (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  key         text NOT NULL UNIQUE,
  user_id     uuid NOT NULL,
  goal        text NOT NULL,
  value       numeric(14, 4),
  at          timestamptz NOT NULL,
  received_at timestamptz NOT NULL
);
CREATE INDEX conversions_of_goal ON conversions (goal, at);
CREATE INDEX conversions_of_user ON conversions (user_id, goal, at);
CREATE INDEX conversions_received ON conversions (received_at);
CREATE TABLE conversion_inbox (              -- those that are not attributed yet
  conversion_id bigint PRIMARY KEY REFERENCES conversions ON DELETE CASCADE
);

-- To which push of each automation a conversion counts.
CREATE TABLE attributions (
  conversion_id    bigint NOT NULL REFERENCES conversions ON DELETE CASCADE,
  automation_id    text NOT NULL,
  execution_number bigint NOT NULL,
  position         smallint NOT NULL,
  variant          smallint NOT NULL,
  user_id          uuid NOT NULL,
  PRIMARY KEY (conversion_id, automation_id)
);
CREATE INDEX attributions_of_user ON attributions (execution_number, user_id);

-- Executions with a goal whose conversions were looked for again after their end.
CREATE TABLE attributed_executions (
  execution_number bigint PRIMARY KEY,
  at               timestamptz NOT NULL
);
""")

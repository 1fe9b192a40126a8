"""Layers, rules as data, messages, the history of notifications, and reservations."""

from chassis.migrations import run_sql

revision = "0001"
down_revision = None


def upgrade() -> None:
    run_sql("""
CREATE TABLE notification_layers (
  id          smallint PRIMARY KEY,
  name        text NOT NULL UNIQUE,
  description text NOT NULL,
  is_exempt   boolean NOT NULL DEFAULT false      -- no rule holds a push on this layer back
);
INSERT INTO notification_layers (id, name, description, is_exempt) VALUES
  (1, 'Layer 1', 'Platform-wide moments', true),
  (2, 'Layer 2', 'Product and trend triggers', false),
  (3, 'Layer 3', 'Behaviour-responsive', false),
  (4, 'Test', 'Test sends', true),
  (5, 'Layer 5', 'New-user series', false);

-- Rules are replaced as a set; the newest set is in force, the others say what was judged by.
CREATE TABLE rule_sets (
  version    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE cadence_rules (
  set_version       integer NOT NULL REFERENCES rule_sets,
  position          smallint NOT NULL,            -- order of precedence
  name              text NOT NULL,
  description       text NOT NULL,
  applies_to_layers smallint[] NOT NULL,
  counted_layers    smallint[] NOT NULL,
  window_hours      double precision NOT NULL CHECK (window_hours > 0),
  max_count         integer NOT NULL CHECK (max_count > 0),
  is_active         boolean NOT NULL,
  PRIMARY KEY (set_version, name),
  UNIQUE (set_version, position)
);
INSERT INTO rule_sets DEFAULT VALUES;
INSERT INTO cadence_rules VALUES
  (1, 1, 'layer_3_cooldown_hours', 'A pause between behaviour-responsive pushes',
   '{3}', '{3}', 72, 1, true),
  (1, 2, 'combined_l2_l3_limit_hours', 'A weekly limit on layers 2 and 3 together',
   '{2,3}', '{2,3}', 168, 3, true),
  (1, 3, 'layer_5_cooldown_hours', 'A pause between pushes of the new-user series',
   '{5}', '{5}', 96, 1, true);

-- Texts once, not once for each user.
CREATE TABLE messages (
  id                   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  digest               bytea NOT NULL UNIQUE,     -- SHA-256 of the four texts
  push_title           text,
  push_body            text,
  audience_description text,
  deep_link            text
);

CREATE TABLE reservations (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  key           text NOT NULL UNIQUE,
  layer_id      smallint NOT NULL REFERENCES notification_layers,
  scheduled_for timestamptz NOT NULL,
  rule_set      integer NOT NULL REFERENCES rule_sets,
  state         text NOT NULL CHECK (state IN ('reserved', 'confirmed', 'released', 'expired')),
  expires_at    timestamptz NOT NULL,
  body_digest   bytea NOT NULL
);
CREATE INDEX reservations_expiry ON reservations (expires_at) WHERE state = 'reserved';

-- The history. The key is also the index that the filter probes; every unique key holds user_id,
-- and nothing refers out of this table, so that it can be distributed by user_id.
CREATE TABLE user_notifications (
  user_id          uuid NOT NULL,
  sent_at          timestamptz NOT NULL,          -- the instant that rules count
  layer_id         smallint NOT NULL CHECK (layer_id BETWEEN 1 AND 5),
  id               uuid NOT NULL DEFAULT gen_random_uuid(),
  state            smallint NOT NULL DEFAULT 1 CHECK (state IN (0, 1)),  -- 0 reserved, 1 sent
  message_id       integer,
  rule_set         integer,
  reservation_id   bigint,
  actually_sent_at timestamptz,
  PRIMARY KEY (user_id, sent_at, layer_id, id)
) PARTITION BY RANGE (sent_at);
CREATE TABLE user_notifications_strays PARTITION OF user_notifications DEFAULT;

-- A key that a caller gave to a notification of a user, so that a retry counts once.
CREATE TABLE notification_keys (
  user_id uuid NOT NULL,
  key     bytea NOT NULL,                         -- SHA-256 of the caller's text
  sent_at timestamptz NOT NULL,
  PRIMARY KEY (user_id, key)
);

-- The original's columns, for readers.
CREATE VIEW notification_history AS
  SELECT n.id, n.user_id, n.layer_id, n.sent_at, m.push_title, m.push_body,
         m.audience_description, m.deep_link
    FROM user_notifications n
    LEFT JOIN messages m ON m.id = n.message_id
   WHERE n.state = 1;
""")

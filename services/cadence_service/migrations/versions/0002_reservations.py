"""Reservations: what was decided for whom, so that it can be repeated, and asked later."""

from chassis.migrations import run_sql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    run_sql("""
ALTER TABLE reservations ADD COLUMN created_at timestamptz NOT NULL DEFAULT now();

-- Which parts of a reservation's audience have been decided; a part is decided in one transaction.
CREATE TABLE reservation_parts (
  reservation_id bigint NOT NULL REFERENCES reservations ON DELETE CASCADE,
  part           smallint NOT NULL,
  eligible       integer NOT NULL,
  PRIMARY KEY (reservation_id, part)
);

-- Who was held back, and why, as it was decided.
CREATE TABLE reservation_exclusions (
  reservation_id   bigint NOT NULL REFERENCES reservations ON DELETE CASCADE,
  user_id          uuid NOT NULL,
  part             smallint NOT NULL,
  rule             text NOT NULL,
  counted_sends    timestamptz[] NOT NULL,
  next_eligible_at timestamptz NOT NULL,
  PRIMARY KEY (reservation_id, user_id)
);

-- Finds what a reservation still holds; ids only ever grow, so this index grows at its end.
CREATE INDEX user_notifications_reserved ON user_notifications (reservation_id) WHERE state = 0;
""")

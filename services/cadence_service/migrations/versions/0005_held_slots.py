"""Held slots in a table of their own; the history only grows, and its index answers for it."""

from chassis.migrations import run_sql

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    run_sql("""
-- A slot of a user's caps that a reservation holds; it counts while its reservation is reserved.
-- Nothing refers to it, so that it can be distributed by user_id.
CREATE TABLE held_slots (
  user_id        uuid NOT NULL,
  reservation_id bigint NOT NULL,
  PRIMARY KEY (user_id, reservation_id)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.02);
CREATE INDEX held_slots_reservation ON held_slots (reservation_id);
INSERT INTO held_slots
  SELECT user_id, reservation_id FROM user_notifications
   WHERE state = 0 AND reservation_id IS NOT NULL;
DELETE FROM user_notifications WHERE state = 0;

-- Read part by part.
ALTER TABLE reservation_exclusions DROP CONSTRAINT reservation_exclusions_pkey,
  ADD PRIMARY KEY (reservation_id, part, user_id);

DROP VIEW notification_history;
DROP INDEX user_notifications_reserved;
ALTER TABLE user_notifications DROP CONSTRAINT user_notifications_pkey;
ALTER TABLE user_notifications DROP COLUMN id, DROP COLUMN state;
-- All that a cap check reads; the rows themselves are not looked at.
CREATE INDEX user_notifications_sends ON user_notifications (user_id, sent_at, layer_id);

CREATE VIEW notification_history AS
  SELECT md5(concat(n.user_id, extract(epoch FROM n.sent_at), n.layer_id))::uuid AS id,
         n.user_id, n.layer_id, n.sent_at, m.push_title, m.push_body,
         m.audience_description, m.deep_link
    FROM user_notifications n
    LEFT JOIN messages m ON m.id = n.message_id;
""")

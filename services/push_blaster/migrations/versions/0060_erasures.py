"""Erasures of users: the jobs with their receipts, and hashes by which erased users stay out."""

from chassis.migrations import run_sql

revision = "0060"
down_revision = "0059"


def upgrade() -> None:
    run_sql("""
CREATE TABLE erasures (
  id        uuid PRIMARY KEY,
  hash      bytea NOT NULL,               -- of the user, as in erased_users
  user_id   uuid,                         -- null once the user is erased
  stand_in  uuid,                         -- what stands for the user in counts; null then, too
  tokens    text[] NOT NULL DEFAULT '{}', -- of the user's devices; empty then
  stage     text NOT NULL,                -- domain/users/erasure.py
  asked_at  timestamptz NOT NULL,
  ended_at  timestamptz,
  waits_for text,
  notes     text[] NOT NULL DEFAULT '{}', -- what a person has to do
  next_at   timestamptz NOT NULL          -- no engine takes it before then
);
CREATE UNIQUE INDEX erasures_open ON erasures (hash) WHERE ended_at IS NULL;
CREATE INDEX erasures_newest ON erasures (asked_at DESC, id);
CREATE TABLE erased_users (
  hash        bytea PRIMARY KEY,          -- SHA-256 of the secret `erased-users` and the user's id
  is_stand_in boolean NOT NULL DEFAULT false
);
-- Every backup from now on has the secret, so that erasures can be repeated after a restore.
INSERT INTO stored_secrets (name, secret)
VALUES ('erased-users', gen_random_uuid()::text || gen_random_uuid()::text) ON CONFLICT DO NOTHING;
""")

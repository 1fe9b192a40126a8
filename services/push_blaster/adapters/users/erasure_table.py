"""The table `erasures`: the jobs that erase users, and their receipts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from chassis.postgres import Connection
from chassis.rows import execute, fetch_one
from push_blaster.adapters.devices.erased_users import hash_of, insert_erased
from push_blaster.domain.users.erasure import Erasure, Stage, Traces

#: An engine that works on an erasure says so more often; without a sign, another one takes it.
LEASE: Final = timedelta(seconds=30)

_SHOWN: Final = "id, stage, asked_at, ended_at, waits_for, notes"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureJob:
    """An erasure that an engine has taken, and whose it is."""

    erasure: Erasure
    traces: Traces


def insert_erasure(connection: Connection, user_id: UUID, now: datetime) -> Erasure:
    """Ask for the erasure of a user, and return it; one that is under way is returned as it is.

    From this transaction on the user is opted out for good.
    """
    execute(connection, _INSERT, {"user": user_id, "stand_in": uuid4(), "now": now})
    sql = f"""
        SELECT {_SHOWN}, user_id, stand_in, tokens FROM erasures
         WHERE user_id = %s AND ended_at IS NULL
    """  # noqa: S608 - a constant
    job = fetch_one(connection, sql, (user_id,), make=_make_job, by_name=True)
    if job is None:
        raise RuntimeError("PostgreSQL returned no row for an erasure that was just asked for.")
    insert_erased(connection, user_id)
    insert_erased(connection, job.traces.stand_in, is_stand_in=True)
    return job.erasure


#: The devices of the user are read here, because they are deleted soon.
_INSERT: Final = f"""
    INSERT INTO erasures (id, hash, user_id, stand_in, tokens, stage, asked_at, next_at)
    SELECT gen_random_uuid(), {hash_of("%(user)s::uuid")}, %(user)s, %(stand_in)s,
           ARRAY(SELECT token FROM devices WHERE user_id = %(user)s
                  UNION SELECT token FROM doubted_devices WHERE user_id = %(user)s
                  UNION SELECT token FROM test_devices WHERE user_id = %(user)s),
           '{Stage.ASKED}', %(now)s, %(now)s
        ON CONFLICT (hash) WHERE ended_at IS NULL DO NOTHING
"""  # noqa: S608 - constants


def select_erasure(connection: Connection, erasure_id: UUID) -> Erasure | None:
    """Return an erasure, or None."""
    sql = f"SELECT {_SHOWN} FROM erasures WHERE id = %s"  # noqa: S608 - a constant
    return fetch_one(connection, sql, (erasure_id,), make=_make, by_name=True)


def select_erasure_of(connection: Connection, user_id: UUID) -> Erasure | None:
    """Return the erasure of a user that is under way, or None; once it is done, nobody can tell."""
    sql = f"SELECT {_SHOWN} FROM erasures WHERE user_id = %s AND ended_at IS NULL"  # noqa: S608 - a constant
    return fetch_one(connection, sql, (user_id,), make=_make, by_name=True)


def take_erasure(connection: Connection, now: datetime) -> ErasureJob | None:
    """Take the erasure that has waited longest, for LEASE; None if none is due."""
    sql = f"""
        UPDATE erasures SET next_at = %(until)s
         WHERE id = (SELECT id FROM erasures
                      WHERE ended_at IS NULL AND next_at <= %(now)s
                      ORDER BY next_at LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING {_SHOWN}, user_id, stand_in, tokens
    """  # noqa: S608 - a constant
    values = {"now": now, "until": now + LEASE}
    return fetch_one(connection, sql, values, make=_make_job, by_name=True)


def keep_erasure(connection: Connection, erasure_id: UUID, now: datetime) -> None:
    """Keep an erasure for LEASE from now on."""
    execute(connection, "UPDATE erasures SET next_at = %s WHERE id = %s", (now + LEASE, erasure_id))


def update_erasure(
    connection: Connection,
    job: ErasureJob,
    stage: Stage,
    next_at: datetime,
    waits_for: str | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Record how far an erasure has come, why it waits, and further notes for people."""
    sql = """
        UPDATE erasures
           SET stage = %(stage)s, next_at = %(next_at)s, waits_for = %(waits_for)s,
               notes = ARRAY(SELECT DISTINCT n FROM unnest(notes || %(notes)s::text[]) n ORDER BY n)
         WHERE id = %(id)s AND ended_at IS NULL
    """
    values = {"id": job.erasure.id, "stage": stage, "next_at": next_at, "waits_for": waits_for}
    execute(connection, sql, {**values, "notes": list(notes)})


def end_erasure(connection: Connection, erasure_id: UUID, now: datetime) -> None:
    """Record that an erasure is done; from then on nothing says whose it was."""
    sql = f"""
        UPDATE erasures
           SET stage = '{Stage.DONE}', ended_at = %(now)s, waits_for = NULL, user_id = NULL,
               stand_in = NULL, tokens = '{{}}'
         WHERE id = %(id)s
    """  # noqa: S608 - a constant
    execute(connection, sql, {"id": erasure_id, "now": now})


def delete_old_erasures(connection: Connection, ended_before: datetime) -> int:
    """Delete receipts of erasures that ended before then; the users stay erased."""
    return execute(connection, "DELETE FROM erasures WHERE ended_at < %s", (ended_before,))


def _make(*, stage: str, **columns: Any) -> Erasure:
    return Erasure(stage=Stage(stage), **columns)


def _make_job(*, user_id: UUID, stand_in: UUID, tokens: list[str], **shown: Any) -> ErasureJob:
    traces = Traces(user_id=user_id, stand_in=stand_in, tokens=tuple(tokens))
    return ErasureJob(erasure=_make(**shown), traces=traces)

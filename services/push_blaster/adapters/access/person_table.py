"""The tables `people` and `people_labels`: who signed in through the identity provider."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from chassis.names import fold
from chassis.postgres import Connection
from chassis.rows import execute, fetch_all, fetch_one, fetch_value
from push_blaster.domain.access.person import Identity, Person, label_candidates

_COLUMNS: Final = "id, issuer, subject, label, name, email, role, signed_in_at, checked_at"


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonAtWork:
    """A person, the number of the person's sessions, and when the last one was used."""

    person: Person
    sessions: int
    seen_at: datetime | None


def save_person(
    connection: Connection, identity: Identity, now: datetime, *, signs_in: bool
) -> Person:
    """Store what the identity provider says now, and return the person."""
    sql = """
        INSERT INTO people (issuer, subject, name, email, role, signed_in_at, checked_at)
        VALUES (%(issuer)s, %(subject)s, %(name)s, %(email)s, %(role)s, %(now)s, %(now)s)
            ON CONFLICT (issuer, subject) DO UPDATE
           SET name = EXCLUDED.name, email = EXCLUDED.email, role = EXCLUDED.role,
               checked_at = EXCLUDED.checked_at,
               signed_in_at = CASE WHEN %(signs_in)s THEN EXCLUDED.signed_in_at
                                   ELSE people.signed_in_at END
     RETURNING id
    """
    id_ = int(fetch_value(connection, sql, {**asdict(identity), "now": now, "signs_in": signs_in}))
    label = next(
        label for label in label_candidates(identity, id_) if _is_own(connection, label, id_)
    )
    execute(connection, "UPDATE people SET label = %s WHERE id = %s", (label, id_))
    return select_person(connection, id_)


def _is_own(connection: Connection, label: str, id_: int) -> bool:
    """Return whether the label belongs to the person; a label of nobody becomes the person's."""
    sql = "INSERT INTO people_labels (key, person_id) VALUES (%s, %s) ON CONFLICT DO NOTHING"
    execute(connection, sql, (fold(label), id_))
    owner = fetch_value(
        connection, "SELECT person_id FROM people_labels WHERE key = %s", (fold(label),)
    )
    return bool(owner == id_)


def select_person(connection: Connection, id_: int) -> Person:
    """Return the person with this id."""
    sql = f"SELECT {_COLUMNS} FROM people WHERE id = %s"  # noqa: S608 - a constant
    found = fetch_one(connection, sql, (id_,), make=Person, by_name=True)
    if found is None:
        raise LookupError(id_)
    return found


def select_people(
    connection: Connection, checked_after: datetime, now: datetime, seen_after: datetime
) -> list[PersonAtWork]:
    """Return the people who were here after `checked_after`, and their sessions."""
    sql = """
        SELECT p.id, issuer, subject, label, name, email, role, signed_in_at, p.checked_at,
               count(s.hash) AS sessions, max(s.seen_at) AS seen_at
          FROM people p
          LEFT JOIN sessions s ON s.person_id = p.id
               AND s.ends_at > %(now)s AND s.seen_at > %(seen_after)s
         WHERE p.checked_at > %(checked_after)s
         GROUP BY p.id ORDER BY max(s.seen_at) DESC NULLS LAST, p.checked_at DESC
    """
    values = {"checked_after": checked_after, "now": now, "seen_after": seen_after}
    rows = fetch_all(connection, sql, values)
    names = _COLUMNS.split(", ")
    return [
        PersonAtWork(
            person=Person(**dict(zip(names, row[:-2], strict=True))),
            sessions=row[-2],
            seen_at=row[-1],
        )
        for row in rows
    ]


def delete_people(connection: Connection, checked_before: datetime) -> int:
    """Delete people whom nothing names any more; return how many."""
    sql = """
        DELETE FROM people p
         WHERE checked_at < %s AND NOT EXISTS (SELECT FROM sessions WHERE person_id = p.id)
    """
    return execute(connection, sql, (checked_before,))

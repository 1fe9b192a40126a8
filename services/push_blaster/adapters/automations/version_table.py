"""The table `automation_versions`: a history of documents. The files decide what runs."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from chassis.postgres import Connection
from chassis.rows import execute, fetch_all, fetch_one, fetch_value, without_nul
from push_blaster.domain.automations.version import REMOVALS, Version, VersionKind

#: How many versions of an automation are kept, and how many bytes of them; the newest one always.
MAX_VERSIONS: Final = 100
MAX_BYTES: Final = 16 * 1024 * 1024

_COLUMNS: Final = "id, automation_id, version, kind, author, reason, saved_at, document, generation"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVersion:
    """A version that is to be recorded."""

    kind: VersionKind
    document: Mapping[str, Any]
    saved_at: datetime
    author: str | None = None
    reason: str | None = None
    generation: int | None = None


@dataclass(frozen=True, slots=True)
class NewestVersion:
    """What is known of the newest version of an automation without its document."""

    id: int
    kind: VersionKind
    digest: str


def digest_of(document: Mapping[str, Any]) -> str:
    """Return a hash of a document that does not depend on the order of its fields."""
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()


def lock_versions(connection: Connection, automation_id: str) -> None:
    """Let only one transaction at a time record versions of this automation."""
    execute(connection, "SELECT pg_advisory_xact_lock(hashtextextended(%s, 2))", (automation_id,))


def insert_version(connection: Connection, new: NewVersion) -> None:
    """Record a version as the newest one, and forget the oldest ones beyond the limits."""
    text = json.dumps(new.document, ensure_ascii=False)
    values = {
        "id": new.document["id"],
        "version": _number_of(new.document),
        "kind": new.kind,
        "author": new.author,
        "reason": _storable(new.reason),
        "at": new.saved_at,
        "digest": digest_of(new.document),
        "size": len(text.encode()),
        "document": text,
        "generation": new.generation,
        "most": MAX_VERSIONS,
        "most_bytes": MAX_BYTES,
    }
    for statement in _INSERT:
        execute(connection, statement, values)


_INSERT: Final = (
    "UPDATE automation_versions SET is_newest = false WHERE automation_id = %(id)s AND is_newest",
    """
    INSERT INTO automation_versions
           (automation_id, version, kind, author, reason, saved_at, digest, size, document,
            generation)
    VALUES (%(id)s, %(version)s, %(kind)s, %(author)s, %(reason)s, %(at)s, %(digest)s, %(size)s,
            %(document)s, %(generation)s)
    """,
    """
    DELETE FROM automation_versions WHERE NOT is_newest AND id IN (
      SELECT id FROM (
        SELECT id, row_number() OVER newest_first AS place, sum(size) OVER newest_first AS bytes
          FROM automation_versions WHERE automation_id = %(id)s
        WINDOW newest_first AS (ORDER BY id DESC)) AS ranked
       WHERE place > %(most)s OR bytes > %(most_bytes)s)
    """,
)


def claim_version(
    connection: Connection, document: Mapping[str, Any], author: str | None, reason: str | None
) -> bool:
    """Name the author of a version that others found in its file; False if nobody found it."""
    sql = """
        UPDATE automation_versions SET kind = %(saved)s, author = %(author)s, reason = %(reason)s
         WHERE automation_id = %(id)s AND version = %(version)s AND digest = %(digest)s
           AND kind = %(found)s
    """
    values = {
        "saved": VersionKind.SAVED,
        "found": VersionKind.FOUND,
        "author": author,
        "reason": _storable(reason),
        "id": document["id"],
        "version": _number_of(document),
        "digest": digest_of(document),
    }
    return execute(connection, sql, values) > 0


def select_newest(
    connection: Connection, automation_id: str | None = None
) -> dict[str, NewestVersion]:
    """Return the newest version of each automation, or of one; also of those that are removed."""
    sql = """
        SELECT automation_id, id, kind, digest FROM automation_versions
         WHERE is_newest AND (%(id)s::text IS NULL OR automation_id = %(id)s)
    """
    rows = fetch_all(connection, sql, {"id": automation_id})
    return {name: NewestVersion(id_, VersionKind(kind), digest) for name, id_, kind, digest in rows}


def update_digest(connection: Connection, version_id: int, digest: str) -> None:
    """Note the hash that a version has with the defaults of today."""
    sql = "UPDATE automation_versions SET digest = %s WHERE id = %s"
    execute(connection, sql, (digest, version_id))


def select_versions(connection: Connection, automation_id: str) -> list[Version]:
    """Return all versions of an automation, the newest first."""
    sql = f"SELECT {_COLUMNS} FROM automation_versions WHERE automation_id = %s ORDER BY id DESC"  # noqa: S608 - a constant
    return fetch_all(connection, sql, (automation_id,), make=_make, by_name=True)


def select_version(connection: Connection, automation_id: str, version_id: int) -> Version | None:
    """Return one version, if this automation has it."""
    sql = f"SELECT {_COLUMNS} FROM automation_versions WHERE automation_id = %s AND id = %s"  # noqa: S608 - a constant
    return fetch_one(connection, sql, (automation_id, version_id), make=_make, by_name=True)


def select_version_before(connection: Connection, version: Version) -> Version | None:
    """Return the version before this one, if it is kept."""
    sql = f"""
        SELECT {_COLUMNS} FROM automation_versions
         WHERE automation_id = %s AND id < %s ORDER BY id DESC LIMIT 1
    """  # noqa: S608 - a constant
    values = (version.automation_id, version.id)
    return fetch_one(connection, sql, values, make=_make, by_name=True)


def select_last_removal(connection: Connection, automation_id: str) -> Version | None:
    """Return the last deletion of an automation with this id, or the last removal of its file."""
    sql = f"""
        SELECT {_COLUMNS} FROM automation_versions
         WHERE automation_id = %s AND kind = ANY(%s) ORDER BY id DESC LIMIT 1
    """  # noqa: S608 - a constant
    values = (automation_id, list(REMOVALS))
    return fetch_one(connection, sql, values, make=_make, by_name=True)


def select_removed(connection: Connection, limit: int) -> list[Version]:
    """Return the automations that are removed, those of the last days first."""
    sql = f"""
        SELECT {_COLUMNS} FROM automation_versions
         WHERE is_newest AND kind = ANY(%s) ORDER BY saved_at DESC, id DESC LIMIT %s
    """  # noqa: S608 - a constant
    return fetch_all(connection, sql, (list(REMOVALS), limit), make=_make, by_name=True)


#: The newest version of an automation that exists stays, however old it is.
_OLD: Final = "saved_at < %(before)s AND NOT (is_newest AND NOT kind = ANY(%(removals)s))"


def count_old_versions(connection: Connection, before: datetime) -> int:
    """Return how many versions may go."""
    sql = f"SELECT count(*) FROM automation_versions WHERE {_OLD}"  # noqa: S608 - a constant
    return int(fetch_value(connection, sql, {"before": before, "removals": list(REMOVALS)}))


def delete_old_versions(connection: Connection, before: datetime, limit: int) -> int:
    """Delete some versions that may go; return how many."""
    sql = f"""
        DELETE FROM automation_versions WHERE id IN (
          SELECT id FROM automation_versions WHERE {_OLD} LIMIT %(limit)s)
    """  # noqa: S608 - a constant
    values = {"before": before, "removals": list(REMOVALS), "limit": limit}
    return execute(connection, sql, values)


def _number_of(document: Mapping[str, Any]) -> int:
    """Return the number of a document's version, as far as the database can hold it."""
    return min(int(document["version"]), 2**63 - 1)


def _storable(reason: str | None) -> str | None:
    return without_nul(reason) if reason else None


def _make(**row: Any) -> Version:
    return Version(**{**row, "kind": VersionKind(row["kind"])})

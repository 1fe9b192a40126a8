"""The tables `audit_chain`, `audit_unchained` and `audit_checkpoints`: links over `audit_log`.

Rows are inserted without a link, so that no request waits for another one, and least of all a stop.
One process at a time gives them their links afterwards, in the order of their ids.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from chassis.postgres import Connection
from chassis.rows import execute, fetch_all, fetch_one, fetch_value, stream_rows
from push_blaster.adapters.access.audit_table import COLUMNS, SELECTED
from push_blaster.domain.access.audit import FIRST, RecordedChange, link

#: A change without an answer gets its link after this time: its process was killed. Nothing can be
#: added to a link, and a large upload, or a command for years of data, takes its hours.
UNANSWERED: Final = timedelta(days=1)
#: How many rows one transaction gives links.
PIECE: Final = 1_000
_LOCK: Final = 0x6175_6469


def chain_some(connection: Connection, now: datetime) -> int:
    """Give some rows their links; return how many: none while another process does it."""
    if not fetch_value(connection, "SELECT pg_try_advisory_xact_lock(%s)", (_LOCK,)):
        return 0
    end, before = select_end(connection)
    sql = f"""
        SELECT {SELECTED}
          FROM audit_unchained u JOIN audit_log a ON a.id = u.row_id
          LEFT JOIN audit_chain c ON c.row_id = a.id
         WHERE (status IS NOT NULL OR at < %(before)s) AND c.no IS NULL
         ORDER BY a.id LIMIT %(piece)s
           FOR UPDATE OF a SKIP LOCKED
    """  # noqa: S608 - constants
    values = {"before": now - UNANSWERED, "piece": PIECE}
    rows = fetch_all(connection, sql, values, make=RecordedChange, by_name=True)
    links = []
    for number, row in enumerate(rows, start=end + 1):
        before = link(before, number, row)
        links.append((number, row.id, before))
    _insert(connection, links)
    return len(rows)


def _insert(connection: Connection, links: Sequence[tuple[int, int, str]]) -> None:
    sql = """
        INSERT INTO audit_chain (no, row_id, hash)
        SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::text[])
    """
    numbers, ids, hashes = ([one[place] for one in links] for place in range(3))
    execute(connection, sql, (numbers, ids, hashes))
    execute(connection, "DELETE FROM audit_unchained WHERE row_id = ANY(%s)", (ids,))


def select_end(connection: Connection) -> tuple[int, str]:
    """Return the number and the hash of the last link, be it pruned or not."""
    sql = """
        SELECT no, hash FROM audit_chain
         UNION ALL SELECT no, hash FROM audit_checkpoints
         ORDER BY no DESC LIMIT 1
    """
    return fetch_one(connection, sql, make=lambda no, hash_: (no, hash_)) or (0, FIRST)


def stream_links(
    connection: Connection,
) -> Iterator[tuple[int, str, bool, RecordedChange | None]]:
    """Yield number, hash, whether it was pruned, and the row of each link, in order.

    Shape: the row is None if it was pruned, or is gone.
    """
    sql = f"""
        SELECT c.no, c.hash, c.is_pruned, {SELECTED}
          FROM (SELECT no, hash, row_id, false AS is_pruned FROM audit_chain
                 UNION ALL SELECT no, hash, NULL, true FROM audit_checkpoints) c
          LEFT JOIN audit_log a ON a.id = c.row_id
         ORDER BY c.no
    """  # noqa: S608 - constants
    for number, hash_, is_pruned, *columns in stream_rows(connection, sql, page=PIECE):
        is_there = columns[0] is not None
        row = RecordedChange(**dict(zip(COLUMNS, columns, strict=True))) if is_there else None
        yield number, hash_, is_pruned, row


def count_unchained(connection: Connection) -> int:
    """Return how many rows have no link yet."""
    return int(fetch_value(connection, "SELECT count(*) FROM audit_unchained"))


def select_prunable(connection: Connection, before: datetime, most: int) -> list[tuple[Any, ...]]:
    """Return rows with a link that are older than then, as COLUMNS, and keep them from others."""
    sql = f"""
        SELECT {SELECTED}
          FROM audit_log a JOIN audit_chain c ON c.row_id = a.id
         WHERE a.at < %(before)s ORDER BY a.id LIMIT %(most)s
           FOR UPDATE OF a
    """  # noqa: S608 - constants
    return fetch_all(connection, sql, {"before": before, "most": most})


def prune_links(connection: Connection, ids: Sequence[int], now: datetime) -> None:
    """Make checkpoints of the links of rows; of the beginning of the chain, only the last stays."""
    sql = """
        INSERT INTO audit_checkpoints (no, hash, made_at)
        SELECT no, hash, %s FROM audit_chain WHERE row_id = ANY(%s)
    """
    execute(connection, sql, (now, list(ids)))
    execute(connection, "DELETE FROM audit_chain WHERE row_id = ANY(%s)", (list(ids),))
    sql = """
        DELETE FROM audit_checkpoints
         WHERE no < (SELECT max(no) FROM audit_checkpoints
                      WHERE no < coalesce((SELECT min(no) FROM audit_chain), 9223372036854775807))
    """
    execute(connection, sql)

"""Live sends that had a user in their audience and did not come to the user, so far or for good.

The ledger has no row of such a user. The frozen audience has, and is searched byte by byte.
"""

import mmap
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID

from chassis.postgres import Connection
from chassis.rows import fetch_all
from push_blaster.domain.executions.phase import Phase
from push_blaster.domain.users.missed_send import MissedSend

#: How many files one answer searches, the newest first, and how many bytes in all.
SEARCHED: Final = 20
SEARCHED_BYTES: Final = 4 << 30
#: How many bytes are searched at once: meanwhile no other thread of the process works.
PIECE: Final = 16 << 20
_OPEN: Final = """
    SELECT e.id, e.automation_name, p.position, e.phase, coalesce(e.live_at, e.slot),
           p.audience_file
      FROM executions e
      JOIN execution_pushes p ON p.execution_id = e.id AND p.audience_file IS NOT NULL
     WHERE e.mode = 'live'
       AND e.phase = ANY(%(phases)s)
       AND e.created_at >= %(since)s::timestamptz - interval '2 days'
       AND coalesce(e.live_at, e.slot) >= %(since)s
       AND (%(until)s::timestamptz IS NULL OR coalesce(e.live_at, e.slot) < %(until)s)
       AND coalesce(e.live_at, e.slot) <= %(now)s
       AND NOT EXISTS (SELECT FROM deliveries d
                         JOIN executions r ON r.id = d.execution_id
                        WHERE d.user_id = %(user)s AND e.id IN (r.id, r.resumes)
                          AND d.position = p.position AND NOT d.is_test)
     ORDER BY e.created_at DESC, p.position LIMIT %(limit)s
"""
#: The phases in which an execution has not sent to everybody.
_PHASES: Final = (Phase.LIVE_EXECUTION, Phase.CANCELLED, Phase.FAILED)


class _Candidate(NamedTuple):
    execution_id: str
    automation_name: str
    position: int
    phase: str
    at: datetime
    file: str


def find_missed_sends(
    connection: Connection,
    data_folder: Path,
    user_id: UUID,
    since: datetime,
    until: datetime | None,
    now: datetime,
) -> list[MissedSend]:
    """Return the sends of the time that have the user in their audience only, newest first.

    A stopped send that was resumed is left out if the user had a turn then.
    """
    values = {
        "user": user_id,
        "since": since,
        "until": until,
        "now": now,
        "phases": list(_PHASES),
        "limit": SEARCHED,
    }
    found, left, missed = fetch_all(connection, _OPEN, values, make=_Candidate), SEARCHED_BYTES, []
    for one in found:
        path = data_folder / one.file
        left -= path.stat().st_size if path.exists() else 0
        if left >= 0 and has_user(path, user_id):
            missed.append(MissedSend(one.automation_name, one.position, Phase(one.phase), one.at))
    return missed


def has_user(path: Path, user_id: UUID) -> bool:
    """Return whether a frozen audience has a row of the user; a file that is gone has none."""
    with (
        suppress(OSError, ValueError),  # an empty file cannot be mapped
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text,
    ):
        wanted = f'"userId":"{user_id}"'.encode()
        starts = range(0, len(text), PIECE)
        return any(text.find(wanted, at, at + PIECE + len(wanted)) >= 0 for at in starts)
    return False

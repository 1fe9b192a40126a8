"""Read what the cadence service knows of a user, beside what our own ledger says already.

The cadence service records every push of ours, too. Such a record is no second push: it is left
out, and what the service said about a capped push stands with that push.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID

from chassis.postgres import Connection
from push_blaster.adapters.cadence.cadence_client import NoReservationError
from push_blaster.adapters.cadence.cadence_http import CadenceUnavailableError
from push_blaster.adapters.users.own_pushes import select_own_pushes
from push_blaster.domain.cadence.history import HistoryEntry, HistoryKind, HistoryPage
from push_blaster.domain.users.cadence_words import tell_exclusion, tell_history
from push_blaster.domain.users.timeline import OwnPush, TimelineEntry, Window
from push_blaster.use_cases.context import WebContext

#: The key of a reservation: execution, position, batch, and perhaps a send window.
_KEY: Final = re.compile(r"(?P<execution>.+)/(?P<position>\d{1,4})/\d+(?:/[^/]+)?")
#: How far the instants of a send may lie apart in both services.
_APART: Final = timedelta(days=2)
_NO_HISTORY: Final = "it is an older version, which has no history of a user"

#: The execution and the position of a push.
PushKey = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class CadencePart:
    """What the cadence service adds to a timeline: entries, and notes about pushes of ours.

    Shape: `fault` says why nothing could be read.
    """

    entries: Sequence[TimelineEntry] = ()
    notes: Mapping[PushKey, Sequence[str]] = field(default_factory=dict)
    fault: str | None = None


@dataclass(slots=True)
class UserHistory:
    """What the cadence service knows of one user, for one answer of ours.

    Shape: nothing is asked twice, and nothing more once the service is away: an answer of ours
    waits for a service that hangs only once. `fault` says why something is missing.
    """

    context: WebContext
    user_id: UUID
    fault: str | None = None
    _pages: dict[tuple[object, ...], HistoryPage] = field(default_factory=dict)

    def anew(self) -> "UserHistory":
        """Return the same without the pages that were read; a fault stays."""
        return UserHistory(self.context, self.user_id, self.fault)

    def read_page(self, window: Window, before: tuple[datetime, str] | None) -> HistoryPage | None:
        """Return the page of a window after `before`; None if the service is away."""
        asked = (window.since, window.until, before)
        if asked not in self._pages and self.fault is None:
            try:
                self._pages[asked] = self.context.cadence.read_history(self.user_id, *asked)
            except CadenceUnavailableError as error:
                self.fault = _say_away(error)
        return self._pages.get(asked)


def read_cadence(history: UserHistory, window: Window, oldest: datetime | None) -> CadencePart:
    """Return what the service adds; nothing older than `oldest` is needed."""
    entries: list[TimelineEntry] = []
    notes: dict[PushKey, Sequence[str]] = {}
    place: tuple[datetime, str] | None = window.before
    while True:
        page = history.read_page(window, place)
        if page is None:
            return CadencePart(fault=history.fault)
        with history.context.database.transaction() as connection:
            own = _find_own(connection, history.user_id, page.entries)
        entries += [tell_history(one) for one in page.entries if one.id not in own]
        notes |= {
            (push.execution_id, push.position): tell_exclusion(one)
            for one in page.entries
            if one.kind is HistoryKind.EXCLUSION and (push := own.get(one.id))
        }
        last = page.entries[-1] if page.has_more else None
        if last is None or len(entries) >= window.limit or (oldest and last.at < oldest):
            return CadencePart(entries=entries, notes=notes)
        place = (last.at, last.id)


def _say_away(error: CadenceUnavailableError) -> str:
    why = _NO_HISTORY if isinstance(error, NoReservationError) else str(error)
    return f"What the cadence service knows of the user is missing here: {why}."


def _find_own(
    connection: Connection, user_id: UUID, entries: Sequence[HistoryEntry]
) -> dict[str, OwnPush]:
    """Return, by the id of the entry, the push of ours that it stands for, if there is one."""
    if not entries:
        return {}
    named = {one.id: _read_key(one.reservation_key) for one in entries}
    instants = [one.actually_sent_at or one.at for one in entries]
    known = select_own_pushes(
        connection,
        user_id,
        [key for key in named.values() if key],
        min(instants) - _APART,
        max(instants) + _APART,
    )
    by_key = {(push.execution_id, push.position): push for push in known if not push.is_test}
    by_digest = {sha256(push.key_of(user_id).encode()).hexdigest(): push for push in known}
    return {
        one.id: push
        for one in entries
        if (push := _match(one, by_key.get(named[one.id] or ("", 0)), by_digest))
    }


def _match(
    entry: HistoryEntry, reserved: OwnPush | None, by_digest: Mapping[str, OwnPush]
) -> OwnPush | None:
    """Return the push of an entry; a slot that is still reserved stands for itself."""
    if entry.kind is HistoryKind.SLOT:
        return None
    digests = (by_digest[one] for one in entry.key_digests if one in by_digest)
    return reserved or next(digests, None)


def _read_key(key: str | None) -> PushKey | None:
    found = _KEY.fullmatch(key or "")
    return (found["execution"], int(found["position"])) if found else None

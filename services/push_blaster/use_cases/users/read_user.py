"""Read all that is known of one user in both services: the timeline, the devices, the answer."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from chassis.postgres import Connection
from push_blaster.adapters.devices.device_table import RegisteredDevice, select_devices_of
from push_blaster.adapters.devices.opt_out_table import select_opt_outs_of
from push_blaster.adapters.users.erasure_table import select_erasure_of
from push_blaster.adapters.users.missed_sends import find_missed_sends
from push_blaster.adapters.users.sent_texts import fill_texts
from push_blaster.adapters.users.timeline_sources import SOURCES, select_pushes
from push_blaster.domain.devices.opt_out import OptOut
from push_blaster.domain.users.answer import (
    NAMED,
    USUAL_PERIOD,
    Facts,
    Standing,
    answer,
    find_got,
)
from push_blaster.domain.users.timeline import Place, TimelineEntry, Window
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.users.read_cadence import CadencePart, UserHistory, read_cadence

#: How many entries an answer looks at, and a piece of an export has.
COUNTED: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelinePage:
    """Entries of a timeline, newest first; the place of the last one, if there are more.

    Shape: `fault` says why the entries of the cadence service are missing.
    """

    entries: Sequence[TimelineEntry]
    next: Place | None
    fault: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownUser:
    """What is known of a user now, and the answer about the pushes of some time.

    Shape: `named_in` are automations whose documents name the user, as a test user or in the
    audience. `erasure_id` is the erasure that is under way. `fault` says why what the cadence
    service knows is missing.
    """

    user_id: UUID
    at: datetime
    is_known: bool
    answer: str
    devices: Sequence[RegisteredDevice]
    opt_outs: Sequence[OptOut]
    erasure_id: UUID | None
    named_in: Sequence[str]
    fault: str | None


def read_timeline(history: UserHistory, window: Window) -> TimelinePage:
    """Return the entries that fit, of both services, each push with the text that was sent."""
    context, user_id = history.context, history.user_id
    with context.database.transaction() as connection:
        own = _read_own(connection, user_id, window)
    cadence = read_cadence(history, window, _find_oldest(own, window))
    merged = heapq.merge(own, cadence.entries, key=_order, reverse=True)
    found = [entry for entry, _ in zip(merged, range(window.limit), strict=False)]
    with context.database.transaction() as connection:
        filled = fill_texts(connection, context.data_folder, user_id, found)
    last = found[-1].place if len(found) == window.limit else None
    entries = [_explain_cap(entry, cadence) for entry in filled]
    return TimelinePage(entries=entries, next=last, fault=cadence.fault)


def read_user(
    history: UserHistory,
    now: datetime,
    since: datetime | None = None,
    until: datetime | None = None,
) -> KnownUser:
    """Return what is known of a user, and the answer about the time from `since` until `until`."""
    context, user_id = history.context, history.user_id
    with context.database.transaction() as connection:
        devices = select_devices_of(connection, user_id)
        opt_outs = select_opt_outs_of(connection, [user_id], now)
        erasure = select_erasure_of(connection, user_id)
    named_in = _find_naming(context, user_id)
    facts = Facts(
        since=since or (until or now) - USUAL_PERIOD,
        until=until,
        has_usual_period=since is None and until is None,
        standing=Standing(
            devices=sum(d.dead_at is None for d in devices), opt_outs=opt_outs, erasure=erasure
        ),
    )
    facts, fault = _count(history, facts, now)
    is_known = bool(devices or opt_outs or named_in or facts.entries or facts.last or facts.missed)
    if not is_known:  # only then what is older than the time matters
        is_known = bool(read_timeline(history, Window(limit=1)).entries)
    said = answer(replace(facts, is_known=is_known or fault is not None))
    return KnownUser(
        user_id=user_id,
        at=now,
        is_known=is_known,
        answer=said if fault is None else f"{said} {fault}",
        devices=devices,
        opt_outs=opt_outs,
        erasure_id=erasure.id if erasure else None,
        named_in=named_in,
        fault=fault,
    )


def stream_timeline(
    history: UserHistory, since: datetime | None, until: datetime | None
) -> Iterator[TimelinePage]:
    """Yield the whole timeline, page by page."""
    place: Place | None = None
    while True:
        window = Window(since=since, until=until, before=place, limit=COUNTED)
        page = read_timeline(history, window)
        yield page
        history, place = history.anew(), page.next
        if place is None:
            return


def _read_own(connection: Connection, user_id: UUID, window: Window) -> list[TimelineEntry]:
    """Return the newest entries of our own tables."""
    parts = [select(connection, user_id, window) for select in SOURCES]
    return sorted((e for part in parts for e in part), key=_order, reverse=True)[: window.limit]


def _find_oldest(entries: Sequence[TimelineEntry], window: Window) -> datetime | None:
    """Return the instant before which nothing fits any more; None if everything does."""
    return entries[-1].at if len(entries) == window.limit else None


def _count(history: UserHistory, facts: Facts, now: datetime) -> tuple[Facts, str | None]:
    """Return the facts with the entries of their time, and why some are missing."""
    context, user_id = history.context, history.user_id
    window = Window(since=facts.since, until=facts.until, limit=COUNTED)
    with context.database.transaction() as connection:
        own = _read_own(connection, user_id, window)
        own = _fill_named(connection, context, user_id, own)
        before = Window(until=facts.since, limit=NAMED * 10)
        earlier = find_got(select_pushes(connection, user_id, before))
        time = (facts.since, facts.until, now)
        missed = find_missed_sends(connection, context.data_folder, user_id, *time)
    cadence = read_cadence(history, window, _find_oldest(own, window))
    entries = sorted([*own, *cadence.entries], key=_order, reverse=True)[:COUNTED]
    last = earlier[0] if earlier else None
    is_cut = len(entries) == COUNTED
    found = replace(facts, entries=entries, is_cut=is_cut, last=last, missed=missed)
    return found, cadence.fault


def _fill_named(
    connection: Connection, context: WebContext, user_id: UUID, entries: list[TimelineEntry]
) -> list[TimelineEntry]:
    """Return the entries; the pushes that an answer names have the texts that were sent."""
    named = find_got(entries)[:NAMED]
    wanted = [entry for entry in entries if entry.push in named]
    filled = fill_texts(connection, context.data_folder, user_id, wanted)
    by_id = {entry.id: entry for entry in filled}
    return [by_id.get(entry.id, entry) for entry in entries]


def _explain_cap(entry: TimelineEntry, cadence: CadencePart) -> TimelineEntry:
    """Return a capped push with what the cadence service said of it then."""
    notes = cadence.notes.get((entry.execution_id or "", entry.position or 0), ())
    return replace(entry, notes=(*entry.notes, *notes)) if notes and entry.push else entry


def _find_naming(context: WebContext, user_id: UUID) -> list[str]:
    """Return the automations that name the user."""
    text = str(user_id)
    named = (
        (stored.automation.id, (*a.settings.test_user_ids, *a.manual_user_ids))
        for stored in context.files.read_all().values()
        for a in (stored.automation,)
    )
    return sorted(id_ for id_, users in named if text in map(str.lower, users))


def _order(entry: TimelineEntry) -> Place:
    return entry.place

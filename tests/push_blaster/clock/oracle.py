"""What ought to become of each slot of one automation, from what people and outages did to it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise
from typing import Any, Final
from zlib import crc32

from push_blaster.domain.executions.phase import Phase
from tests.push_blaster.clock.random_automations import Change, Version
from tests.push_blaster.clock.wall_clocks import slots_of

#: Found so soon after its send time, a slot is on time.
ON_TIME: Final = timedelta(seconds=30)
SECOND: Final = timedelta(seconds=1)
#: How long executions take: mostly minutes, now and then past the next day or week.
DURATIONS: Final = (*[timedelta(minutes=5)] * 8, timedelta(hours=26), timedelta(days=9))


@dataclass(frozen=True, slots=True)
class Outage:
    """No engine is there from `begin` on; at `end` one is back."""

    begin: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a slot: opened when, as what, and over when."""

    slot: datetime
    opened_at: datetime
    phase: Phase
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class _Sight:
    """An engine saw `version` from `at` on, until `until`; slots up to `floor` are not its own."""

    at: datetime
    until: datetime
    floor: datetime
    version: Version
    is_moved: bool


def duration_of(execution_id: str) -> timedelta:
    """Return how long the execution runs after its slot; the same at each asking."""
    return DURATIONS[crc32(execution_id.encode()) % len(DURATIONS)]


def expect(life: Sequence[Version], outages: Sequence[Outage], end: datetime) -> dict[str, Outcome]:
    """Return what becomes of the automation's slots until `end`, by execution id."""
    outcomes: dict[str, Outcome] = {}
    pauses = [version.at for version in life if version.change is Change.PAUSED]
    for sight in _sights(life, outages, end):
        _cancel_off_schedule(sight, outcomes)
        for at, slots in groupby(
            _new_slots(sight, outages, outcomes), key=lambda slot: _found_at(slot, sight, outages)
        ):
            if at < sight.until:
                _judge(sight.version, at, list(slots), outcomes, pauses)
    return outcomes


def instants_of_interest(
    life: Sequence[Version], outages: Sequence[Outage], end: datetime
) -> set[datetime]:
    """Return when the clock has something to find, and a second before."""
    found = {_next_up(version.at, outages) for version in life}
    for sight in _sights(life, outages, end):
        for slot in slots_of(sight.version.document, sight.version.cron, end.year):
            begins_at = max(slot - _minutes(sight.version, "leadTimeMinutes"), sight.at)
            found |= {_next_up(begins_at, outages), begins_at - timedelta(seconds=1)}
    return {at for at in found if at <= end and _next_up(at, outages) == at}


def _sights(life: Sequence[Version], outages: Sequence[Outage], end: datetime) -> Iterator[_Sight]:
    """Yield each version that the clock learned; of an outage's, only the last."""
    seen = [(_next_up(version.at, outages), version) for version in life]
    last = dict(seen)
    learned: _Sight | None = None
    for (at, version), (until, _) in pairwise([*last.items(), (end + SECOND, None)]):
        if version and version.is_scheduled:
            floor, is_moved = _floor(version, at, learned), _is_moved(version, learned)
            learned = _Sight(at, until, floor, version, is_moved and learned is not None)
            yield learned


def _floor(version: Version, seen_at: datetime, learned: _Sight | None) -> datetime:
    """Return from when on slots count: a new schedule's from its edit, if that was not long ago."""
    document = version.document
    if learned and not _is_moved(version, learned):
        return max(learned.floor, datetime.fromisoformat(document["activatedAt"]))
    edited_at = datetime.fromisoformat(document["updatedAt"])
    is_recent = seen_at - edited_at <= _minutes(version, "graceMinutes")
    return edited_at if is_recent else seen_at


def _is_moved(version: Version, learned: _Sight | None) -> bool:
    schedule = version.document["schedule"]
    return learned is None or schedule != learned.version.document["schedule"]


def _cancel_off_schedule(sight: _Sight, outcomes: dict[str, Outcome]) -> None:
    """Cancel what runs, when a moved schedule is seen, for a slot that it has no more."""
    slots = slots_of(sight.version.document, sight.version.cron, sight.at.year)
    for name, outcome in outcomes.items():
        is_running = outcome.opened_at <= sight.at < outcome.ends_at
        if sight.is_moved and is_running and outcome.slot not in slots:
            outcomes[name] = replace(outcome, phase=Phase.CANCELLED, ends_at=sight.at)


def _new_slots(
    sight: _Sight, outages: Sequence[Outage], outcomes: Mapping[str, Outcome]
) -> list[datetime]:
    document = sight.version.document
    return [
        slot
        for slot in slots_of(document, sight.version.cron, sight.at.year)
        if slot > sight.floor and _id(document, slot) not in outcomes
    ]


def _found_at(slot: datetime, sight: _Sight, outages: Sequence[Outage]) -> datetime:
    begins_at = slot - _minutes(sight.version, "leadTimeMinutes")
    return _next_up(max(begins_at, sight.at), outages)


def _judge(
    version: Version,
    at: datetime,
    slots: list[datetime],
    outcomes: dict[str, Outcome],
    pauses: Sequence[datetime],
) -> None:
    """Write down what becomes of slots that are found together; one of them runs at most."""
    late = [slot for slot in slots if slot < at - ON_TIME]
    good = slots[len(late) :]
    may_be_late = version.document["schedule"]["missedRunPolicy"] == "run_late"
    if late and not good and may_be_late and at - late[-1] <= _minutes(version, "graceMinutes"):
        good = [late.pop()]
    for slot in late:
        outcomes[_id(version.document, slot)] = Outcome(slot, at, Phase.MISSED, at)
    for slot in good:
        name = _id(version.document, slot)
        is_busy = any(o.opened_at <= at < o.ends_at for o in outcomes.values())
        outcomes[name] = (
            Outcome(slot, at, Phase.SKIPPED, at) if is_busy else _run(name, slot, at, pauses)
        )


def _run(name: str, slot: datetime, at: datetime, pauses: Sequence[datetime]) -> Outcome:
    ends_at = max(slot, at) + duration_of(name)
    paused_at = next((pause for pause in pauses if at <= pause < ends_at), None)
    if paused_at:
        return Outcome(slot, at, Phase.CANCELLED, paused_at)
    return Outcome(slot, at, Phase.COMPLETED, ends_at)


def _next_up(at: datetime, outages: Sequence[Outage]) -> datetime:
    return next((o.end for o in outages if o.begin <= at < o.end), at)


def _minutes(version: Version, name: str) -> timedelta:
    return timedelta(minutes=version.document["schedule"][name])


def _id(document: Mapping[str, Any], slot: datetime) -> str:
    return f"{document['id']}@{slot.astimezone(UTC):%Y%m%dT%H%M%SZ}"

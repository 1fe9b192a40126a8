"""The answer to "I got two" and to "I got none": a few sentences about one user.

The sentences are made here, once, for the API, the page and the export.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from push_blaster.domain.delivery.ledger import LedgerState
from push_blaster.domain.devices.opt_out import OptOut, Scope, Source
from push_blaster.domain.number_words import list_words, number_of
from push_blaster.domain.users.erasure import Erasure
from push_blaster.domain.users.missed_send import MissedSend
from push_blaster.domain.users.push_words import GOT, is_trial, label
from push_blaster.domain.users.timeline import EntryKind, TimelineEntry, UserPush

#: The time that an answer is about, unless somebody asks about another one.
USUAL_PERIOD: Final = timedelta(days=7)
#: How many pushes an answer names.
NAMED: Final = 3

UNKNOWN: Final = (
    "Nothing is known of this user: no push, event, conversion, opt-out or device has this id. "
    "Check the id."
)

ERASED: Final = (
    "This user was erased: what was known of the user is deleted, and no push goes to the user "
    "until the user opts in again."
)

ERASING: Final = (
    "This user is being erased: no push goes to the user until the user opts in again, and what is "
    "still shown here is deleted when the erasure is done."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is true of a user now: living devices, the opt-outs that hold, an erasure under way."""

    devices: int = 0
    opt_outs: Sequence[OptOut] = ()
    erasure: Erasure | None = None

    @property
    def opted_out_of_all(self) -> OptOut | None:
        """Return the opt-out of all pushes, if one holds."""
        return next((one for one in self.opt_outs if one.scope is Scope.ALL), None)

    @property
    def is_erased(self) -> bool:
        """Return whether the user was erased, and has not come back."""
        return any(one.source is Source.ERASURE for one in self.opt_outs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What an answer is made of.

    Shape: `entries` are those of the time, newest first; the oldest are missing if it `is_cut`.
    `last` is the last push that the user got before. `until` is None if the time ends now. Sends
    that were `missed` have the user in their audience only.
    """

    since: datetime
    until: datetime | None = None
    entries: Sequence[TimelineEntry] = ()
    is_cut: bool = False
    last: UserPush | None = None
    missed: Sequence[MissedSend] = ()
    standing: Standing = field(default_factory=Standing)
    is_known: bool = True
    has_usual_period: bool = False


def answer(facts: Facts) -> str:
    """Return what the user got in the time, and why nothing else, as sentences."""
    if not facts.is_known:
        return UNKNOWN
    if facts.standing.erasure:
        return _say_erasing(facts.standing.erasure)
    return ERASED if facts.standing.is_erased else " ".join(_say(facts))


def _say_erasing(erasure: Erasure) -> str:
    waits = f" The erasure waits for {erasure.waits_for}." if erasure.waits_for else ""
    return f"{ERASING}{waits}"


def find_got(entries: Sequence[TimelineEntry]) -> list[UserPush]:
    """Return the live pushes that the user got, or may have got, newest first."""
    return [one.push for one in entries if one.push and not one.is_trial and one.push.state in GOT]


def _say(facts: Facts) -> Iterator[str]:
    got = find_got(facts.entries)
    yield _say_got(facts, got)
    if facts.is_cut:
        yield "There is more in this time than is counted here; ask about a shorter time."
    yield from _say_why_several(facts, got)
    yield from _say_others(facts)
    yield from _say_not_got(facts)
    yield from (one.explain() for one in facts.missed[:NAMED])
    if len(facts.missed) > NAMED:
        yield f"{number_of(len(facts.missed) - NAMED, 'push')} more did not come to the user."
    if not got:
        yield from _say_why_none(facts)


def _say_got(facts: Facts, got: Sequence[UserPush]) -> str:
    when = _name_time(facts)
    if not got:
        return f"{when} this user got no push."
    names = [f"“{one.title}” of {one.automation_name} at {_at(one)}" for one in got[:NAMED]]
    more = [f"{len(got) - NAMED} more"] if len(got) > NAMED else []
    return f"{when} this user got {number_of(len(got), 'push')}: {list_words([*names, *more])}."


def _name_time(facts: Facts) -> str:
    if facts.has_usual_period:
        return f"In the last {USUAL_PERIOD.days} days"
    since = f"From {_spell(facts.since)}"
    return f"{since} until {_spell(facts.until)}," if facts.until else f"{since} until now,"


def _say_why_several(facts: Facts, got: Sequence[UserPush]) -> Iterator[str]:
    """Yield why the user may have seen more than one message."""
    doubted = [one for one in got if one.state == LedgerState.IN_DOUBT]
    if doubted:
        yield f"Whether {_name(doubted)} arrived is unknown: the outcome is in doubt."
    again = [one for one in got if one.was_in_doubt and one.state == LedgerState.SENT]
    if again:
        yield (
            f"{_name(again)} may have arrived twice: the first send was in doubt, and the message "
            "was sent again under the same display tag."
        )
    unchecked = [one for one in got if one.uncapped_reason]
    if unchecked:
        yield f"{_name(unchecked)} went out without a check of the cadence rules."
    yield from _say_rules(facts, got)


def _say_rules(facts: Facts, got: Sequence[UserPush]) -> Iterator[str]:
    everywhere, devices = [one for one in got if one.to_every_device], facts.standing.devices
    if everywhere and devices > 1:
        yield f"{_name(everywhere)} went to every device, and the user has {devices} of them now."
    if any(one.over_cap for one in got):
        yield "The user got more than the cadence rules allow."
    elif len(got) > 1 and not any(one.uncapped_reason for one in got):
        yield "The cadence rules allowed each of them."


def _say_others(facts: Facts) -> Iterator[str]:
    """Yield what the user got that was no live push of ours."""
    elsewhere = sum(one.kind is EntryKind.NOTIFICATION for one in facts.entries)
    if elsewhere:
        yield f"The cadence service has {number_of(elsewhere, 'push')} more, which others recorded."
    removed = sum(one.kind is EntryKind.REMOVED_PUSH for one in facts.entries)
    if removed:
        yield f"{number_of(removed, 'push')} more belonged to executions that have been removed."
    tests = sum(
        one.push.state in GOT and one.push.mode not in _NEVER_ARRIVES
        for one in facts.entries
        if one.push and one.is_trial
    )
    if tests:
        yield f"Besides, the user got {number_of(tests, 'test')}."


_PUSHES: Final = frozenset({EntryKind.PUSH, EntryKind.REMOVED_PUSH})
#: Modes that deliver nothing.
_NEVER_ARRIVES: Final = frozenset({"simulation", "test-dry-run", "real-dry-run"})


def _say_not_got(facts: Facts) -> Iterator[str]:
    """Yield why pushes did not reach the user: how many, by what became of them."""
    lost = [one.push for one in facts.entries if one.push and one.push.state not in GOT]
    live = [push for push in lost if not is_trial(push)]
    if live:
        yield f"Not sent to the user: {_count_labels(live)}."
    tests = [push for push in lost if push.is_test and push.mode not in _NEVER_ARRIVES]
    if tests:
        yield f"Tests that were not sent to the user: {_count_labels(tests)}."


def _count_labels(pushes: Sequence[UserPush]) -> str:
    counts = Counter(label(push) for push in pushes)
    return list_words([f"{count} {what}" for what, count in counts.most_common()])


def _say_why_none(facts: Facts) -> Iterator[str]:
    pushes = [one for one in facts.entries if one.kind in _PUSHES and not one.is_trial]
    if not pushes and not facts.missed and not facts.is_cut:
        yield "No push of this time had the user in its audience."
    if opt_out := facts.standing.opted_out_of_all:
        yield f"The user has {opt_out.describe()} since {_spell(opt_out.set_at)}."
    if not facts.standing.devices:
        yield "No living device of the user is registered here."
    if facts.last:
        yield f"Before, the user last got “{facts.last.title}” at {_at(facts.last)}."


def _name(pushes: Sequence[UserPush]) -> str:
    names = dict.fromkeys(f"“{one.title}”" for one in pushes[:NAMED])
    more = [f"{len(pushes) - NAMED} more"] if len(pushes) > NAMED else []
    return list_words([*names, *more])


def _at(push: UserPush) -> str:
    return _spell(push.settled_at or push.claimed_at)


def _spell(at: datetime) -> str:
    return at.isoformat(timespec="seconds")

"""One push to one user in words: what became of it, and what is unusual about it."""

from collections.abc import Iterator, Mapping
from typing import Final

from push_blaster.domain.cadence.names import name_rule
from push_blaster.domain.delivery.ledger import LedgerState
from push_blaster.domain.executions.funnel import COUNTS
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.users.timeline import EntryKind, TimelineEntry, UserPush

#: The states of the ledger in the words of the funnel.
LABELS: Final[Mapping[str, str]] = {
    state.value: count.label for count in COUNTS.values() for state in count.states
}
_AWAITS_WINNER: Final = "waiting for the winner of an experiment"
_AWAITS_WINDOW: Final = "deferred to the user's send window"
#: The messages that left this system, or may have.
GOT: Final = frozenset({LedgerState.SENT, LedgerState.IN_DOUBT})


def tell_push(push: UserPush) -> TimelineEntry:
    """Return the entry of a push."""
    kind = "test" if push.is_test else "live"
    return TimelineEntry(
        at=push.claimed_at,
        kind=EntryKind.PUSH,
        id=f"push/{push.execution_id}/{push.position}/{kind}",
        text=explain(push),
        notes=tuple(_find_notes(push)),
        is_trial=is_trial(push),
        execution_id=push.execution_id,
        automation_id=push.automation_id,
        automation_name=push.automation_name,
        position=push.position,
        push=push,
    )


def is_trial(push: UserPush) -> bool:
    """Return whether the push was a test, a dry run or a simulation."""
    return push.is_test or push.mode != Mode.LIVE


def label(push: UserPush) -> str:
    """Return what became of a push, in a few words; a capped push with its rule."""
    if push.state == LedgerState.CAPPED and push.reason:
        return f"capped by the rule “{name_rule(push.reason)}”"
    if push.is_waiting:
        return _AWAITS_WINNER if push.awaits_winner else _AWAITS_WINDOW
    return LABELS.get(push.state, push.state.replace("_", " "))


def explain(push: UserPush) -> str:
    """Return what became of a push, with the reason."""
    text = label(push)
    reason = "" if push.state == LedgerState.CAPPED else push.reason or ""
    whole = reason if reason.startswith(text) else f"{text}: {reason}" if reason else text
    return f"{whole[0].upper()}{whole[1:]}."


def _find_notes(push: UserPush) -> Iterator[str]:
    if push.awaits_winner:
        yield "The texts are those of the push itself; the winner may have other ones."
    if push.was_in_doubt and push.state == LedgerState.SENT:
        yield (
            "It may have arrived twice: the outcome of its first send is unknown, and it was sent "
            "again under the same display tag."
        )
    if push.uncapped_reason and push.state in GOT:
        yield f"It went out without a check of the cadence rules: {push.uncapped_reason}"
    if push.over_cap:
        rules = ", ".join(f"“{name_rule(rule)}”" for rule in push.over_cap)
        yield f"With it the user got more than these cadence rules allow: {rules}."

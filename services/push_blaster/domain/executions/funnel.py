"""The funnel of a push: how many users were generated, eligible, reached, and lost on the way.

The fields of `Funnel` are the only list of these counts. Each field gives the count its name (in
camelCase, the name in JSON), the words for people, its group, and the states of the ledger that it
counts. A new count is one more line there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Final, NamedTuple, Self

from push_blaster.domain.delivery.ledger import LedgerCounts, LedgerState


class Group(StrEnum):
    """The part of the funnel to which a count belongs."""

    STAGE = "a stage that users pass"
    LEFT_OUT = "left out before cadence is asked"
    REACHED = "reached"
    LOST = "lost"
    OPEN = "no outcome yet"


class LabelledCount(NamedTuple):
    """A number of users, and its label for people."""

    name: str
    label: str
    group: Group
    users: int

    def __str__(self) -> str:
        """Return the count as a person reads it."""
        return f"{self.users} {self.label}"


@dataclass(frozen=True, slots=True)
class VariantCount:
    """How many users of one variant got the message, and how many the provider refused."""

    sent: int
    failed: int


@dataclass(frozen=True, slots=True)
class _Count:
    label: str
    group: Group
    states: tuple[LedgerState, ...]


def _declare(label: str, group: Group, *states: LedgerState) -> int:
    """Return the field of a count; its type here is the type of the value."""
    metadata = {"description": f"users {label}", "count": _Count(label, group, states)}
    declared: int = field(default=0, metadata=metadata)
    return declared


@dataclass(frozen=True, slots=True, kw_only=True)
class Funnel:
    """Counts of users of one push.

    Shape: `exclusion_breakdown` is by cadence rule, `variants` by the id of the variant; `eligible`
    users passed cadence; `not_sent` users have not been tried.
    """

    generated: int = _declare("generated", Group.STAGE)
    valid: int = _declare("valid", Group.STAGE)
    distinct: int = _declare("distinct", Group.STAGE)
    holdout: int = _declare("in the holdout", Group.LEFT_OUT, LedgerState.HOLDOUT)
    sent_before: int = _declare("sent to before the stop", Group.REACHED, LedgerState.SENT_BEFORE)
    held: int = _declare("deferred to their send window", Group.OPEN, LedgerState.AWAITS_WINDOW)
    quiet_hours: int = _declare("in quiet hours", Group.LEFT_OUT, LedgerState.QUIET_HOURS)
    local_time_passed: int = _declare(
        "after the push's local time", Group.LEFT_OUT, LedgerState.LOCAL_TIME_PASSED
    )
    not_in_time: int = _declare(
        "with a send window that opens too late", Group.LEFT_OUT, LedgerState.NOT_IN_TIME
    )
    exited: int = _declare("out of the sequence", Group.LEFT_OUT, LedgerState.EXITED)
    no_winner: int = _declare("without a winner", Group.LEFT_OUT, LedgerState.NO_WINNER)
    opted_out: int = _declare("opted out", Group.LEFT_OUT, LedgerState.OPTED_OUT)
    eligible: int = _declare("eligible", Group.STAGE)
    excluded: int = _declare("capped by cadence", Group.LOST, LedgerState.CAPPED)
    exclusion_breakdown: Mapping[str, int] = field(default_factory=dict)
    with_token: int = _declare("with a device", Group.STAGE)
    no_token: int = _declare("without a device", Group.LOST, LedgerState.NO_TOKEN)
    missing_variable: int = _declare(
        "with a variable missing", Group.LOST, LedgerState.MISSING_VARIABLE
    )
    bad_deep_link: int = _declare(
        "with a deep link that is not allowed", Group.LOST, LedgerState.BAD_DEEP_LINK
    )
    too_long: int = _declare("with a message that is too long", Group.LOST, LedgerState.TOO_LONG)
    sent: int = _declare("sent", Group.REACHED, LedgerState.SENT)
    would_send: int = _declare("would be sent", Group.REACHED, LedgerState.DRY_RUN)
    failed: int = _declare(
        "refused by the provider", Group.LOST, LedgerState.FAILED, LedgerState.TOKEN_DEAD
    )
    variants: Mapping[str, VariantCount] = field(default_factory=dict)
    in_flight: int = _declare("being sent", Group.OPEN, LedgerState.CLAIMED)
    deferred: int = _declare("deferred by the provider", Group.OPEN, LedgerState.DEFERRED)
    in_doubt: int = _declare("in doubt (outcome unknown)", Group.LOST, LedgerState.IN_DOUBT)
    resent_in_doubt: int = _declare("in doubt and sent again", Group.STAGE)
    not_sent: int = _declare("not sent yet", Group.OPEN)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Return a stored funnel; a count that an older version lacks is 0."""
        known = {name: document[key] for name, key in JSON_NAMES.items() if key in document}
        variants = {
            id_: VariantCount(own["sent"], own["failed"])
            for id_, own in known.get("variants", {}).items()
        }
        return cls(**{**known, "variants": variants})

    def to_document(self) -> Mapping[str, Any]:
        """Return the funnel as it is stored and answered."""
        document = {key: getattr(self, name) for name, key in JSON_NAMES.items()}
        variants = {
            id_: {"sent": own.sent, "failed": own.failed} for id_, own in self.variants.items()
        }
        return {**document, "variants": variants}

    def describe(self) -> str:
        """Return the most important counts in one line; `sent` of a dry run is what would be."""
        delivered = "would_send" if self.would_send else "sent"
        open_now = ("in_flight",) if self.in_flight else ()
        names = (*_STAGES, delivered, "failed", "in_doubt", *open_now)
        return ", ".join(f"{getattr(self, name)} {COUNTS[name].label}" for name in names)

    def list_counts(self, *groups: Group) -> list[LabelledCount]:
        """Return the counts of `groups` that are not 0, in the order of the funnel."""
        return [
            LabelledCount(name, count.label, count.group, users)
            for name, count in COUNTS.items()
            if count.group in groups and (users := getattr(self, name))
        ]

    @property
    def reaches_nobody(self) -> bool:
        """Whether nobody was, or may have been, sent to, and nobody would be."""
        return not (self.list_counts(Group.REACHED) or self.in_doubt)

    @property
    def unsettled(self) -> int:
        """How many users have no outcome yet."""
        return sum(count.users for count in self.list_counts(Group.OPEN))


COUNTS: Final[Mapping[str, _Count]] = {
    one.name: one.metadata["count"] for one in fields(Funnel) if "count" in one.metadata
}
#: The name in JSON of each field.
JSON_NAMES: Final[Mapping[str, str]] = {
    one.name: one.name[0] + one.name.title().replace("_", "")[1:] for one in fields(Funnel)
}
#: The stages in the line that describes a funnel.
_STAGES: Final = ("generated", "valid", "distinct", "eligible", "with_token")
_DEFERRED: Final = (LedgerState.AWAITS_WINDOW, LedgerState.DEFERRED)
#: The states of users for which cadence was not asked, or not yet.
_NEVER_ASKED: Final = (
    *(s for count in COUNTS.values() if count.group is Group.LEFT_OUT for s in count.states),
    *(LedgerState.SENT_BEFORE, LedgerState.AWAITS_WINDOW),
)


def add_funnels(funnels: Iterable[Funnel]) -> Funnel:
    """Return the sums of several funnels, without rules and variants."""
    every = list(funnels)
    return Funnel(**{name: sum(getattr(one, name) for one in every) for name in COUNTS})


def count_funnel(
    counts: LedgerCounts,
    *,
    generated: int = 0,
    valid: int = 0,
    distinct: int = 0,
    has_ended: bool = False,
) -> Funnel:
    """Return the funnel of a push, by the sizes of its audience and the counts of its ledger.

    Nobody waits for an execution that `has_ended`: who is deferred counts as not sent.
    """
    given_up = _DEFERRED if has_ended else ()
    states = {state: users for state, users in counts.states.items() if state not in given_up}
    decided = sum(states.values())
    eligible = decided - _sum(states, (LedgerState.CAPPED, *_NEVER_ASKED))
    by_state = {name: _sum(states, count.states) for name, count in COUNTS.items() if count.states}
    derived = {
        "generated": generated,
        "valid": valid,
        "distinct": distinct,
        "eligible": eligible,
        "with_token": eligible - by_state["no_token"],
        "resent_in_doubt": counts.ever_in_doubt - by_state["in_doubt"],
        "not_sent": distinct - decided,
    }
    variants = {id_: _count_variant(own) for id_, own in sorted(counts.variants.items())}
    return Funnel(**by_state, **derived, exclusion_breakdown=counts.rules, variants=variants)


def _count_variant(states: Mapping[str, int]) -> VariantCount:
    return VariantCount(*(_sum(states, COUNTS[name].states) for name in ("sent", "failed")))


def _sum(states: Mapping[str, int], wanted: Iterable[LedgerState]) -> int:
    return sum(states.get(state, 0) for state in wanted)

"""The ledger of a push: which users got it, and which did not and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

#: The reasons of the state `holdout`: results tell the two apart.
HELD_OUT_OF_ALL: Final = "held out of every automation"
HELD_OUT: Final = "held out of this automation"


class LedgerState(StrEnum):
    """The state of a user of a push; the values are stored in `deliveries.state`.

    `AWAITS_WINDOW` is only counted and never stored: the user is deferred to a send window, and
    was never tried.
    """

    CLAIMED = "claimed"
    SENT = "sent"
    FAILED = "failed"
    TOKEN_DEAD = "token_dead"  # noqa: S105 - no password
    IN_DOUBT = "in_doubt"
    DEFERRED = "deferred"
    DRY_RUN = "dry_run"
    CAPPED = "held_back"
    NO_TOKEN = "no_token"  # noqa: S105 - no password
    MISSING_VARIABLE = "missing_variable"
    BAD_DEEP_LINK = "bad_deep_link"
    TOO_LONG = "too_long"
    HOLDOUT = "holdout"
    SENT_BEFORE = "sent_before"
    QUIET_HOURS = "quiet_hours"
    LOCAL_TIME_PASSED = "local_time_passed"
    NOT_IN_TIME = "not_in_time"
    EXITED = "exited"
    NO_WINNER = "no_winner"
    OPTED_OUT = "opted_out"
    AWAITS_WINDOW = "held"


class BatchKey(NamedTuple):
    """The key of one batch of one push of one execution."""

    execution_id: str
    position: int
    number: int

    @property
    def page(self) -> "LedgerPage":
        """Return the page of the ledger that has the batch's users."""
        return LedgerPage(self.execution_id, self.position, is_test=False, batch=self.number)


class LedgerPage(NamedTuple):
    """A part of the ledger: a push's test, or one batch of its live send.

    Shape: the fields have the names of their columns.
    """

    execution_id: str
    position: int
    is_test: bool
    batch: int = 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """A user who gets no message, and why."""

    user_id: UUID
    state: LedgerState
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerCounts:
    """How many users of a push are in each state of the ledger.

    Shape: states by their values, those of a newer version included; `rules` counts the capped
    users by cadence rule; `ever_in_doubt` counts users who are, or once were, in doubt.
    """

    states: Mapping[str, int] = field(default_factory=dict)
    rules: Mapping[str, int] = field(default_factory=dict)
    variants: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    ever_in_doubt: int = 0

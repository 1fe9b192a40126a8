"""Results: what pushes did, counted for an automation, a push, a variant, a layer, a run or a day.

Counters are kept for each push of each execution and each variant of it. Every other result is a
sum of these counters.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final, NamedTuple, Self

from push_blaster.domain.engagement.comparison import Comparison

#: Opens and deliveries of a push come in for about so long; until then results are "so far".
WINDOW: Final = timedelta(hours=24)
#: The place of a variant in the counters: the push's own texts, and two that are no variants.
OWN_TEXTS: Final = 0
OWN_HOLDOUT: Final = -1
GLOBAL_HOLDOUT: Final = -2


class Grouping(StrEnum):
    """What one result is about."""

    AUTOMATION = "automation"
    PUSH = "push"
    VARIANT = "variant"
    LAYER = "layer"
    EXECUTION = "execution"
    DAY = "day"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The counters of pushes; each but `conversions` and `value` counts users.

    Shape: the fields have the names of their columns. A user counts once for each push and kind of
    event, whatever the number of devices. `first_…` counts only users who did not do the same
    before, since the texts changed: comparisons need these. `assigned` users were offered a turn,
    or are in a holdout; `converted` are those of them who reached the goal in time.
    """

    sent: int = 0
    failed: int = 0
    in_doubt: int = 0
    delivered: int = 0
    opened: int = 0
    dismissed: int = 0
    actions: int = 0
    opted_out: int = 0
    first_at_risk: int = 0
    first_opened: int = 0
    first_acted: int = 0
    assigned: int = 0
    converted: int = 0
    first_assigned: int = 0
    first_converted: int = 0
    conversions: int = 0
    value: Decimal = Decimal(0)

    def __add__(self, other: Self) -> Self:
        """Return the sums of both."""
        return type(self)(
            **{name: getattr(self, name) + getattr(other, name) for name in COUNT_NAMES}
        )


COUNT_NAMES: Final = tuple(one.name for one in fields(Counts))


class ResultKey(NamedTuple):
    """What a result is about; a part that the grouping does not have is None.

    Shape: a layer's result has only `layer_id`; a variant's has its automation and its push, too,
    and None as `variant` for the push's own texts.
    """

    automation_id: str | None = None
    push_id: str | None = None
    variant: str | None = None
    layer_id: int | None = None
    execution_id: str | None = None
    day: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What the pushes of one group did.

    Shape: `counts` are of the users who were offered a push, and each holdout has its own;
    `is_open` while events still come in, so that every figure is "so far"; `uplift` compares with
    the automation's own holdout.
    """

    key: ResultKey = field(default_factory=ResultKey)
    automation_name: str | None = None
    executions: int = 0
    first_sent_at: datetime | None = None
    last_sent_at: datetime | None = None
    is_open: bool = False
    counts: Counts = field(default_factory=Counts)
    holdout: Counts = field(default_factory=Counts)
    global_holdout: Counts = field(default_factory=Counts)
    uplift: Comparison | None = None

    @property
    def delivery_rate(self) -> float | None:
        """Return the share of the users sent to whose device reported the message."""
        return share(self.counts.delivered, self.counts.sent)

    @property
    def open_rate(self) -> float | None:
        """Return the share of the users sent to who opened the message."""
        return share(self.counts.opened, self.counts.sent)

    @property
    def opt_out_rate(self) -> float | None:
        """Return the share of the users sent to who opted out."""
        return share(self.counts.opted_out, self.counts.sent)

    @property
    def conversion_rate(self) -> float | None:
        """Return the share of the users who were offered a turn who reached the goal."""
        return share(self.counts.converted, self.counts.assigned)

    @property
    def holdout_conversion_rate(self) -> float | None:
        """Return the share of the users in the automation's holdout who reached the goal."""
        return share(self.holdout.converted, self.holdout.assigned)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two variants of a push, side by side."""

    first: str
    second: str
    comparison: Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class PushResults:
    """What one push of an automation did, and each of its variants."""

    result: Result
    variants: Sequence[Result] = ()
    pairs: Sequence[Pair] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AutomationResults:
    """What an automation did: in all, and by push, day and execution, the newest first."""

    automation_id: str
    total: Result
    pushes: Sequence[PushResults] = ()
    days: Sequence[Result] = ()
    executions: Sequence[Result] = ()


def share(part: int, whole: int) -> float | None:
    """Return part / whole, from 0 to 1; None if there is no whole."""
    return min(part / whole, 1.0) if whole else None


def add_counts(every: Iterable[Counts]) -> Counts:
    """Return the sums of counters."""
    return sum(every, Counts())

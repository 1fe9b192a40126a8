"""Safeguards: when a send must be stopped, needs approval, or is reported."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median
from typing import Final

from push_blaster.domain.number_words import number_of

#: With fewer tried messages, a failure rate has no meaning.
RATE_SAMPLE: Final = 50
#: With fewer outcomes in a batch, the provider is believed even if it calls most devices dead.
DEAD_SAMPLE: Final = 20
#: Audiences that are smaller than this, now and before, never drift: their sizes are random.
DRIFT_FLOOR: Final = 1_000


class ViolationType(StrEnum):
    """The kind of a safeguard's finding."""

    AUDIENCE_SIZE_EXCEEDED = "audience_size_exceeded"
    AUDIENCE_EMPTY = "audience_empty"
    AUDIENCE_DRIFT = "audience_drift"
    FAILURE_RATE_EXCEEDED = "failure_rate_exceeded"
    EXECUTION_TIMEOUT = "execution_timeout"
    MANY_DEAD_DEVICES = "many_dead_devices"
    DEVICES_OF_OTHER_PROJECT = "devices_of_other_project"
    LIVE_SEND_LATE = "live_send_late"
    OUT_OF_RESOURCES = "out_of_resources"


class Severity(StrEnum):
    """The severity of a finding: whether the execution continued."""

    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Violation:
    """A limit that an execution exceeded; a critical violation ended it."""

    type: ViolationType
    severity: Severity
    message: str
    data: Mapping[str, object] = field(default_factory=dict)
    position: int = 0


def exceeds_failure_rate(sent: int, failed: int, limit: float | None) -> bool:
    """Return whether too many messages fail; dead device tokens are no failures.

    Shape: `limit` is a share from 0 to 1, or None for none.
    """
    tried = sent + failed
    return limit is not None and tried >= RATE_SAMPLE and failed / tried > limit


def are_hardly_dead(dead: int, outcomes: int) -> bool:
    """Return whether a batch calls so many devices dead that something else is wrong."""
    return outcomes >= DEAD_SAMPLE and dead > outcomes / 2


def find_size_drift(size: int, earlier: Sequence[int], factor: float) -> str | None:
    """Return the difference from the median size of `earlier` runs in words, if it is too large."""
    if not earlier:
        return None
    usual = median(earlier)
    if max(size, usual) < DRIFT_FLOOR or usual / factor <= size <= usual * factor:
        return None
    return f"its audience has {number_of(size, 'user')}, and usually about {usual:.0f}"


def find_overlap_drift(overlap: float, minimum: float | None) -> str | None:
    """Return the overlap with the last run's audience in words, if it is too small."""
    if minimum is None or overlap >= minimum:
        return None
    return f"it shares {overlap:.0%} of its users with the last run, less than {minimum:.0%}"

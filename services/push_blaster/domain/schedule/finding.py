"""Findings about an automation that people should know before it sends, by what they are about."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo


class FindingKind(StrEnum):
    """The subject of a finding."""

    NEVER_SENDS = "never_sends"
    LATE_BY_WINDOW = "late_by_window"
    WINDOW_RAISED = "window_raised"
    SKIPS_SLOTS = "skips_slots"
    TIME_PASSED = "time_passed"
    TOO_SLOW = "too_slow"
    NO_AUDIENCE = "no_audience"
    BAD_PARAMETERS = "bad_parameters"
    UNKNOWN_AUDIENCE = "unknown_audience"
    NO_TEST_USERS = "no_test_users"
    BAD_TEST_USER = "bad_test_user"
    BAD_TEST_DEVICE = "bad_test_device"
    NEEDS_APPROVAL = "needs_approval"
    IS_CAPPED = "crowded"
    CAPS_OTHERS = "crowds"
    RULES_UNKNOWN = "rules_unknown"
    MANY_AT_ONCE = "many_at_once"
    AWAITS_WINNER = "awaits_winner"


class Theme(StrEnum):
    """What findings are about; the most serious theme comes first."""

    NOTHING_SENT = "Nothing would be sent"
    FEWER_PEOPLE = "Fewer people would get it"
    OTHERS = "Other automations would lose people"
    TIMING = "When it goes out"
    TESTS = "Test and approval"
    UNKNOWN = "Not checked"


_K = FindingKind
_KINDS: Final[Mapping[Theme, frozenset[FindingKind]]] = {
    Theme.NOTHING_SENT: frozenset(
        {_K.NEVER_SENDS, _K.NO_AUDIENCE, _K.BAD_PARAMETERS, _K.UNKNOWN_AUDIENCE, _K.NO_TEST_USERS}
    ),
    Theme.FEWER_PEOPLE: frozenset({_K.IS_CAPPED, _K.TOO_SLOW}),
    Theme.OTHERS: frozenset({_K.CAPS_OTHERS}),
    Theme.TIMING: frozenset(
        {
            *(_K.SKIPS_SLOTS, _K.LATE_BY_WINDOW, _K.TIME_PASSED, _K.WINDOW_RAISED),
            *(_K.MANY_AT_ONCE, _K.AWAITS_WINNER),
        }
    ),
    Theme.TESTS: frozenset({_K.BAD_TEST_USER, _K.BAD_TEST_DEVICE, _K.NEEDS_APPROVAL}),
    Theme.UNKNOWN: frozenset({_K.RULES_UNKNOWN}),
}
#: An automation with a finding of one of these kinds sends nothing, at any of its slots.
FATAL: Final = _KINDS[Theme.NOTHING_SENT]

_SMALL: Final = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_NUMBERS: Final = (*_SMALL, "ten")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that stands out in a plan; the message says what happens, and what to do.

    Shape: `field` is the path of the field to correct; a fatal finding always has one. `rule` is
    the cadence rule that it is about, and `automation_id` the other automation.
    """

    kind: FindingKind
    message: str
    field: str = ""
    rule: str = ""
    automation_id: str = ""

    @property
    def is_fatal(self) -> bool:
        """Whether the automation sends nothing, at any of its slots."""
        return self.kind in FATAL


def group_findings(findings: Iterable[Finding]) -> dict[Theme, list[Finding]]:
    """Return the findings of each theme, the most serious theme first."""
    found = list(findings)
    groups = {theme: [f for f in found if f.kind in kinds] for theme, kinds in _KINDS.items()}
    return {theme: group for theme, group in groups.items() if group}


def spell_number(number: int) -> str:
    """Return a number as a text has it: up to ten as a word."""
    return _NUMBERS[number] if number < len(_NUMBERS) else str(number)


def spell_instant(instant: datetime, zone: str) -> str:
    """Return an instant in a zone, as `Tue 24 Nov 2026, 12:30 UTC`."""
    local = instant.astimezone(ZoneInfo(zone))
    return f"{local:%a} {local.day} {local:%b %Y, %H:%M} {local:%Z}"


def spell_duration(duration: timedelta) -> str:
    """Return a length of time as `45 min` or `2 h 30 min`."""
    minutes = duration / timedelta(minutes=1)
    if minutes < 60:
        return f"{minutes:.3g} min"
    hours, rest = divmod(round(minutes), 60)
    return f"{hours} h" + (f" {rest} min" if rest else "")

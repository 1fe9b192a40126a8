"""Findings in words, by theme."""

from datetime import timedelta

import pytest

from push_blaster.domain.schedule.finding import (
    FATAL,
    Finding,
    FindingKind,
    Theme,
    group_findings,
    spell_duration,
    spell_instant,
    spell_number,
)
from tests.builders import NOON


def test_every_kind_has_one_theme_and_the_fatal_ones_come_first() -> None:
    groups = group_findings(Finding(kind, "") for kind in reversed(FindingKind))

    assert list(groups) == list(Theme)
    assert sorted(f.kind for group in groups.values() for f in group) == sorted(FindingKind)
    assert {finding.kind for finding in groups[Theme.NOTHING_SENT]} == FATAL


@pytest.mark.parametrize(
    ("minutes", "said"),
    [(0.5, "0.5 min"), (45, "45 min"), (60, "1 h"), (150, "2 h 30 min"), (4_320, "72 h")],
)
def test_a_duration_is_told_in_hours_and_minutes(minutes: float, said: str) -> None:
    assert spell_duration(timedelta(minutes=minutes)) == said


def test_an_instant_has_its_day_and_its_zone() -> None:
    assert spell_instant(NOON, "Europe/Berlin") == "Tue 24 Nov 2026, 13:00 CET"


def test_small_numbers_are_words() -> None:
    assert [spell_number(n) for n in (1, 10, 11)] == ["one", "ten", "11"]

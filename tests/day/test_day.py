"""A short day in every run of the tests; `make day` is the long one."""

from datetime import timedelta
from pathlib import Path
from typing import Final

from tests.day.day import live_through
from tests.day.faults import Kind
from tests.day.judge import judge
from tests.day.plot import draw
from tests.day.report import report

FAULTS: Final = (Kind.SCRIPT_FAILS, Kind.ENGINE, Kind.REPLICA, Kind.EDIT)


def test_nothing_is_unexplained_unaccounted_or_lost(place: Path) -> None:
    place.mkdir(mode=0o711)

    day = live_through(place, FAULTS, timedelta(seconds=7), print)

    wrong = judge(day)
    assert wrong == [], report(day, wrong)
    assert day.evidence.slots, "it was up for long enough to owe something"
    assert {alarm.name for alarm in day.alarms} >= {"ExecutionsFail"}
    assert "engine 1" in draw(day)

"""What takes an automation off the clock takes effect before anybody records the change."""

from collections.abc import Callable

import pytest

from push_blaster.adapters.automations.document_files import StaleVersionError
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.automations.put_away import archive
from push_blaster.use_cases.executions.stop_execution import stop_running
from tests.push_blaster.bench import Bench
from tests.push_blaster.use_cases.schedule.garden import NEWS, Garden
from tests.push_blaster.web.execution_support import make_live


def _archive(garden: Garden) -> None:
    archive(garden.files, garden.bench.database, "news", None, garden.bench.now)


def _stop(garden: Garden) -> None:
    garden.control.emergency_stop("news", "Wrong text.", garden.bench.now)


def _switch_off(garden: Garden) -> None:
    garden.edit(status="draft", isActive=False)


@pytest.mark.parametrize("end", [Garden.pause, Garden.delete, _archive, _switch_off, _stop])
def test_an_execution_is_cancelled_before_the_change_is_recorded(
    bench: Bench, end: Callable[[Garden], None]
) -> None:
    garden = Garden(bench)
    garden.open()
    seen: list[Phase] = []
    garden.files.on_change = lambda _: seen.append(garden.phase())

    end(garden)

    assert seen == [Phase.CANCELLED]


def test_an_emergency_stop_stops_what_is_live_before_the_pause_is_recorded(bench: Bench) -> None:
    garden = Garden(bench)
    garden.open()
    make_live(bench.database, NEWS)
    seen: list[dict[str, object]] = []
    garden.files.on_change = lambda _: seen.append(
        dict(stop_running(bench.database, "news", "Again.", bench.now))
    )

    _stop(garden)

    assert seen == [{}]
    assert garden.phase() is Phase.CANCELLED


def test_a_change_that_fails_is_not_reported_and_holds_no_later_one(bench: Bench) -> None:
    garden = Garden(bench)
    seen: list[str] = []
    garden.files.on_change = lambda change: seen.append(change.id)

    with pytest.raises(StaleVersionError):
        garden.edit(version=99, status="paused")
    garden.edit(name="Other news")

    assert seen == ["news"]

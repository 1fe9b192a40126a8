"""A heartbeat follows work that was done, and stops when work is left undone."""

from datetime import timedelta
from pathlib import Path

import responses

from chassis.postgres import Database
from push_blaster.adapters.automations.automation_document import complete_document
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.operations.engine_table import beat
from push_blaster.adapters.operations.heartbeat_url import ping_heartbeat
from push_blaster.use_cases.schedule.send_heartbeat import Heartbeat
from push_blaster.use_cases.schedule.watch_clock import ClockWatch
from tests.builders import NOON
from tests.push_blaster.bench import an_automation_document

SECOND = timedelta(seconds=1)


def a_heartbeat(database: Database, folder: Path, *, is_taken: bool = True) -> Heartbeat:
    with database.transaction() as connection:
        beat(connection, "here:1", NOON, NOON, {})
    watch = ClockWatch(AutomationFiles(folder / "automations"), database)
    return Heartbeat(watch, lambda: is_taken, uptime=lambda: 100.0)


def test_it_is_sent_after_a_tick_and_once_a_minute(database: Database, tmp_path: Path) -> None:
    heartbeat = a_heartbeat(database, tmp_path)
    sent = []

    for second in range(12):
        heartbeat.uptime = lambda second=second: 100.0 + second  # type: ignore[misc]  # a default
        heartbeat.note_tick()
        sent.append(heartbeat.send_if_due(NOON + second * SECOND))

    assert sent == [True, *[False] * 11]


def test_a_loop_that_runs_without_a_tick_sends_none(database: Database, tmp_path: Path) -> None:
    heartbeat = a_heartbeat(database, tmp_path)

    assert not heartbeat.send_if_due(NOON)
    heartbeat.note_tick()
    heartbeat.uptime = lambda: 111.0
    assert not heartbeat.send_if_due(NOON + 11 * SECOND)


def test_a_clock_that_is_set_back_does_not_silence_it(database: Database, tmp_path: Path) -> None:
    heartbeat = a_heartbeat(database, tmp_path)
    heartbeat.note_tick()
    assert heartbeat.send_if_due(NOON)

    heartbeat.uptime = lambda: 161.0
    heartbeat.note_tick()
    assert heartbeat.send_if_due(NOON - timedelta(hours=2))


def test_a_due_automation_that_no_engine_opened_ends_it(database: Database, tmp_path: Path) -> None:
    heartbeat = a_heartbeat(database, tmp_path)
    document = complete_document(an_automation_document())
    long_ago = (NOON - timedelta(hours=1)).isoformat()
    AutomationFiles(tmp_path / "automations").create({**document, "updatedAt": long_ago})
    heartbeat.note_tick()

    assert not heartbeat.send_if_due(NOON)


def test_a_heartbeat_that_was_not_taken_is_sent_again(database: Database, tmp_path: Path) -> None:
    heartbeat = a_heartbeat(database, tmp_path, is_taken=False)
    heartbeat.note_tick()
    assert not heartbeat.send_if_due(NOON)

    heartbeat.ping = lambda: True
    assert heartbeat.send_if_due(NOON + SECOND)


@responses.activate
def test_only_a_success_counts_as_taken() -> None:
    url = "https://watchdog.example.com/ping/1"
    for status in (200, 404, 302):
        responses.get(url, status=status)

    assert [ping_heartbeat(url) for _ in range(3)] == [True, False, False]

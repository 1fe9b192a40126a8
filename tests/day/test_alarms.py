"""Alerts fire once they have waited, fire again when it gets worse, and calm down."""

from datetime import UTC, datetime, timedelta

from tests.day.alarms import Alerts, Rule, read_alerts
from tests.day.promql import Samples, parse

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def late(count: float) -> Samples:
    return {"push_slots_late": {frozenset(): count}}


def look_at(alerts: Alerts, *counts: float) -> list[tuple[float, float]]:
    """Return each alarm's second and value, of a scrape a second."""
    return [
        ((alarm.at - NOON).total_seconds(), alarm.value)
        for second, count in enumerate(counts)
        for alarm in alerts.look(late(count), NOON + timedelta(seconds=second))
    ]


def test_an_alert_waits_rises_and_calms_down() -> None:
    def rules() -> Alerts:
        return Alerts([Rule("SlotsLate", parse("max(push_slots_late) > 0"), wait_s=2)])

    assert look_at(rules(), 1, 1, 0, 1, 1, 0) == [], "never for so long"
    assert look_at(rules(), 1, 1, 1, 1, 3, 3) == [(2, 1), (4, 3)]
    assert look_at(rules(), 1, 1, 1, 0, 1, 1, 1) == [(2, 1), (6, 1)]


def test_every_alert_of_ours_is_understood_and_none_fires_of_a_system_that_is_well() -> None:
    well: Samples = {
        "push_engines_alive": {frozenset(): 2.0},
        "push_database_up": {frozenset(): 1.0},
        "push_cadence_up": {frozenset(): 1.0},
        "cadence_database_up": {frozenset(): 1.0},
        "cadence_rules_active": {frozenset(): 3.0},
    }
    alerts = read_alerts()

    alarms = [
        alarm
        for second in range(60)
        for alarm in alerts.look(well, NOON + timedelta(seconds=second))
    ]

    assert alarms == []
    assert len(alerts.rules) > 15
    gone = [a.name for s in range(61, 90) for a in alerts.look({}, NOON + timedelta(seconds=s))]
    assert gone == ["WebAway"]

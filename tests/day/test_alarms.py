"""Alerts fire once they have waited, fire again when it gets worse, and calm down."""

from datetime import UTC, datetime, timedelta

import pytest

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

    assert [alarm.name for alarm in alarms] == []
    assert len(alerts.rules) > 15
    gone = [a.name for s in range(61, 90) for a in alerts.look({}, NOON + timedelta(seconds=s))]
    assert gone == ["WebAway"]


def counts(engines: float, webs: int, **figures: float) -> Samples:
    """Return what two webs and their engines would tell if so many lived."""
    up = {frozenset({("instance", str(number))}): 1.0 for number in range(webs)}
    own = {name: {frozenset[tuple[str, str]](): figure} for name, figure in figures.items()}
    alive = {frozenset[tuple[str, str]](): engines}
    return {"push_engines_alive": alive, "push_database_up": up, "cadence_database_up": up, **own}


def find_alarms(*told: Samples) -> list[str]:
    alerts = read_alerts(compression=1)
    return [
        alarm.name
        for minute, samples in enumerate(told)
        for alarm in alerts.look(samples, NOON + timedelta(minutes=minute))
    ]


def test_the_loss_of_one_process_of_a_kind_is_told() -> None:
    usual = [counts(2, 2)] * 60

    assert find_alarms(*usual) == []
    assert find_alarms(*usual, *[counts(1, 2)] * 10) == ["EngineLost"]
    assert find_alarms(*usual, *[counts(2, 1)] * 10) == ["WebLost", "CadenceReplicaLost"]
    assert find_alarms(*usual[:30], *[counts(3, 3)] * 2, *usual[:30]) == [], "an upgrade overlaps"


def test_a_setting_says_how_many_are_expected() -> None:
    expected = {
        f"{name}_expected": 3.0 for name in ("push_engines", "push_webs", "cadence_replicas")
    }

    lost = find_alarms(*[counts(2, 2, **expected)] * 10)
    fewer = find_alarms(*[counts(4, 4)] * 60, *[counts(3, 3, **expected)] * 10)

    assert lost == ["EngineLost", "WebLost", "CadenceReplicaLost"]
    assert fewer == [], "from now on, fewer are enough"


@pytest.mark.parametrize(
    ("age", "alert"),
    [
        ("push_backup_age_seconds", "BackupOld"),
        ("push_prune_age_seconds", "PushPruneOld"),
        ("cadence_prune_age_seconds", "CadencePruneOld"),
    ],
)
def test_a_task_of_the_night_that_has_not_run_is_told(age: str, alert: str) -> None:
    assert find_alarms(*(counts(2, 2, **{age: hours * 3_600}) for hours in (1, 26, 35))) == []
    assert find_alarms(*(counts(2, 2, **{age: hours * 3_600}) for hours in (35, 37))) == [alert]

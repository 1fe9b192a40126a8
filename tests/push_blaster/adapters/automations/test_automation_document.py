"""The document: original files with all their oddities, defaults, and refusals."""

import math
from datetime import UTC, date, datetime, time, timedelta
from time import monotonic
from typing import Any

import pytest
from marshmallow import ValidationError

from chassis.problems import flatten_messages
from push_blaster.adapters.automations.automation_document import complete_document, read_automation
from push_blaster.domain.automations.automation import (
    FailPolicy,
    Goal,
    InDoubtPolicy,
    MissedRunPolicy,
)
from push_blaster.domain.automations.experiment import Experiment, Metric
from tests.builders import a_document


def original() -> dict[str, Any]:
    """Return a document with the oddities that real files of the original have."""
    return {
        "id": "b1f0e7e2-0000-4000-8000-000000000001",
        "name": "Layer 3",
        "description": "",
        "type": "script_based",
        "status": "active",
        "isActive": True,
        "schedule": {
            "timezone": "America/Chicago",
            "frequency": "daily",
            "startDate": "2025-08-18T05:00:00.000Z",
            "executionTime": "12:30",
            "leadTimeMinutes": 30,
        },
        "template": {"name": "x", "category": "manual", "config": {}},
        "pushSequence": [
            {
                "id": "",
                "automationId": "b1f0",
                "sequenceOrder": 2,
                "title": "Second",
                "body": "B",
                "deepLink": "",
                "layerId": 3,
                "timing": {"delayAfterPrevious": 5, "scheduledTime": "x", "sendTime": "y"},
                "audienceName": "recent_closet_adders",
                "status": "pending",
            },
            {"id": "", "sequenceOrder": 1, "title": "First", "body": "B", "layerId": 3},
        ],
        "audienceCriteria": {
            "filters": {},
            "dataPacks": {},
            "manualUserIds": [],
            "customScript": {"scriptId": "generate_layer_3_push_csvs"},
        },
        "settings": {
            "testUserIds": [],
            "isTest": False,
            "originalAutomationId": "o",
            "safeguards": {"requireConfirmation": True, "blockOverlapHours": 4},
        },
        "metadata": {"createdBy": "script_ui", "totalExecutions": 3},
        "createdAt": "2025-08-18T05:00:00.000Z",
        "updatedAt": "2025-08-18T05:00:00.000Z",
    }


def faults(document: dict[str, Any]) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        complete_document(document)
    return list(flatten_messages(caught.value.messages))


def test_an_original_file_loads_and_nothing_of_it_is_lost() -> None:
    document = complete_document(original())

    assert document["settings"]["safeguards"]["blockOverlapHours"] == 4
    assert document["settings"]["isTest"] is False
    assert document["pushSequence"][0]["timing"]["sendTime"] == "y"
    assert document["audienceCriteria"]["manualUserIds"] == []
    assert document["template"] == {"name": "x", "category": "manual", "config": {}}
    assert document["version"] == 1
    assert complete_document(document) == document


def test_the_typed_view_of_an_original_file() -> None:
    automation = read_automation(complete_document(original()))

    assert automation.is_scheduled
    assert [push.title for push in automation.pushes] == ["First", "Second"]
    assert [push.audience_name for push in automation.pushes] == ["default", "recent_closet_adders"]
    assert automation.pushes[1].delay == timedelta(minutes=5)
    assert automation.schedule.start_date == date(2025, 8, 18)
    assert automation.schedule.execution_time == time(12, 30)
    assert automation.script_id == "generate_layer_3_push_csvs"
    assert automation.updated_at == datetime(2025, 8, 18, 5, tzinfo=UTC)


def test_defaults_are_the_originals_and_ours() -> None:
    automation = read_automation(complete_document(a_document()))

    assert not automation.is_scheduled
    assert automation.schedule.lead_time == timedelta(minutes=30)
    assert automation.schedule.missed_run_policy is MissedRunPolicy.RUN_LATE
    assert automation.schedule.grace == timedelta(minutes=30)
    assert automation.settings.cancellation_window == timedelta(minutes=30)
    assert automation.settings.require_test_first
    assert automation.settings.in_doubt is InDoubtPolicy.RESEND
    assert automation.settings.fail_policy is FailPolicy.OPEN


def test_zero_is_a_lead_time_and_a_window() -> None:
    document = a_document(settings={"cancellationWindowMinutes": 0})
    document["schedule"]["leadTimeMinutes"] = 0

    automation = read_automation(complete_document(document))

    assert automation.schedule.lead_time == timedelta(0)
    assert automation.settings.cancellation_window == timedelta(0)


def test_the_calendars_date_and_time_of_the_original_stand_in() -> None:
    schedule = {"frequency": "once", "scheduledDate": "2026-02-01", "scheduledTime": "9:05"}

    read = read_automation(complete_document(a_document(schedule=schedule)))

    assert (read.schedule.start_date, read.schedule.execution_time) == (
        date(2026, 2, 1),
        time(9, 5),
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scheduledDate", 20260201),
        ("scheduledDate", "soon"),
        ("scheduledDate", ["2026-02-01"]),
        ("scheduledTime", 905),
        ("scheduledTime", "noon"),
    ],
)
def test_the_other_name_of_a_day_or_time_is_refused_if_it_cannot_be_read(
    name: str, value: object
) -> None:
    schedule = {"frequency": "once", "scheduledDate": "2026-02-01", "scheduledTime": "9:05"}

    with pytest.raises(ValidationError) as refused:
        complete_document(a_document(schedule={**schedule, name: value}))

    assert list(refused.value.messages) == ["schedule"]
    assert name in str(refused.value.messages)


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        (["id"], "../../etc/passwd", "id: Use letters, digits"),
        (["id"], "", "id: Use letters"),
        (["name"], "", "name: "),
        (["type"], "odd", "type: Must be one of"),
        (["status"], "odd", "status: Must be one of"),
        (["schedule", "timezone"], "Mars/Base", "schedule.timezone: 'Mars/Base' is no time zone"),
        (["schedule", "executionTime"], "25:00", "schedule.executionTime: '25:00' is no time of"),
        (["schedule", "executionTime"], "noon", "schedule.executionTime: 'noon' is no time of day"),
        (["schedule", "executionTime"], None, "schedule.executionTime: Give the live send time"),
        (["schedule", "startDate"], "soon", "schedule.startDate: 'soon' is no date"),
        (["schedule", "startDate"], "0001-01-01", "'0001-01-01' is no date from 1970 to 2200"),
        (["schedule", "endDate"], "9999-12-31", "'9999-12-31' is no date from 1970 to 2200"),
        (["schedule", "frequency"], "hourly", "schedule.frequency: Must be one of"),
        (["schedule", "leadTimeMinutes"], -1, "schedule.leadTimeMinutes: "),
        (["schedule", "daysOfWeek"], [7], "schedule.daysOfWeek[0]: 0 is Sunday, 6 Saturday."),
        (["schedule", "dayOfMonth"], 32, "schedule.dayOfMonth: "),
        (["pushSequence"], [], "pushSequence: A sequence has 1 to 20 pushes."),
        (
            ["pushSequence"],
            [{"title": "T", "body": "B"}] * 21,
            "pushSequence: A sequence has 1 to 20 pushes.",
        ),
        (["pushSequence", 0, "layerId"], 6, "pushSequence[0].layerId: Layers are 1 to 5"),
        (["pushSequence", 0, "title"], "", "pushSequence[0].title: "),
        (["pushSequence", 0, "timing"], {"delayAfterPrevious": -1}, "delayAfterPrevious: "),
        (["pushSequence", 0, "timing"], {"absoluteTime": "x"}, "absoluteTime: 'x' is neither"),
        (
            ["pushSequence", 0, "timing"],
            {"absoluteTime": "9999-12-31T23:59:59-12:00"},
            "is neither a time of day (HH:MM) nor an instant (ISO 8601) from 1970 to 2200",
        ),
        (["name"], "A \x00", "Texts may not contain NUL or half of a surrogate pair."),
        (["pushSequence", 0, "title"], "\ud83d", "Texts may not contain NUL or half"),
        (["settings"], {"cancellationWindowMinutes": 999}, "settings.cancellationWindowMinutes"),
        (["settings"], {"inDoubt": "maybe"}, "settings.inDoubt: Must be one of"),
        (["settings"], {"goal": {}}, "settings.goal.name: Give the goal the name"),
        (["settings"], {"goal": {"name": ""}}, "settings.goal.name: Give 1 to 100 characters."),
        (["settings"], {"goal": {"name": "opened"}}, "opened is an event of messages"),
        (["settings"], {"goal": {"name": "buy", "withinHours": 721}}, "settings.goal.withinHours"),
        (["settings"], {"exitOn": [""]}, "settings.exitOn[0]: Give 1 to 100 characters."),
        (["settings"], {"exitOn": ["buy", " "]}, "settings.exitOn[1]: Use printable characters"),
        (["settings"], {"exitOn": ["Opened"]}, "settings.exitOn[0]: Write the event as opened."),
        (["settings"], {"goal": {"name": "buy "}}, "settings.goal.name: Use printable characters"),
        (["settings"], {"goal": {"name": "a\nb"}}, "settings.goal.name: Use printable characters"),
        (
            ["settings"],
            {"goal": {"name": "buy"}, "holdoutPercent": 100},
            "settings.holdoutPercent: A holdout of 100 % leaves nobody to compare with",
        ),
        (["settings"], {"testUserIds": "x"}, "settings.testUserIds: Not a valid list."),
    ],
)
def test_what_does_not_fit_is_named(path: list[Any], value: object, fault: str) -> None:
    document = a_document()
    place: Any = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value

    assert any(fault in line for line in faults(document)), faults(document)


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("", "A custom schedule needs a cron expression."),
        ("61 * * * *", "is no cron expression"),
        ("0 0 30 2 *", "is no cron expression that ever fires"),
        ("whenever", "it has 1 fields, not 5 or 6"),
        (f"{','.join(['1'] * 200_000)} * * * *", "it has 400007 characters, and 400 are allowed"),
        ("0 9 * * * 0 2027", "it has 7 fields, not 5 or 6"),
        ("R 9 * * *", "R and H mean a time by chance"),
        ("0 9 * * 1,R/2", "R and H mean a time by chance"),
        ("0 9 1 * FRI#2", "the day 1 and the weekday FRI#2 cannot both be given"),
        ("0 9 * * FRI#L", "is not acceptable"),
        ("0 0 12 * * *", "its last field, the second, is '*' and not one number"),
        ("0 30 9 ? * MON-FRI", "one second as the last field"),
        ("0 9 * * 1 */5", "the second, is '*/5' and not one number"),
        ("0 9 * * 1 0-30", "the second, is '0-30' and not one number"),
        ("0 9 * * 1 0,30", "the second, is '0,30' and not one number"),
        ("0 9 * * 1 MON", "the second, is 'MON' and not one number"),
        ("0 9 * * 1 60", "is no cron expression"),
        ("0 0 9 * * 1", "For the first, leave out the second: '0 9 * * 1'"),
        ("0 */15 9-17 * * 5", "the hour 9-17 on the weekday 5"),
        ("30 0 18 1 * 0", "here it is the hour 0 on the day 18 of the month, at the second 0"),
        ("0 0 9 ? JAN 7", "other systems write the second first and the weekday last"),
        ("@reboot", "is no cron expression"),
    ],
)
def test_a_custom_schedule_needs_an_expression_that_fires(expression: str, fault: str) -> None:
    schedule = {"frequency": "custom", "cronExpression": expression}

    assert any(fault in line for line in faults(a_document(schedule=schedule)))


@pytest.mark.parametrize(
    "expression",
    ["0 9 * * 1 0", "0 9 * * 1 07", "0 0 9 * * 8", "0 9 31 * * 1", "*/5 9-17 * * 1,2", "@daily"],
)
def test_one_second_at_the_end_and_the_names_of_cron_are_taken(expression: str) -> None:
    assert complete_document(
        a_document(schedule={"frequency": "custom", "cronExpression": expression})
    )


@pytest.mark.parametrize(
    "schedule",
    [
        {"frequency": "custom", "cronExpression": ",".join(["1"] * 200_000) + " * * * *"},
        {"frequency": "custom", "cronExpression": "0 " * 200_000},
        {"frequency": "weekly", "executionTime": "12:00", "daysOfWeek": [1] * 200_000},
        {"frequency": "daily", "executionTime": "1" * 200_000},
        {"frequency": "daily", "executionTime": "12:00", "timezone": "Europe/" * 200_000},
        {"frequency": "once", "executionTime": "12:00", "startDate": "2" * 200_000},
    ],
)
def test_an_expression_that_is_too_long_is_refused_at_once(schedule: dict[str, Any]) -> None:
    began_at = monotonic()

    assert faults(a_document(schedule=schedule))
    assert monotonic() - began_at < 5


def test_once_needs_a_day_as_soon_as_it_is_scheduled() -> None:
    schedule = {"frequency": "once", "executionTime": "12:30"}

    assert complete_document(a_document(schedule=schedule, status="active"))
    assert faults(a_document(schedule=schedule, status="active", isActive=True)) == [
        "schedule.startDate: Give the day of the send as YYYY-MM-DD."
    ]


@pytest.mark.parametrize("raw", [[], "x", None, 3])
def test_what_is_no_object_is_refused(raw: Any) -> None:
    with pytest.raises(ValidationError):
        complete_document(raw)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("", None),
        (None, None),
        ("9:05", time(9, 5)),
        ("2027-03-28T02:30:00+02:00", datetime(2027, 3, 28, 0, 30, tzinfo=UTC)),
        ("2027-03-28T02:30:00", datetime(2027, 3, 28, 1, 0, tzinfo=UTC)),
        ("2026-10-25T02:30:00", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
    ],
    ids=["empty", "null", "time of day", "instant", "left out by the clocks", "comes twice"],
)
def test_an_absolute_time_is_none_a_time_of_day_or_an_instant(
    written: str | None, read: time | datetime | None
) -> None:
    document = a_document()
    document["schedule"]["timezone"] = "Europe/Berlin"
    document["pushSequence"][0]["timing"] = {"absoluteTime": written}

    (push,) = read_automation(complete_document(document)).pushes

    assert push.absolute_time == read


def with_experiment(experiment: Any, variants: int = 2, **settings: Any) -> dict[str, Any]:
    texts = [{"id": str(number)} for number in range(variants)]
    push = {"title": "T", "body": "B", "variants": texts, "experiment": experiment}
    return a_document(pushSequence=[{"title": "T", "body": "B"}, push], settings=settings)


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        (with_experiment({}), ".testPercent: Give the percentage of users who test"),
        (with_experiment({"testPercent": 0}), ".testPercent: Give a percentage above 0, to 99"),
        (
            with_experiment({"testPercent": 100}),
            ".testPercent: Give a percentage above 0, to 99",
        ),
        (with_experiment({"testPercent": math.nan}), ".testPercent: Special numeric values"),
        (
            with_experiment({"testPercent": 20, "decideAfterMinutes": 59}),
            ".decideAfterMinutes: Give 60 to 1440 minutes: earlier, the opens say who opens soon",
        ),
        (with_experiment({"testPercent": 20, "metric": "clicked"}), ".metric: Must be one of"),
        (
            with_experiment({"testPercent": 20, "metric": "converted"}),
            ".metric: Nobody reports conversions without a goal: give settings.goal, or opened.",
        ),
        (with_experiment({"testPercent": 20, "minimumLead": -1}), ".minimumLead: "),
        (with_experiment({"testPercent": 20, "whenUnsure": "all"}), ".whenUnsure: Must be one of"),
        (with_experiment({"testPercent": 20}, 1), ": An experiment compares variants: give the"),
        (with_experiment({"testPercent": 20}, 0), ": An experiment compares variants: give the"),
    ],
)
def test_an_experiment_that_could_tell_nothing_is_refused_at_its_field(
    document: dict[str, Any], fault: str
) -> None:
    assert any(line.startswith(f"pushSequence[1].experiment{fault}") for line in faults(document))


def test_an_experiment_goal_and_exits_are_read() -> None:
    experiment = {"testPercent": 20, "metric": "converted", "minimumLead": 5}
    goal = {"name": "buy", "withinHours": 48}

    read = read_automation(
        complete_document(with_experiment(experiment, goal=goal, exitOn=["buy", "opened"]))
    )

    assert read.pushes[0].experiment is None
    assert read.pushes[1].experiment == Experiment(
        test_percent=20, metric=Metric.CONVERTED, minimum_lead=5
    )
    assert read.pushes[1].decide_after == timedelta(hours=1)
    assert read.settings.goal == Goal(name="buy", within=timedelta(hours=48))
    assert read.settings.exit_on == ("buy", "opened")


def test_an_experiment_that_is_null_is_none() -> None:
    assert read_automation(complete_document(with_experiment(None))).pushes[1].experiment is None

"""The push of a dry run is scheduled, changed and cancelled on pages, and sent once at its time."""

from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from chassis.clock import utc_now
from push_blaster.adapters.automations.automation_files import AutomationFiles
from tests.page_reader import form_values
from tests.people import ALICE, BOB
from tests.push_blaster.bench import Bench, messages
from tests.push_blaster.web.one_off.ad_hoc_pushes import register
from tests.push_blaster.web.page_support import Visitor

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def tried(operator: Visitor, bench: Bench) -> str:
    """The path of a completed dry run to two users of an uploaded file."""
    bench.now = utc_now()
    register(bench, ALICE, BOB)
    rows = f"user_id,name\n{ALICE},Alice\n{BOB},Bob\n"
    form: dict[str, Any] = {"title": "Hi [[var:name]]", "body": "There is news.", "layerId": "3"}
    form |= {"file": (BytesIO(rows.encode()), "people.csv"), "csrf_token": operator.csrf_token()}
    path: str = operator.client.post("/send", data=form).location
    bench.run(path.removeprefix("/send/"))
    return path


def a_time(hours: float = 2) -> dict[str, str]:
    at = (utc_now() + timedelta(hours=hours)).astimezone(BERLIN)
    return {
        "day": f"{at:%Y-%m-%d}",
        "at": f"{at:%H:%M}",
        "timezone": "Europe/Berlin",
        "windowMinutes": "5",
    }


def schedule(operator: Visitor, tried: str, **changes: str) -> TestResponse:
    return operator.post(f"{tried}/later", **{**a_time(), **changes})


def documents(folder: Path) -> list[Any]:
    return list(AutomationFiles(folder / "automations").list_all().documents)


def test_it_is_scheduled_once_and_shown_wherever_sends_are_shown(
    operator: Visitor, tried: str, tmp_path: Path
) -> None:
    assert "Send later" in operator.get(tried)
    first, again = (schedule(operator, tried) for _ in "ab")
    page = operator.get(first.location)

    assert first.location == again.location
    assert len(documents(tmp_path)) == 1
    assert "To the users of people.csv" in page
    assert "Change or cancel" in operator.get(tried)
    push_id = first.location.rpartition("/")[2]
    assert f'href="{first.location}"' in operator.get(f"/automations/{push_id}")
    assert "Send to 2 users" not in operator.get(tried)
    assert f'href="{first.location}"' in operator.get("/send")
    assert push_id in operator.get("/automations")
    assert push_id in operator.get("/calendar") + operator.get(next_week())


def next_week() -> str:
    return f"/calendar?from={utc_now() + timedelta(days=7):%Y-%m-%d}"


def test_an_engine_sends_it_at_its_time_with_test_window_and_caps_and_once(
    operator: Visitor, bench: Bench, tried: str, tmp_path: Path
) -> None:
    schedule(operator, tried, testers=str(ALICE))
    (document,) = documents(tmp_path)
    at = bench.web.files.read_all()[document["id"]].automation

    assert bench.tick(document) == []
    bench.now = utc_now() + timedelta(hours=2)
    opened = bench.tick(document)
    bench.tick(document, clock=1)
    (execution_id,) = opened
    done = bench.run(execution_id)

    assert at.settings.require_test_first
    assert done.phase == "completed"
    assert [m["title"] for m in messages(bench)] == ["Hi Alice", "Hi Alice", "Hi Bob"]
    page = operator.get(f"/send/scheduled/{document['id']}")
    assert "Nothing can be changed any more." in page
    refused = operator.post(f"/send/scheduled/{document['id']}", **form(operator, document["id"]))
    assert refused.status_code == 400


def form(operator: Visitor, push_id: str, **changes: str) -> dict[str, str]:
    texts = {"title": "Other", "body": "Body", "layerId": "2"}
    return {**texts, **a_time(hours=3), **changes}


def test_it_is_changed_cancelled_and_scheduled_again_until_it_starts(
    operator: Visitor, bench: Bench, tried: str, tmp_path: Path
) -> None:
    path = schedule(operator, tried).location
    shown = form_values(operator.get(path), "later")
    changed = {**shown, "title": "Better [[var:name]]", "windowMinutes": "30", "layerId": "2"}
    saved = operator.client.post(path, data=changed)
    (document,) = documents(tmp_path)
    cancels = [operator.post(f"{path}/cancel").status_code for _ in range(2)]
    cancelled = operator.get(path)
    again = operator.client.post(path, data=changed)

    assert shown["timezone"] == ["Europe/Berlin"]
    assert (saved.status_code, again.status_code) == (303, 303)
    assert document["pushSequence"][0]["title"] == "Better [[var:name]]"
    assert document["pushSequence"][0]["layerId"] == 2
    assert document["settings"]["cancellationWindowMinutes"] == 30
    assert document["schedule"]["leadTimeMinutes"] == 35
    assert cancels == [303, 303]
    assert "Schedule again" in cancelled
    assert documents(tmp_path)[0]["isActive"]


def test_its_content_is_changed_and_cleared_with_its_texts(
    operator: Visitor, tried: str, tmp_path: Path
) -> None:
    path = schedule(operator, tried).location
    shown = form_values(operator.get(path), "later")
    more = {"imageUrl": "https://cdn.example/a.png", "ttlMinutes": "90", "actions": "see | See"}
    given = {**shown, **{f"pushSequence.0.{name}": text for name, text in more.items()}}
    saved = operator.client.post(path, data=given)
    (with_content,) = documents(tmp_path)
    page = operator.get(path)
    wrong = operator.client.post(path, data={**given, "pushSequence.0.ttlMinutes": "0"})
    cleared = operator.client.post(path, data=shown)

    assert (saved.status_code, wrong.status_code, cleared.status_code) == (303, 400, 303)
    push = with_content["pushSequence"][0]
    assert (push["imageUrl"], push["ttlMinutes"]) == (more["imageUrl"], 90)
    assert push["actions"] == [{"id": "see", "title": "See"}]
    assert form_values(page, "later")["pushSequence.0.imageUrl"] == [more["imageUrl"]]
    assert 'href="#pushSequence.0.ttlMinutes">Expires after</a>' in wrong.text
    assert not more.keys() & documents(tmp_path)[0]["pushSequence"][0].keys()


def test_what_has_started_can_only_be_cancelled(
    operator: Visitor, bench: Bench, tried: str, tmp_path: Path
) -> None:
    path = schedule(operator, tried, windowMinutes="60").location
    (document,) = documents(tmp_path)
    bench.now = utc_now() + timedelta(hours=1, minutes=1)
    (execution_id,) = bench.tick(document)
    bench.work()

    page = operator.get(path)
    refused = operator.post(path, **form(operator, document["id"]))
    cancelled = operator.post(f"{path}/cancel")

    assert "It has started" in page
    assert refused.status_code == 409
    assert cancelled.status_code == 303
    assert bench.execution(execution_id).phase == "cancelled"
    assert messages(bench) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"day": "2020-01-01"}, "in the past"),
        ({"day": ""}, "Missing data"),
        ({"at": "25:00"}, "Not a valid time"),
        ({"timezone": "Berlin"}, "is no time zone"),
        ({"testers": f"{ALICE} bob"}, "No user id"),
        ({"windowMinutes": "-1"}, "Must be greater than"),
        ({"day": "9999-12-31"}, "day of the next years"),
    ],
)
def test_what_does_not_fit_names_the_field_and_keeps_what_was_written(
    operator: Visitor, tried: str, tmp_path: Path, changes: dict[str, str], said: str
) -> None:
    refused = operator.post(f"{tried}/later", **{**a_time(), **changes})

    assert refused.status_code == 400
    assert said in refused.text
    assert 'value="5"' in refused.text or "windowMinutes" in changes
    assert documents(tmp_path) == []


@pytest.mark.parametrize(
    ("wall_time", "says", "expected"),
    [
        (
            "2027-03-28 02:30",
            "does not exist in Europe/Berlin (the clocks go forward)",
            "2027-03-28T01:00:00",
        ),
        (
            "2027-10-31 02:30",
            "comes twice in Europe/Berlin (the clocks go back)",
            "2027-10-31T00:30:00",
        ),
        ("2027-07-01 09:00", "09:00", "2027-07-01T07:00:00"),
    ],
)
def test_a_time_that_the_clocks_skip_or_repeat_is_told(
    operator: Visitor, client: FlaskClient, tried: str, wall_time: str, says: str, expected: str
) -> None:
    day, at = wall_time.split()
    path = schedule(operator, tried, day=day, at=at).location

    assert says in operator.get(path)
    (push,) = client.get("/api/scheduled-pushes").get_json()["scheduledPushes"]
    assert push["scheduledFor"] == f"{expected}+00:00"


def test_a_push_goes_out_now_or_later_and_never_both(
    operator: Visitor, bench: Bench, tried: str, tmp_path: Path
) -> None:
    now = operator.post(tried)
    later = schedule(operator, tried)

    assert now.status_code == 303
    assert later.status_code == 400
    assert documents(tmp_path) == []


def test_what_is_scheduled_is_not_sent_now_even_after_it_was_deleted(
    operator: Visitor, client: FlaskClient, bench: Bench, tried: str
) -> None:
    path = schedule(operator, tried).location
    refused = operator.post(tried)
    client.delete(f"/api/scheduled-pushes/{path.rpartition('/')[2]}")

    assert refused.status_code == 400
    assert operator.post(tried).status_code == 400
    assert messages(bench) == []


def test_a_push_that_could_not_be_scheduled_can_still_be_sent_now(
    operator: Visitor, bench: Bench, tried: str, tmp_path: Path
) -> None:
    (upload,) = (tmp_path / "uploads").glob("*.csv")
    content = upload.read_bytes()
    upload.unlink()
    refused = schedule(operator, tried)
    upload.write_bytes(content)

    assert refused.status_code == 409
    assert operator.post(tried).status_code == 303


def test_a_changed_text_may_use_only_the_columns_of_the_file(operator: Visitor, tried: str) -> None:
    path = schedule(operator, tried).location

    refused = operator.post(path, **form(operator, "", title="Hi [[var:city]]"))

    assert refused.status_code == 400
    assert "has only the columns name" in refused.text


def test_a_viewer_schedules_nothing(viewer: Visitor, tried: str) -> None:
    assert viewer.post(f"{tried}/later", **a_time()).status_code == 403


def test_the_api_shows_its_zone_and_a_time_that_comes_twice_keeps_its_instant(
    client: FlaskClient,
) -> None:
    body = {
        "title": "T",
        "body": "B",
        "audienceDescription": "Alice",
        "audienceCriteria": {"manualUserIds": [str(ALICE)]},
        "timezone": "Europe/Berlin",
    }

    pushes = [
        client.post("/api/scheduled-pushes", json={**body, "scheduledFor": at}).get_json()
        for at in ("2027-10-31T02:30:00+01:00", "2027-07-01T09:00:00+02:00")
    ]

    assert [one["scheduledPush"]["scheduledFor"] for one in pushes] == [
        "2027-10-31T01:30:00+00:00",
        "2027-07-01T07:00:00+00:00",
    ]
    assert [one["scheduledPush"]["timezone"] for one in pushes] == ["UTC", "Europe/Berlin"]
    wrong = client.post("/api/scheduled-pushes", json={**body, "timezone": "Berlin"})
    assert wrong.status_code == 400

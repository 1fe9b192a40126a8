"""The pages that try one push out, and then send it to the users of the dry run."""

from io import BytesIO
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.journeys.stack import user
from tests.page_reader import form_value
from tests.people import ALICE, BOB
from tests.push_blaster.bench import Bench, messages
from tests.push_blaster.web.one_off.ad_hoc_pushes import post, register
from tests.push_blaster.web.page_support import Visitor

TEXTS = {"title": "Hi [[var:name]]", "body": "There is <news>.", "layerId": "3", "deepLink": ""}


def fill_in(visitor: Visitor, rows: str = "", **changes: str) -> TestResponse:
    form: dict[str, Any] = {**TEXTS, "userIds": "", **changes, "csrf_token": visitor.csrf_token()}
    form["file"] = (BytesIO(rows.encode()), "people.csv" if rows else "")
    return visitor.client.post("/send", data=form)


def a_csv(*users: object) -> str:
    return "user_id,name\n" + "".join(f"{one},Name {n}\n" for n, one in enumerate(users))


def test_the_first_button_tries_out_and_the_second_sends_once(
    operator: Visitor, bench: Bench
) -> None:
    register(bench, ALICE, BOB)

    tried = fill_in(operator, a_csv(ALICE, BOB, user(9), "nobody"))
    assert "Send to" not in operator.get(tried.location)
    bench.run(tried.location.removeprefix("/send/"))
    page = operator.get(tried.location)

    assert "Send to 2 users" in page
    assert "Without a device" in page
    assert "line 5 invalid_uuid" in page
    assert "Hi Name 0" in page
    assert messages(bench) == []
    assert "ad hoc" in operator.get("/executions")
    first, again = (operator.post(tried.location) for _ in "ab")
    assert first.location == again.location
    bench.run(first.location.removeprefix("/executions/"))
    assert sorted(m["title"] for m in messages(bench)) == ["Hi Name 0", "Hi Name 1"]
    page = operator.get(tried.location)
    assert "Sent as" in page
    assert "Send to" not in page


def test_a_form_that_is_sent_twice_starts_one_dry_run_and_a_changed_one_another(
    operator: Visitor, bench: Bench
) -> None:
    once = form_value(operator.get("/send"), "once")

    same = [fill_in(operator, a_csv(ALICE), once=once).location for _ in "ab"]
    changed = fill_in(operator, a_csv(ALICE), once=once, title="Other").location
    other_file = fill_in(operator, a_csv(ALICE, BOB), once=once).location
    later = fill_in(operator, a_csv(ALICE), once="another form").location

    assert len(set(same)) == 1
    assert len({*same, changed, other_file, later}) == 4
    assert len(bench.executions()) == 4


def test_what_nobody_would_get_is_not_offered_to_be_sent(
    operator: Visitor, client: FlaskClient, bench: Bench
) -> None:
    register(bench, ALICE)
    bench.run(post(client, userIds=str(ALICE)).get_json()["jobId"])

    tried = fill_in(operator, title="Hi", userIds=str(ALICE)).location
    bench.run(tried.removeprefix("/send/"))

    page = operator.get(tried)
    assert "Capped by cadence: Pause between behaviour-responsive pushes" in page
    assert "there is nothing to send" in page
    assert "Send to" not in page


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"title": ""}, "Title</a>: is missing"),
        ({"userIds": f"{ALICE}\nbob"}, "&#39;bob&#39; is no user id"),
        ({"userIds": str(ALICE)}, "[[var:name]]: the audience has no such column"),
        ({"layerId": "x"}, "Layer</a>: Not a valid integer"),
    ],
)
def test_what_does_not_fit_is_said_and_what_was_written_is_kept(
    operator: Visitor, changes: dict[str, str], says: str
) -> None:
    response = fill_in(operator, **changes)

    assert response.status_code == 400
    assert says in response.text
    assert "There is &lt;news&gt;." in response.text
    assert changes.get("userIds", "") in response.text.replace("&#39;", "'")


def test_the_message_is_shown_as_it_is_written(operator: Visitor) -> None:
    preview = operator.post("/send/preview", **TEXTS).text
    empty = operator.post("/send/preview", title="").text

    assert preview.count("Hi [[var:name]]") == 3, "on Android, on iOS and in a browser"
    assert "once it has a title" in empty


def test_a_push_is_written_like_an_earlier_one(operator: Visitor, client: FlaskClient) -> None:
    body = {**TEXTS, "title": "Again", "layerId": 2, "userIds": [str(ALICE)]}
    job_id = client.post("/api/send-push", json=body).get_json()["jobId"]

    page = operator.get(f"/send?like={job_id}")

    assert 'value="Again"' in page
    assert str(ALICE) in page
    assert '<option value="2" selected>' in page


def test_a_viewer_sends_nothing(viewer: Visitor) -> None:
    assert viewer.client.get("/send").status_code == 403
    assert 'href="/send"' not in viewer.get("/")
    assert viewer.post("/send/x").status_code == 403


def test_a_live_send_is_no_dry_run_to_be_sent(operator: Visitor, bench: Bench) -> None:
    execution_id = bench.start()
    bench.run(execution_id)

    assert operator.post(f"/send/{execution_id}").status_code == 409
    shown = operator.client.get(f"/send/{execution_id}")
    assert shown.location == f"/executions/{execution_id}"


def test_a_user_is_searched_for_in_one_execution_and_in_all(viewer: Visitor, bench: Bench) -> None:
    first, second = bench.start(pushes=[{"title": "A"}]), ""
    bench.run(first)
    second = bench.start(pushes=[{"title": "B"}])
    bench.run(second)

    execution = viewer.get(f"/executions/{first}")
    one = viewer.get(f"/deliveries?user={user(1)}&execution={first}")
    everything = viewer.get(f"/deliveries?user={user(1)}")

    assert f"/api/executions/{first}/export.csv" in execution.replace("%40", "@")
    assert f'name="execution" value="{first}"' in execution
    assert ("A</a>" in one, "B</a>" in one) == (True, False)
    assert ("A</a>" in everything, "B</a>" in everything) == (True, True)
    assert "Pause between behaviour-responsive pushes" in everything
    assert "layer_3_cooldown_hours" not in everything + execution
    assert "No deliveries for this user" in viewer.get(f"/deliveries?user={user(77)}")
    assert viewer.client.get("/deliveries?user=alice").status_code == 400

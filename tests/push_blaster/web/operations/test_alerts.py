"""Destinations of alerts: what people decide on the page and by the API, and what arrives."""

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from html import unescape
from ipaddress import ip_network
from typing import Any, Final
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient

from chassis.clock import utc_now
from chassis.postgres import Database
from chassis.rows import fetch_value
from push_blaster.adapters.operations import alert_deliveries, alert_sender
from push_blaster.adapters.operations.alert_deliveries import MAX_TRIES
from push_blaster.adapters.operations.alert_mail import MailSecurity, MailServer
from push_blaster.adapters.operations.alert_sender import AlertSender
from push_blaster.adapters.transports.guarded_http import PostOptions
from push_blaster.app import create_app
from push_blaster.domain.operations.destination import DestinationKind, DestinationOrder
from push_blaster.use_cases.executions.stop_execution import stop_execution
from push_blaster.use_cases.operations import send_notices as send_notices_module
from push_blaster.use_cases.operations.manage_destinations import MAX_SECRETS, create_destination
from push_blaster.use_cases.operations.send_notices import send_notices
from push_blaster.wiring import connect_adapters
from tests.documents import ROOT
from tests.fakes.mail_server import LocalMailServer, run_mail_server
from tests.fakes.post_receiver import PostReceiver, Received, run_post_receiver
from tests.page_reader import form_value, form_values, table_rows
from tests.push_blaster.alert_support import HOOK, a_sender, listening
from tests.push_blaster.bench import Bench
from tests.push_blaster.settings import settings_for
from tests.push_blaster.web.page_support import Visitor
from tests.push_blaster.web.recipes import create as create_automation

PATH: Final = "/api/alerts/destinations"
LOCAL: Final = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
SOON: Final = timedelta(seconds=2)


@pytest.fixture(scope="module")
def peer() -> Iterator[PostReceiver]:
    with run_post_receiver() as receiver:
        yield receiver


@pytest.fixture
def receiver(peer: PostReceiver) -> PostReceiver:
    peer.received.clear()
    return peer


@pytest.fixture
def engine() -> AlertSender:
    """An engine that may reach this machine, and knows where the pages are."""
    posts = PostOptions(private_networks=LOCAL, answer_timeout=SOON)
    return AlertSender(posts=posts, schemes=("http",), public_url="https://push.example.com")


@pytest.fixture(scope="module")
def local_app(
    push_url: str, push_pool: Database, tmp_path_factory: pytest.TempPathFactory
) -> Flask:
    """An app that may reach this machine."""
    settings = settings_for(push_url, tmp_path_factory.mktemp("data"))
    delivery = replace(settings.delivery, private_networks=LOCAL, webhook_schemes=("http",))
    reached = replace(settings, delivery=delivery)
    return create_app(reached, replace(connect_adapters(reached), database=push_pool))


@pytest.fixture
def api(local_app: Flask, database: Database) -> FlaskClient:
    client = local_app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = "Bearer admin"
    return client


@pytest.fixture
def pages(local_app: Flask, database: Database) -> Visitor:
    return Visitor(local_app, "admin")


def add(api: FlaskClient, **body: Any) -> dict[str, Any]:
    usual = {"name": "Night shift", "kind": "webhook"}
    response = api.post(PATH, json={**usual, **body})
    assert response.status_code == 201, response.text
    answer: dict[str, Any] = response.get_json()
    return answer


def read(api: FlaskClient, one: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = api.get(f"{PATH}/{one['id']}").get_json()
    return answer


def change(api: FlaskClient, one: dict[str, Any], **body: Any) -> dict[str, Any]:
    response = api.put(f"{PATH}/{one['id']}", json={"name": one["name"], **body})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.get_json()
    return answer


def fixed(instant: datetime) -> datetime:
    """Return what a clock says that stands still."""
    return instant


def fail(bench: Bench, automation: str = "news") -> str:
    """Let an execution be stopped just now; return its id."""
    bench.now = utc_now()
    execution_id = bench.start(id=automation)
    stop_execution(bench.database, execution_id, "Wrong text <b>.", bench.now)
    return execution_id


def bodies(receiver: PostReceiver, path: str = "/ok") -> list[dict[str, Any]]:
    return [json.loads(one.body) for one in receiver.received if one.path == path]


def verifier() -> Any:
    """Return the function by which docs/operations.md lets a receiver verify a signature."""
    page = (ROOT / "docs" / "operations.md").read_text()
    found = re.search(r"```python verify\n(.*?)```", page, re.DOTALL)
    assert found
    names: dict[str, Any] = {}
    exec(found[1], names)  # noqa: S102 - our own page
    return names["is_genuine"]


# --- who gets what -----------------------------------------------------------------------------


def test_each_destination_gets_the_alerts_that_it_wants(
    api: FlaskClient, bench: Bench, engine: AlertSender, receiver: PostReceiver
) -> None:
    add(api, name="All", url=receiver.url("ok/all"))
    add(api, name="One", url=receiver.url("ok/one"), automations=["news"])
    add(api, name="Misses", url=receiver.url("ok/misses"), events=["missed"])
    add(api, name="Off", url=receiver.url("ok/off"), isOn=False)
    fail(bench)
    fail(bench, "other")

    assert send_notices(bench.context, engine) == 3

    assert receiver.paths() == ["/ok/all", "/ok/all", "/ok/one"]


def test_what_a_webhook_gets_is_verified_as_the_page_says(
    api: FlaskClient, bench: Bench, engine: AlertSender, receiver: PostReceiver
) -> None:
    made = add(api, url=receiver.url("ok"))
    execution_id = fail(bench)

    send_notices(bench.context, engine)

    (got,) = receiver.received
    assert verifier()(made["secret"], got.headers, got.body)
    assert not verifier()(made["secret"], got.headers, got.body + b" ")
    assert json.loads(got.body)["executionUrl"] == (
        f"https://push.example.com/executions/{execution_id}"
    )


def test_while_a_secret_is_rotated_both_sign_and_then_only_the_new_one(
    api: FlaskClient, bench: Bench, engine: AlertSender, receiver: PostReceiver
) -> None:
    made = add(api, url=receiver.url("ok"))
    rotated = api.post(f"{PATH}/{made['id']}/rotate", json={"overlapMinutes": 60}).get_json()
    fail(bench)
    send_notices(bench.context, engine)
    bench.context = replace(bench.context, clock=lambda: utc_now() + timedelta(hours=2))
    stop_execution(bench.database, bench.start(id="later"), "Late.", utc_now())
    send_notices(bench.context, engine)

    during, after = receiver.received
    secrets = [made["secret"], rotated["secret"]]
    assert [is_signed(during, secret) for secret in secrets] == [True, True]
    assert [is_signed(after, secret) for secret in secrets] == [False, True]


def test_a_second_rotation_ends_no_earlier_overlap(
    api: FlaskClient, pages: Visitor, bench: Bench, engine: AlertSender, receiver: PostReceiver
) -> None:
    made = add(api, url=receiver.url("ok"))
    path = f"{PATH}/{made['id']}/rotate"
    second = api.post(path, json={"overlapMinutes": 180}).get_json()
    third = api.post(path, json={"overlapMinutes": 60}).get_json()
    fourth = api.post(path, json={"overlapMinutes": 0}).get_json()
    page = pages.get(f"/alerts/{made['id']}")
    fail(bench)
    send_notices(bench.context, engine)
    bench.context = replace(bench.context, clock=lambda: utc_now() + timedelta(hours=2))
    stop_execution(bench.database, bench.start(id="later"), "Late.", utc_now())
    send_notices(bench.context, engine)

    during, after = receiver.received
    assert "2 old secrets" in page
    secrets = [one["secret"] for one in (made, second, third, fourth)]
    assert [is_signed(during, secret) for secret in secrets] == [True, True, False, True]
    assert [is_signed(after, secret) for secret in secrets] == [True, False, False, True]


def test_the_secrets_that_sign_are_bounded(api: FlaskClient) -> None:
    made = add(api, url="http://example.com/x")
    path = f"{PATH}/{made['id']}/rotate"

    statuses = [api.post(path).status_code for _ in range(MAX_SECRETS)]
    refused = api.post(path)
    leaked = api.post(path, json={"overlapMinutes": 0})

    assert statuses == [200] * (MAX_SECRETS - 1) + [400]
    assert "still sign" in refused.text
    assert leaked.status_code == 200


def is_signed(request: Received, secret: str) -> bool:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    at = request.headers["webhook-timestamp"]
    signed = f"{request.headers['webhook-id']}.{at}.".encode() + request.body
    digest = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return f"v1,{digest}" in request.headers["webhook-signature"].split()


def test_a_question_that_is_answered_twice_gives_a_webhook_one_new_secret(
    api: FlaskClient, pages: Visitor
) -> None:
    made = add(api, url="http://example.com/x")
    path = f"/alerts/{made['id']}/rotate"
    sent = form_values(pages.get(path))
    first, again = (pages.client.post(path, data=sent) for _ in "ab")
    newer = api.post(f"{PATH}/{made['id']}/rotate").get_json()["secret"]

    old_question = pages.client.post(path, data=sent)

    (shown,) = {re.findall(r"whsec_[\w+/=]+", one.text)[0] for one in (first, again)}
    assert shown not in {made["secret"], newer}
    assert old_question.status_code == 409
    assert "has another secret since this question was asked" in unescape(old_question.text)


def test_a_rotation_that_is_repeated_under_its_key_is_told_so(api: FlaskClient) -> None:
    made = add(api, url="http://example.com/x")
    headers = {"Idempotency-Key": "one"}

    first, again = (api.post(f"{PATH}/{made['id']}/rotate", headers=headers) for _ in "ab")

    assert (first.status_code, again.status_code) == (200, 409)
    assert "whsec_" not in again.text


def test_slack_gets_a_text_with_a_link_and_no_markup_of_ours(
    api: FlaskClient, bench: Bench, engine: AlertSender, receiver: PostReceiver
) -> None:
    add(api, kind="slack", url=receiver.url("ok"))
    execution_id = fail(bench)

    send_notices(bench.context, engine)

    (body,) = bodies(receiver)
    assert body.keys() == {"text"}
    assert "Wrong text &lt;b&gt;." in body["text"]
    link = f"<https://push.example.com/executions/{execution_id}|Open the execution>"
    assert body["text"].endswith(link)


def a_mail_server(mail: LocalMailServer, limit: timedelta = timedelta(seconds=15)) -> MailServer:
    return MailServer(
        host="127.0.0.1",
        port=mail.port,
        sender="alerts@example.com",
        security=MailSecurity.NONE,
        time_limit=limit,
    )


def test_an_alert_by_mail_has_its_reason_and_its_link(bench: Bench, engine: AlertSender) -> None:
    with run_mail_server() as mail:
        sender = replace(engine, mail=a_mail_server(mail))
        order = DestinationOrder(
            name="Post", kind=DestinationKind.EMAIL, address="ops@example.com; night@example.com"
        )
        create_destination(bench.database, sender, str(uuid4()), order, ("admin", utc_now()))
        execution_id = fail(bench)

        assert [send_notices(bench.context, sender) for _ in range(2)] == [1, 0]

    (got,) = mail.mails
    assert mail.receivers == [["ops@example.com", "night@example.com"]]
    assert got["Subject"].startswith("CANCELLED News")
    assert "Wrong text <b>." in got.get_content()
    assert got.get_content().strip().endswith(f"/executions/{execution_id}")


# --- only what is raised from then on ----------------------------------------------------------


def test_a_slow_mail_server_gets_each_alert_once_from_two_engines(
    bench: Bench, engine: AlertSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (alert_deliveries, send_notices_module):
        monkeypatch.setattr(module, "LEASE", timedelta(seconds=2))
    monkeypatch.setattr(alert_sender, "SLACK", timedelta(0))
    monkeypatch.setattr(send_notices_module, "AGAIN", timedelta(0))
    with run_mail_server() as mail:
        mail.takes_s = 0.4
        sender = replace(engine, mail=a_mail_server(mail, timedelta(seconds=1)))
        order = DestinationOrder(name="P", kind=DestinationKind.EMAIL, address="ops@example.com")
        create_destination(bench.database, sender, str(uuid4()), order, ("admin", utc_now()))
        for number in range(6):
            fail(bench, f"news-{number}")
        context = replace(bench.context, clock=utc_now)

        def work(_: int) -> int:
            until, took = time.monotonic() + 20, 0
            while len(mail.mails) < 6 and time.monotonic() < until:
                took += send_notices(context, sender)
            return took

        with ThreadPoolExecutor(2) as pool:
            assert sum(pool.map(work, range(2))) == 6

    assert len({one["Message-ID"] for one in mail.mails}) == len(mail.mails) == 6


@pytest.mark.parametrize("how", ["added", "switched on", "another url"])
def test_a_destination_gets_nothing_from_before(
    api: FlaskClient, bench: Bench, engine: AlertSender, receiver: PostReceiver, how: str
) -> None:
    made = add(api, url=receiver.url("down")) if how != "added" else {}
    if how == "switched on":
        change(api, made, isOn=False)
    fail(bench, "before")
    if how == "another url":
        assert send_notices(bench.context, engine) == 0, "it is on its way, and not taken"

    if how == "added":
        add(api, url=receiver.url("ok"))
    else:
        change(api, made, url=receiver.url("ok"), isOn=True)
    bench.context = replace(bench.context, clock=lambda: utc_now() + timedelta(minutes=5))
    send_notices(bench.context, engine)
    fail(bench, "after")
    send_notices(bench.context, engine)

    assert [body["automationId"] for body in bodies(receiver)] == ["after"]


def test_a_name_that_changes_changes_nothing_else(
    api: FlaskClient, bench: Bench, engine: AlertSender, receiver: PostReceiver
) -> None:
    made = add(api, url=receiver.url("ok"))
    fail(bench)

    changed = change(api, made, name="Day shift")
    send_notices(bench.context, engine)

    assert changed["since"] == made["since"]
    assert len(bodies(receiver)) == 1


# --- what is not taken -------------------------------------------------------------------------


def test_a_destination_that_hangs_keeps_no_other_one_waiting(
    api: FlaskClient, bench: Bench, engine: AlertSender, receiver: PostReceiver
) -> None:
    hanging = add(api, name="Hangs", url=receiver.url("hang"))
    add(api, name="Works", url=receiver.url("ok"))
    fail(bench)

    assert send_notices(bench.context, engine) == 1

    found = read(api, hanging)
    assert found["destination"]["state"] == "failing"
    assert "no answer" in found["deliveries"][0]["failure"]
    assert len(bodies(receiver)) == 1


def test_what_is_given_up_is_on_the_page_and_in_health_until_one_is_taken(
    api: FlaskClient, pages: Visitor, bench: Bench, engine: AlertSender, receiver: PostReceiver
) -> None:
    made = add(api, url=receiver.url("lost-page"))
    fail(bench)
    for n in range(MAX_TRIES + 2):
        bench.change(clock=partial(fixed, utc_now() + timedelta(hours=n)))
        send_notices(bench.context, engine)

    page = pages.get(f"/alerts/{made['id']}")
    problems = api.get("/api/health").get_json()["problems"]
    figures = [api.get("/metrics").text]
    change(api, made, url=receiver.url("ok"))
    repaired = api.get("/api/health").get_json()["problems"]
    figures.append(api.get("/metrics").text)

    assert len(receiver.received) == MAX_TRIES
    assert "It has taken no alert since" in page
    assert "it answered 404" in page
    assert "1 alert was given up" in page
    told = [re.findall(r"^push_alerts_given_up (\S+)", text, re.MULTILINE) for text in figures]
    assert told == [["1.0"], ["0.0"]]
    assert [one for one in problems if "Night shift (1 given up): it answered 404" in one]
    assert not [one for one in repaired if "alerts" in one]


def test_a_destination_in_a_private_network_is_not_reached(
    client: FlaskClient, receiver: PostReceiver
) -> None:
    url = receiver.url("ok").replace("http:", "https:")
    made = add(client, url=url)

    answer = client.post(f"{PATH}/{made['id']}/test").get_json()

    assert answer["taken"] is False
    assert "in no network that is allowed (PUSH_PRIVATE_NETWORKS)" in answer["answer"]
    assert receiver.received == []


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"url": "ftp://example.com/x"}, "address: the URL "),
        ({"url": "http://example.com/x"}, "address: the URL has the scheme http"),
        ({"url": ""}, "address: the URL "),
        ({"url": "https://example.com:99999/x"}, "address: the URL is no plain URL"),
        ({"url": "https://[::1::]/x"}, "address: the URL is no plain URL"),
        ({"url": "https://[1.2]/x"}, "address: the URL is no plain URL"),
        (
            {"url": "https://example.com/x", "events": []},
            "events: choose at least one kind of alert",
        ),
        ({"url": "https://example.com/x", "name": " "}, "name: give it a name"),
        ({"kind": "email", "emails": ["ops@example.com"]}, "address: no mail server is set up"),
        ({"kind": "pigeon"}, "kind"),
    ],
)
def test_a_destination_that_does_not_fit_is_refused_by_its_field(
    client: FlaskClient, body: dict[str, Any], fault: str
) -> None:
    response = client.post(PATH, json={"name": "Night shift", "kind": "webhook", **body})

    assert response.status_code == 400
    assert fault in response.text


def test_a_name_is_used_once_and_a_key_creates_one(client: FlaskClient) -> None:
    body = {"name": "Night shift", "kind": "webhook", "url": "https://example.com/x"}
    key = {"Idempotency-Key": "night-1"}

    first, again = [client.post(PATH, json=body, headers=key).get_json() for _ in range(2)]
    other = client.post(PATH, json=body)

    assert (first["id"], first["secret"]) == (again["id"], again["secret"])
    assert other.status_code == 400
    assert "another destination is called" in other.text


def test_of_many_requests_for_one_name_one_gets_it(app: Flask, database: Database) -> None:
    body = {"name": "Night shift", "kind": "webhook", "url": "https://example.com/x"}

    def ask(_: int) -> int:
        headers = {"Authorization": "Bearer admin"}
        return app.test_client().post(PATH, json=body, headers=headers).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(ask, range(8))) == [201] + [400] * 7


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_destination_that_is_not_there_is_not_found(client: FlaskClient, method: str) -> None:
    response = client.open(f"{PATH}/{uuid4()}", method=method, json={"name": "x"})

    assert response.status_code == 404


def test_a_repeated_request_changes_nothing_that_was_decided_later(api: FlaskClient) -> None:
    body = {"name": "Night shift", "kind": "webhook", "url": "http://example.com/x", "isOn": False}
    key = {"Idempotency-Key": "night-1"}
    made = api.post(PATH, json=body, headers=key).get_json()
    change(api, made, name="Day shift", isOn=True)
    add(api, name="Night shift", url="http://example.com/y")

    again = api.post(PATH, json=body, headers=key)

    assert (made["isOn"], again.status_code) == (False, 201)
    assert (again.get_json()["name"], again.get_json()["isOn"]) == ("Day shift", True)


def test_a_change_of_an_old_version_is_refused(api: FlaskClient) -> None:
    made = add(api, url="http://example.com/x")
    path = f"{PATH}/{made['id']}"
    etag = {"If-Match": api.get(path).headers["ETag"]}

    first = api.put(path, json={"name": "Mine"}, headers=etag)
    stale = api.put(path, json={"name": "Theirs"}, headers=etag)
    newer = {"If-Match": first.headers["ETag"]}
    switched = api.put(path, json={"name": "Mine", "isOn": False}, headers=newer)
    too_late = api.put(path, json={"name": "Mine", "isOn": True}, headers=newer)

    assert [one.status_code for one in (first, stale, switched, too_late)] == [200, 412, 200, 412]
    assert "Somebody has changed 'Mine' meanwhile" in stale.get_json()["error"]
    assert read(api, made)["destination"]["name"] == "Mine"


def test_of_many_changes_of_one_version_one_is_made(
    local_app: Flask, api: FlaskClient, database: Database
) -> None:
    made = add(api, url="http://example.com/x")
    path = f"{PATH}/{made['id']}"
    etag = api.get(path).headers["ETag"]

    def save(number: int) -> int:
        headers = {"Authorization": "Bearer admin", "If-Match": etag}
        body = {"name": f"Name {number}"}
        return local_app.test_client().put(path, json=body, headers=headers).status_code

    with ThreadPoolExecutor(6) as pool:
        statuses = sorted(pool.map(save, range(6)))

    assert statuses[0] == 200
    assert set(statuses[1:]) <= {409, 412}


# --- secrets -----------------------------------------------------------------------------------


def test_a_secret_is_shown_once_and_a_url_never(api: FlaskClient, pages: Visitor) -> None:
    made = add(api, url="http://hooks.example.com/T0/B0/private")
    shown = [api.get(PATH).text, api.get(f"{PATH}/{made['id']}").text]
    shown += [pages.get("/alerts"), pages.get(f"/alerts/{made['id']}")]

    assert made["secret"].startswith("whsec_")
    assert made["address"] == "http://hooks.example.com/…"
    for text in shown:
        assert "private" not in text
        assert made["secret"] not in text
        assert "hooks.example.com" in text


def test_the_audit_log_knows_no_url_and_no_secret_of_a_destination(
    api: FlaskClient, pages: Visitor, database: Database
) -> None:
    made = add(api, url="http://hooks.example.com/T0/B0/private")
    change(api, made, url="http://hooks.example.com/T0/B0/private-too")
    pages.post(
        "/alerts/new/slack", once="1", name="x", url="http://example.com/private", events="start"
    )
    pages.post(f"/alerts/{made['id']}/rotate")
    with database.transaction() as connection:
        sql = "SELECT string_agg(a::text, ' ') FROM audit_log a WHERE path LIKE '%%alerts%%'"
        text = str(fetch_value(connection, sql))

    assert "Night shift" in text
    assert "private" not in text
    assert "whsec_" not in text


# --- the page ----------------------------------------------------------------------------------


def test_an_admin_adds_a_destination_on_the_page_and_tries_it_out(
    pages: Visitor, receiver: PostReceiver, bench: Bench, engine: AlertSender
) -> None:
    form = pages.get("/alerts/new/slack")
    once = form_value(form, "once")
    sent = {"name": "Channel", "url": receiver.url("ok"), "events": "cancelled", "once": once}

    made = pages.post("/alerts/new/slack", **sent)
    again = pages.post("/alerts/new/slack", **sent)
    found = re.search(r"/alerts/([0-9a-f-]{36})/test", made.text)
    assert found
    tested = pages.post(f"/alerts/{found[1]}/test")
    result = pages.get(tested.location)
    fail(bench)
    send_notices(bench.context, engine)

    assert made.status_code == again.status_code == 200
    assert pages.get("/alerts").count("/alerts/" + found[1]) == 1
    assert "It took the test message: it answered 201." in result
    test, alert = bodies(receiver)
    assert "test message for Channel" in test["text"]
    assert "CANCELLED" in alert["text"]
    assert "Taken" in pages.get(f"/alerts/{found[1]}")


def test_a_form_with_a_fault_keeps_what_was_typed(pages: Visitor) -> None:
    answer = pages.post(
        "/alerts/new/webhook", once="1", name="Night shift", url="nowhere", events="missed"
    )

    assert answer.status_code == 400
    assert 'value="Night shift"' in answer.text
    assert "the URL is no plain URL" in answer.text
    assert re.search(r'value="missed" checked', answer.text)


def test_an_untouched_field_of_a_destination_keeps_what_a_colleague_saved(
    api: FlaskClient, pages: Visitor
) -> None:
    made = add(api, url="http://example.com/hook", events=["failure", "missed"])
    page = f"/alerts/{made['id']}"
    form = {**form_values(pages.get(page), "editor"), "events": ["failure", "missed", "start"]}
    change(api, made, name="Day shift", events=["failure"])

    saved = pages.client.post(page, data=form)

    assert "Somebody else saved meanwhile, too. Kept as saved: Name, Missed" in unescape(
        pages.get(saved.location)
    )
    after = read(api, made)["destination"]
    assert after["name"] == "Day shift"
    assert sorted(after["events"]) == ["failure", "start"]


def test_a_name_of_a_destination_that_two_changed_is_asked_about(
    api: FlaskClient, pages: Visitor
) -> None:
    made = add(api, url="http://example.com/hook")
    page = f"/alerts/{made['id']}"
    form = {**form_values(pages.get(page), "editor"), "name": "Mine"}
    change(api, made, name="Theirs")

    asked = pages.client.post(page, data=form)
    answer = {**form_values(asked.text), "choice.name": "mine"}

    assert asked.status_code == 409
    assert ["Name", "Mine", "Theirs"] in table_rows(asked.text)
    assert pages.client.post(page, data=answer).status_code == 303
    assert read(api, made)["destination"]["name"] == "Mine"


def test_a_url_that_two_changed_is_asked_about_without_being_shown(
    api: FlaskClient, pages: Visitor, database: Database
) -> None:
    made = add(api, url="http://example.com/hook")
    page = f"/alerts/{made['id']}"
    form = {**form_values(pages.get(page), "editor"), "url": "http://mine.example.com/secret-1"}
    change(api, made, url="http://theirs.example.com/secret-2")

    asked = pages.client.post(page, data=form)
    answer = {**form_values(asked.text), "choice.url": "mine"}
    saved = pages.client.post(page, data=answer)

    assert asked.status_code == 409
    (row,) = [row for row in table_rows(asked.text) if row[0] == "URL"]
    assert "mine.example.com" in row[1]
    assert "theirs.example.com" in row[2]
    assert "secret-" not in " ".join(row)
    assert saved.status_code == 303
    with database.transaction() as connection:
        address = fetch_value(connection, "SELECT address FROM alert_destinations")
    assert address == "http://mine.example.com/secret-1"


def test_what_was_typed_into_a_form_of_a_deleted_destination_becomes_a_new_one(
    api: FlaskClient, pages: Visitor
) -> None:
    made = add(api, kind="slack", url="http://example.com/hook", events=["missed"])
    page = f"/alerts/{made['id']}"
    form = {**form_values(pages.get(page), "editor"), "name": "Mine", "url": "http://example.com/2"}
    api.delete(f"{PATH}/{made['id']}")

    offered = pages.client.post(page, data=form)
    again = {**form_values(offered.text, "panel"), "url": "http://example.com/2"}
    created = pages.client.post("/alerts/new/slack", data=again)

    assert offered.status_code == 409
    assert "Somebody has deleted this destination meanwhile." in offered.text
    assert 'action="/alerts/new/slack"' in offered.text
    assert created.status_code == 200
    (new,) = api.get(PATH).get_json()["destinations"]
    assert (new["name"], new["kind"], new["events"]) == ("Mine", "slack", ["missed"])


def test_what_is_no_url_at_all_is_told_beside_its_field(api: FlaskClient, pages: Visitor) -> None:
    made = add(api, url="http://example.com/hook")
    page = f"/alerts/{made['id']}"

    answer = pages.client.post(
        page, data={**form_values(pages.get(page), "editor"), "url": "http://[::1"}
    )

    assert answer.status_code == 400
    assert "no plain URL" in answer.text


def test_the_page_names_the_automations_and_keeps_one_that_is_gone(
    api: FlaskClient, pages: Visitor, local_app: Flask
) -> None:
    create_automation(api)
    made = add(api, url="http://example.com/x", automations=["gone"])

    page = pages.get(f"/alerts/{made['id']}")

    assert re.search(r'value="gone" checked', page)
    assert re.search(r'value="news">', page)


def test_the_page_of_an_automation_names_who_gets_its_alerts(
    api: FlaskClient, pages: Visitor
) -> None:
    create_automation(api, id="tips")
    before = pages.get("/automations/tips")
    add(api, name="All of them", url="http://example.com/x")
    add(api, name="Only tips", url="http://example.com/x", automations=["tips"])
    add(api, name="Another one", url="http://example.com/x", automations=["other"])
    add(api, name="Switched off", url="http://example.com/x", isOn=False)

    after = pages.get("/automations/tips")

    assert "nobody yet" in before
    assert "All of them" in after
    assert "Only tips" in after
    assert "Another one" not in after
    assert "Switched off" not in after


def test_switching_off_and_deleting_are_two_clicks(api: FlaskClient, pages: Visitor) -> None:
    made = add(api, url="http://example.com/x")

    pages.post(f"/alerts/{made['id']}/off")
    off = read(api, made)["destination"]["state"]
    pages.post(f"/alerts/{made['id']}/delete")

    assert off == "off"
    assert api.get(f"{PATH}/{made['id']}").status_code == 404


def test_a_destination_of_the_settings_is_shown_and_cannot_be_changed(
    api: FlaskClient, pages: Visitor, bench: Bench
) -> None:
    bench.now = utc_now()
    listening(bench, a_sender())
    (one,) = api.get(PATH).get_json()["destinations"]

    page = pages.get(f"/alerts/{one['id']}")
    refused = api.put(f"{PATH}/{one['id']}", json={"name": "x", "isOn": False})
    tried = api.post(f"{PATH}/{one['id']}/test").get_json()

    assert one["environment"] == "PUSH_ALERT_WEBHOOK_URL"
    assert one["isSigned"] is None
    assert HOOK not in page
    assert "Switch off" not in page
    assert refused.status_code == 404
    assert "change the setting" in refused.text
    assert tried["taken"] is False


def test_an_operator_tries_out_and_changes_nothing(
    api: FlaskClient, local_app: Flask, receiver: PostReceiver
) -> None:
    made = add(api, url=receiver.url("ok"))
    operator = Visitor(local_app, "operator")

    page = operator.get(f"/alerts/{made['id']}")

    assert "Send a test message" in page
    assert "Delete" not in page
    assert operator.post(f"/alerts/{made['id']}/delete").status_code == 403
    assert operator.post(f"/alerts/{made['id']}/test").status_code == 303

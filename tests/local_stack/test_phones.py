"""The simulated phones of the example: what they report of messages in the file."""

import json
import runpy
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from flask import Flask, request
from werkzeug.serving import make_server

from chassis.clock import utc_now
from local_stack.example import PHONES, SOURCE
from tests.journeys.stack import wait_until

PROGRAM = runpy.run_path(str(PHONES))


def a_message(number: int, title: str = "Ada, your Basil is wanted", **changes: Any) -> Any:
    data = {"receipt": f"receipt {number}"}
    sent_at = (utc_now() - timedelta(minutes=10)).isoformat()
    message = {
        "sentAt": sent_at,
        "userId": f"user {number}",
        "title": title,
        "body": "",
        "data": data,
    }
    return {**message, **changes}


def count(title: str, seed: int = 1) -> Counter[str]:
    reports = (r for n in range(2_000) for r in PROGRAM["plan"](a_message(n, title), seed))
    return Counter(report.item.get("event", report.kind) for report in reports)


class Web:
    """A web that takes reports; it refuses the first requests with a status."""

    def __init__(self) -> None:
        self.refusals = [503, 429]
        self.taken: list[tuple[str, dict[str, Any]]] = []
        app = Flask(__name__)
        app.post("/api/<kind>")(self.take)
        self.server = make_server("127.0.0.1", 0, app)

    def take(self, kind: str) -> tuple[str, int]:
        if self.refusals:
            return "", self.refusals.pop()
        if kind == "conversions" and request.headers.get("Authorization") != "Bearer secret":
            return "", 401
        assert len(request.get_json()[kind]) <= 100
        self.taken += [(kind, item) for item in request.get_json()[kind]]
        return "", 202


@pytest.fixture
def web() -> Iterator[Web]:
    web = Web()
    thread = Thread(target=web.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield web
    web.server.shutdown()
    thread.join()
    web.server.server_close()


def test_the_same_message_has_the_same_reports_and_another_seed_has_others() -> None:
    plan = PROGRAM["plan"]

    once, again = ([list(plan(a_message(n), 1)) for n in range(50)] for _ in range(2))

    assert once == again
    assert once != [list(plan(a_message(n), 2)) for n in range(50)]


def test_the_variants_of_the_example_are_opened_at_different_rates() -> None:
    push = json.loads((SOURCE / "automations" / "garden-activity.json").read_text())[
        "pushSequence"
    ][0]
    titles = [variant.get("title", push["title"]) for variant in push["variants"]]

    opened = [count(title)["opened"] / 2_000 for title in titles]

    assert opened == pytest.approx([0.10, 0.40], abs=0.03)


def test_nobody_opens_a_message_that_did_not_arrive() -> None:
    for number in range(2_000):
        events = [report.item.get("event") for report in PROGRAM["plan"](a_message(number), 1)]
        assert not events or events[0] == "delivered"
        assert len(events) == len(set(events))


def test_a_message_without_a_receipt_is_reported_by_nobody() -> None:
    assert list(PROGRAM["plan"](a_message(1, data={}), 1)) == []


def test_each_report_arrives_once_though_the_web_was_away(web: Web, tmp_path: Path) -> None:
    messages, token = tmp_path / "messages.jsonl", tmp_path / "token"
    token.write_text("secret\n")
    lines = [json.dumps(a_message(n)) for n in range(200)]
    lines.append(json.dumps(a_message(999, sentAt="2026-11-01T12:00:00+00:00")))
    expected = [r for n in range(200) for r in PROGRAM["plan"](a_message(n), 1)]
    command = [sys.executable, str(PHONES), f"--url=http://127.0.0.1:{web.server.port}"]
    phones = subprocess.Popen(
        [*command, f"--messages={messages}", f"--token-file={token}"], stdout=subprocess.DEVNULL
    )
    try:
        messages.write_text("\n".join(lines[:100]) + "\n" + lines[100][:30])
        wait_until(lambda: web.taken, bool, 20)
        with messages.open("a") as file:
            file.write(lines[100][30:] + "\n" + "\n".join(lines[101:]) + "\n")
        wait_until(lambda: len(web.taken), lambda taken: taken >= len(expected), 20)
    finally:
        phones.kill()
        phones.wait()

    sent = Counter(json.dumps([kind, item], sort_keys=True) for kind, item in web.taken)
    assert sent == Counter(json.dumps([r.kind, r.item], sort_keys=True) for r in expected)

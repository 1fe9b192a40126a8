"""Proofs of attacks on a running stack: traps of scripts, strangers, sign-in, audit log, reads."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import psycopg2
import pytest
import requests

from local_stack.embedded_postgres import EmbeddedPostgres
from tests.journeys.stack import (
    OPERATOR,
    TOKEN,
    VIEWER,
    Stack,
    a_journey_automation,
    running_stack,
    user,
    wait_until,
)
from tests.red_team.memory import MOST, largest

ENDED = ("completed", "failed", "cancelled")
SECRET = "the-content-of-a-secret"
TRAPS = """
import os
os.symlink({secret!r}, "secret.csv")
os.mkfifo("pipe.csv")
with open("huge.csv", "wb") as huge:
    huge.truncate(300 * 1024 * 1024)
with open("good.csv", "w") as good:
    good.write("user_id,first_name\\n{user},Ada\\n")
"""
#: More than any attacker may leave behind, in three workers.
TRIES = 330


@pytest.fixture(scope="module")
def running(
    postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    with running_stack(postgres, tmp_path_factory.mktemp("proofs") / "data") as stack:
        yield stack


def test_traps_of_a_script_are_not_read_and_block_nobody(running: Stack) -> None:
    secret = running.folder / "secret.txt"
    secret.write_text(f"user_id,{SECRET}\n{user(1)},{SECRET}\n")
    script = TRAPS.format(secret=str(secret), user=user(1))
    (running.folder / "scripts" / "traps.py").write_text(script)
    criteria = {"customScript": {"scriptId": "traps"}}
    pushes = [{"audienceName": "secret"}]
    trapped = a_journey_automation("trapped", audienceCriteria=criteria, pushes=pushes)
    for automation in (trapped, a_journey_automation("free")):
        running.ask("POST", "/api/automation/recipes", automation)

    run = running.ask("POST", "/api/scripts/traps/run", {}, OPERATOR)
    ids = [
        running.ask("POST", "/api/executions", {"automationId": name})["id"]
        for name in ("trapped", "free")
    ]
    phases = [running.wait_for(one, ENDED)["phase"] for one in ids]
    path = f"/api/scripts/traps/runs/{run['id']}"
    seen = wait_until(
        lambda: running.ask("GET", path, token=VIEWER), lambda run: run["state"] == "succeeded", 20
    )
    shown = running.ask("POST", "/api/automation/recipes/trapped/preview", {}, OPERATOR)

    assert phases == ["failed", "completed"], [running.log(one) for one in ids]
    problems = {one["file"]: one["problem"] for one in seen["audiences"]}
    assert "a symbolic link" in problems["secret.csv"]
    assert "a pipe" in problems["pipe.csv"]
    assert problems["huge.csv"]
    assert problems["good.csv"] is None
    assert SECRET not in json.dumps([seen, shown, running.log(ids[0])])
    assert largest(running) < MOST


def test_strangers_fill_neither_log_nor_metrics_and_lock_nobody_out(running: Stack) -> None:
    (port,) = running.engine_ports.values()
    processes = (running.push_url, running.cadence_url, f"http://127.0.0.1:{port}")
    sign_in = f"{running.push_url}/sign-in"

    answers = {
        requests.post(sign_in, data={"token": f"wrong-{number}"}, timeout=30).status_code
        for number in range(TRIES)
    }
    for url in processes:
        for number in range(30):
            requests.request(f"INVENTED{number}", f"{url}/health/live", timeout=30)
    entered = [
        requests.post(sign_in, data={"token": VIEWER}, allow_redirects=False, timeout=30)
        for _ in range(9)
    ]

    assert answers == {401, 429}
    assert {answer.status_code for answer in entered} == {303}
    ((rows,),) = running.ledger("SELECT count(*) FROM audit_log WHERE actor IS NULL")
    assert 0 < rows <= 300
    for url, token in zip(processes, (TOKEN, "journey-cadence-token", TOKEN), strict=True):
        headers = {"Authorization": f"Bearer {token}"}
        metrics = requests.get(f"{url}/metrics", headers=headers, timeout=30)
        assert metrics.ok
        assert "INVENTED" not in metrics.text


def test_signing_in_and_out_is_safe(running: Stack) -> None:
    sign_in, anything = f"{running.push_url}/sign-in", f"{running.push_url}/api/executions"
    form = {"token": VIEWER}
    browser = requests.Session()

    foreign = [
        requests.post(sign_in, data=form, headers=headers, allow_redirects=False, timeout=30)
        for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"})
    ]
    places = [
        browser.post(sign_in, data={**form, "next": wanted}, allow_redirects=False, timeout=30)
        for wanted in ("//evil.example", "/\\evil.example", "/%09/evil.example", "/%252f/evil")
    ]
    cookies = dict(browser.cookies)
    before = requests.get(anything, cookies=cookies, timeout=30).status_code
    page = browser.get(running.push_url, timeout=30).text
    proof = re.search('name="csrf_token"[^>]*value="([^"]+)"', page)
    assert proof, page
    browser.post(f"{running.push_url}/sign-out", data={"csrf_token": proof[1]}, timeout=30)
    after = requests.get(anything, cookies=cookies, timeout=30).status_code

    assert [(answer.status_code, dict(answer.cookies)) for answer in foreign] == [(403, {})] * 2
    assert {answer.headers["Location"] for answer in places} == {"/"}
    assert (before, after) == (200, 401)


def test_the_audit_log_proves_an_upload_and_shows_who_forges_it(running: Stack) -> None:
    content = f"userId,token\n{user(1)},a-token\n".encode()
    answer = requests.post(
        f"{running.push_url}/api/devices/import",
        content,
        headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "text/csv"},
        timeout=30,
    )
    whole = _verify(running)
    owner = closing(psycopg2.connect(running.database_url))
    with owner as connection, connection, connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_log DISABLE TRIGGER USER")
        cursor.execute(
            "UPDATE audit_log SET actor = 'somebody' WHERE path = '/api/devices/import'"
            " RETURNING detail"
        )
        ((detail,),) = cursor.fetchall()
    forged = _verify(running)

    assert answer.json()["registered"] == 1
    upload = {"sha256": sha256(content).hexdigest(), "bytes": len(content)}
    assert json.loads(detail)["upload"] == upload
    assert whole.returncode == 0, whole.stdout
    assert forged.returncode == 1
    assert "was changed" in forged.stdout


def _verify(stack: Stack) -> "subprocess.CompletedProcess[str]":
    command = [str(Path(sys.executable).with_name("push-blaster")), "audit", "verify"]
    return subprocess.run(
        command, env=stack.environment, capture_output=True, text=True, check=False
    )


def test_reads_start_nothing_and_strangers_learn_one_word(running: Stack) -> None:
    running.ask("POST", "/api/automation/recipes", a_journey_automation("quiet"))
    headers = {"Authorization": f"Bearer {TOKEN}"}

    for mode in ("test-dry-run", "test-live-send", "real-dry-run", "live"):
        for method in ("GET", "HEAD"):
            path = f"{running.push_url}/api/automation/test/quiet?mode={mode}"
            answer = requests.request(method, path, headers=headers, timeout=30)
            assert answer.status_code == 400
    words = [
        requests.get(url, timeout=30).json()
        for url in (f"{running.push_url}/api/health", f"{running.cadence_url}/health")
    ]

    assert running.executions("quiet") == []
    assert all(word.keys() == {"status"} for word in words)


def test_a_pattern_and_an_expression_hold_up_no_worker(running: Stack) -> None:
    city = {"name": "city", "type": "string", "validation": {"pattern": "^(a+)+$"}}
    schedule = {"timezone": "UTC", "frequency": "daily", "executionTime": "12:30"}
    template = {
        "id": "hang",
        "name": "Hang",
        "variables": [city],
        "defaultSchedule": schedule,
        "pushTemplates": [{"titleTemplate": "In {{city}}", "bodyTemplate": "B"}],
    }
    running.ask("POST", "/api/automation/templates", template)
    minutes = ",".join(["0"] * 100_000)
    long = {"timezone": "UTC", "frequency": "custom", "cronExpression": f"{minutes} * * * *"}
    begun = time.monotonic()

    answers = [
        running.request("POST", "/api/automation/templates/hang", {"city": "a" * 400 + "!"}),
        running.request(
            "POST", "/api/automation/recipes", a_journey_automation("long", schedule=long)
        ),
    ]

    assert [answer.status_code for answer in answers] == [400, 400]
    assert time.monotonic() - begun < 5

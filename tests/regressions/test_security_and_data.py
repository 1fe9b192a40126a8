"""Defects 39 to 42 of the original: security and data."""

import importlib
import io
import pkgutil
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient

import cadence_service
import push_blaster
from push_blaster.domain.executions.phase import Phase
from tests.builders import NOON, a_document
from tests.people import ALICE, BOB
from tests.push_blaster.bench import Bench, daily, messages
from tests.push_blaster.web.recipes import RECIPES
from tests.regressions.support import create
from tests.routes import paths_of

ROOT = Path(__file__).parents[2]
SECRET = '{"secret": "nobody else may read this"}'
ESCAPES = ["../secret", "..\\secret", "....//secret", "/etc/passwd", "secret\x00", "x" * 5_000, "."]
METHODS = ["GET", "POST", "PUT", "DELETE"]


@pytest.fixture
def secret(tmp_path: Path, client: FlaskClient) -> Path:
    """A file beside the folders that ids name files in."""
    create(client)
    path = tmp_path / "secret.json"
    path.write_text(SECRET)
    (tmp_path / "secret.py").write_text(SECRET)
    return path


@pytest.mark.parametrize("method", METHODS)
def test_defect_39_no_id_in_a_path_leads_to_another_file(
    app: Flask, client: FlaskClient, secret: Path, method: str
) -> None:
    once = {quote(escape, safe=safe) for escape in ESCAPES for safe in ("", "/")}
    spellings = once | {quote(spelling, safe="") for spelling in once}
    plain = set(paths_of(app, method, otherwise="plain"))

    for spelling in spellings:
        for path in set(paths_of(app, method, otherwise=spelling)) - plain:
            response = client.open(path, method=method, json={"name": "Gone", "mode": "live"})
            assert response.status_code < 500, (path[:200], response.text)
            assert method == "GET" or response.status_code >= 300, (path[:200], response.text)
            assert "nobody else" not in response.text
    assert secret.read_text() == SECRET
    assert sorted(p.name for p in secret.parent.glob("*.json")) == ["secret.json"]


@pytest.mark.parametrize("escape", ESCAPES)
def test_defect_39_no_id_in_a_body_leads_to_another_file(
    client: FlaskClient, secret: Path, escape: str
) -> None:
    started = {"automationId": escape}
    asked: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", RECIPES, a_document(id=escape)),
        ("PUT", RECIPES, {"id": escape, "name": "Gone"}),
        ("POST", "/api/executions", started),
        ("POST", "/api/automation/test", started),
        ("POST", "/api/automation/control", {**started, "action": "pause"}),
        ("POST", "/api/automation/control", {**started, "action": "emergency_stop"}),
    ]
    for method, path, body in asked:
        response = client.open(path, method=method, json=body)
        assert 400 <= response.status_code < 500, (path, response.status_code, response.text)
        assert "nobody else" not in response.text
    assert secret.read_text() == SECRET
    assert [p.name for p in (secret.parent / "automations").glob("*.json")] == ["news.json"]


@pytest.mark.parametrize("script_id", ["../secret", "/etc/passwd", "secret", "users/../users"])
def test_defect_39_a_script_outside_of_the_scripts_folder_is_none(
    bench: Bench, client: FlaskClient, secret: Path, script_id: str
) -> None:
    criteria = {"customScript": {"scriptId": script_id}}
    client.put(f"{RECIPES}/news", json={"audienceCriteria": criteria})
    bench.now = NOON + timedelta(minutes=20)
    (started,) = bench.tick({**daily(), "audienceCriteria": criteria})

    refused = client.post("/api/executions", json={"automationId": "news"})
    execution = bench.run(started)

    assert refused.status_code == 404
    assert execution.phase is Phase.FAILED
    assert "There is no audience script" in (execution.reason or "")


#: What would change a statement that it is put into.
SQL = ["'; DROP TABLE executions; --", "1 OR 1=1", "%' OR ''='", "%s%(id)s"]


@pytest.mark.parametrize("value", SQL)
def test_defect_39_values_are_never_read_as_sql(
    bench: Bench, app: Flask, client: FlaskClient, value: str
) -> None:
    kept = bench.start(id="kept")
    names = ("id", "automationId", "phase", "cursor", "limit", "after", "userId", "status", "type")

    for path in paths_of(app, "GET", otherwise=quote(value)):
        response = client.get(path, query_string=dict.fromkeys(names, value))
        assert response.status_code != 500, (path, response.text)

    found = client.get("/api/executions", query_string={"automationId": value}).get_json()
    assert found["executions"] == [], "a condition that is always true finds nobody"
    assert bench.execution(kept).id == kept


def test_defect_39_no_route_takes_sql_and_no_stranger_is_let_in_from_another_site(
    app: Flask, client: FlaskClient, cadence: FlaskClient
) -> None:
    everything = [path for method in METHODS for path in paths_of(app, method)]
    assert not [path for path in everything if "query" in path and "audience" not in path]

    evil = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for one in (client, cadence):
        for method, path in (("GET", "/health"), ("OPTIONS", "/health"), ("GET", "/api/rules")):
            response = one.open(path, method=method, headers=evil)
            assert "Access-Control-Allow-Origin" not in response.headers


def test_defect_39_secrets_reach_neither_scripts_nor_logs(
    bench: Bench,
    client: FlaskClient,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PUSH_ADMIN_TOKEN", "s3cr3t-admin")
    monkeypatch.setenv("PUSH_BLASTER_DATABASE_URL", "postgresql://u:s3cr3t-database@h/d")
    bench.write_script("import os\nprint(dict(os.environ))\nraise SystemExit('that was all')")

    execution = bench.run(bench.start())
    wrong = {"Authorization": "Bearer s3cr3t-stranger"}
    client.get("/api/executions?cursor=s3cr3t", headers=wrong)

    assert "EXECUTION_ID" in bench.log(execution.id)
    assert "s3cr3t" not in bench.log(execution.id) + (execution.reason or "")
    told = capfd.readouterr()
    assert "s3cr3t-" not in told.out + told.err
    for path in bench.folder.rglob("*"):
        assert not path.is_file() or b"s3cr3t" not in path.read_bytes(), path


OURS = {"ours": {"deep": [1, None, {"x": "y"}]}}


def with_unknown_fields() -> dict[str, Any]:
    """Return an automation that holds something unknown to us at every level."""
    push = {"title": "T", "body": "B", "layerId": 3, "audienceName": "buyers", **OURS}
    return a_document(
        status="active",
        isActive=True,
        pushSequence=[{**push, "timing": {"delayAfterPrevious": 0, "sendTime": "10:00"}}],
        schedule={"timezone": "UTC", "frequency": "daily", "executionTime": "12:30", **OURS},
        audienceCriteria={"minTrades": 0, "customScript": {"scriptId": "users", **OURS}, **OURS},
        settings={"isTest": True, "safeguards": {"blockOverlapHours": 4, **OURS}, **OURS},
        template={"id": "custom", "config": {}, **OURS},
        metadata={"createdBy": "script_ui", **OURS},
        **OURS,
    )


def test_defect_40_no_edit_loses_what_it_does_not_know(client: FlaskClient) -> None:
    assert (
        client.post(f"{RECIPES}?acceptFindings=true", json=with_unknown_fields()).status_code == 201
    )
    one, control = f"{RECIPES}/news", "/api/automation/control"

    def read() -> dict[str, Any]:
        document: dict[str, Any] = client.get(one).get_json()["data"]
        return document

    before = read()
    edits: list[tuple[str, str, dict[str, Any]]] = [
        ("PUT", one, read()),
        ("PUT", one, {"name": "Renamed"}),
        ("PUT", RECIPES, {"id": "news", "name": "News"}),
        ("POST", control, {"automationId": "news", "action": "pause"}),
        ("POST", control, {"automationId": "news", "action": "resume"}),
        ("POST", control, {"automationId": "news", "action": "emergency_stop"}),
    ]
    for method, path, body in edits:
        body.pop("version", None)
        assert client.open(path, method=method, json=body).status_code == 200, path

    changing = {"version", "updatedAt", "activatedAt", "status", "metadata"}
    after = read()
    assert {k: v for k, v in after.items() if k not in changing} == {
        k: v for k, v in before.items() if k not in changing
    }
    assert after["metadata"]["ours"] == OURS["ours"]
    assert after["pushSequence"][0]["audienceName"] == "buyers"
    assert after["pushSequence"][0]["timing"]["sendTime"] == "10:00"


AUDIENCE = f"user_id,first_name,device_token\n{ALICE},Alice,alices\n{BOB},Bob,bobs\n"
VARIANTS = {
    "LF": AUDIENCE,
    "CRLF": AUDIENCE.replace("\n", "\r\n"),
    "CR": AUDIENCE.replace("\n", "\r"),
    "BOM": "\ufeff" + AUDIENCE,
    "quotes": AUDIENCE.replace("Alice", '"Alice ""A"", of\\nGarden"'),
    "no last line end": AUDIENCE.rstrip(),
    "blank lines": AUDIENCE.replace("\n", "\n\n"),
    "single column": f"userId\n{ALICE}\n{BOB}\n",
    "upper case": f"User ID,first_name\n{str(ALICE).upper()},Alice\n{BOB},Bob\n",
}


@pytest.mark.parametrize("text", VARIANTS.values(), ids=list(VARIANTS))
def test_defect_41_one_way_of_reading_csv_everywhere(
    bench: Bench, client: FlaskClient, cadence: FlaskClient, text: str
) -> None:
    phones = [{"userId": str(u), "token": f"phone-{u}"} for u in (ALICE, BOB)]
    for phone in phones:
        assert client.post("/api/devices", json=phone).status_code in {200, 201}
    bench.write_script(
        f"import os\nopen(os.environ['OUTPUT_PATH'] + '/all.csv', 'w', newline='').write({text!r})"
    )
    sent = bench.run(bench.start(pushes=[{"title": "Hi"}]))
    form = {
        "audienceFile": (io.BytesIO(text.encode()), "audience.csv"),
        "layerId": "3",
        "pushTitle": "T",
        "audienceDescription": "A",
        "sentAt": (bench.now - timedelta(days=9)).isoformat(),
    }
    converted = cadence.post("/convert-audience-to-history", data=form).get_json()

    assert sent.phase is Phase.COMPLETED, sent.reason
    assert [m["userId"] for m in messages(bench)] == [str(ALICE), str(BOB)]
    assert converted["details"]["insertedCount"] == 2


def test_defect_42_no_source_is_ignored_and_every_module_is_there() -> None:
    kinds = ("sql", "csv", "json", "py", "jsonl", "txt", "html", "css")
    places = ("services/push_blaster", "deploy/examples/data", "tests", "shared/chassis")
    made_up = [f"{place}/lost.{kind}" for place in places for kind in kinds]
    ignored = subprocess.run(
        ["git", "check-ignore", *made_up], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ignored.stdout == ""

    for package in (push_blaster, cadence_service):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".migrations" not in module.name and "launcher" not in module.name:
                importlib.import_module(module.name)

"""Every way of starting an automation looks first whether its script takes its parameters."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.push_blaster.web.page_support import Visitor
from tests.push_blaster.web.recipes import create

HEADER: Final = "# parameter first (integer, required): The number of the first user.\n"

Start = Callable[[FlaskClient, Visitor, str], TestResponse]


def posts(path: str, **body: str) -> Start:
    """Return the way over the API; the key is the caller's."""

    def start(client: FlaskClient, _: Visitor, key: str) -> TestResponse:
        return client.post(
            path, json={"automationId": "news", **body}, headers={"Idempotency-Key": key}
        )

    return start


def sends_form(path: str, **form: str) -> Start:
    """Return the way over a page; the key is the form's."""
    return lambda _, operator, key: operator.post(path, once=key, **form)


WAYS: Final[Mapping[str, Start]] = {
    "start": posts("/api/executions"),
    "execute_now": posts("/api/automation/control", action="execute_now"),
    "execute-start": posts("/api/automation/execute-start"),
    "sequence": posts("/api/automation/sequences"),
    "test": lambda client, _, key: client.post(
        "/api/automation/test/news",
        json={"mode": "test-dry-run"},
        headers={"Idempotency-Key": key},
    ),
    "page": sends_form("/automations/news/run"),
    "test page": sends_form("/automations/news/test", mode="test-dry-run"),
}


every_way = pytest.mark.parametrize("start", WAYS.values(), ids=list(WAYS))


def write(folder: Path, client: FlaskClient, parameters: dict[str, Any]) -> None:
    (folder / "scripts").mkdir(exist_ok=True)
    (folder / "scripts" / "users.py").write_text(HEADER)
    create(
        client,
        audienceCriteria={"customScript": {"scriptId": "users", "parameters": parameters}},
    )


def count_executions(client: FlaskClient) -> int:
    return len(client.get("/api/executions").get_json()["executions"])


@every_way
@pytest.mark.parametrize(
    ("parameters", "named"),
    [({"first": "one"}, "first"), ({}, "first"), ({"first": 1, "last": 2}, "last")],
    ids=["no number", "missing", "unknown"],
)
def test_a_parameter_that_does_not_fit_is_refused_by_its_name(
    start: Start,
    parameters: dict[str, Any],
    named: str,
    client: FlaskClient,
    operator: Visitor,
    tmp_path: Path,
) -> None:
    write(tmp_path, client, parameters)

    refused = start(client, operator, "k")

    assert refused.status_code == 422, refused.text
    assert f"{named}: " in refused.text
    assert count_executions(client) == 0


@every_way
def test_a_script_that_is_gone_is_named(
    start: Start, client: FlaskClient, operator: Visitor, tmp_path: Path
) -> None:
    write(tmp_path, client, {"first": 1})
    (tmp_path / "scripts" / "users.py").unlink()

    refused = start(client, operator, "k")

    assert refused.status_code == 404
    assert "users" in refused.text
    assert count_executions(client) == 0


@every_way
def test_a_key_sent_again_finds_its_execution_though_the_script_is_gone(
    start: Start, client: FlaskClient, operator: Visitor, tmp_path: Path
) -> None:
    write(tmp_path, client, {"first": 1})
    first = start(client, operator, "k")
    (tmp_path / "scripts" / "users.py").unlink()

    again = start(client, operator, "k")

    assert first.status_code == again.status_code, again.text
    assert first.status_code in {202, 303}
    assert count_executions(client) == 1

"""Guessing tokens is slowed down, and never keeps a valid token out."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from chassis.http.guesses import GUESSES
from chassis.postgres import Database
from push_blaster.app import create_app
from push_blaster.engine_probes import make_engine_probes
from tests.cadence_service.settings import CADENCE_TOKEN
from tests.push_blaster.settings import settings_for

#: Guesses that are forgiven while a slow machine sends the others: one in three seconds.
FORGIVEN = 40


@pytest.fixture
def app(push_url: str, database: Database, tmp_path: Path) -> Flask:
    """An app of its own, which has counted no guess yet."""
    return create_app(settings_for(push_url, tmp_path))


def _sign_in(app: Flask, token: str, address: str = "192.0.2.1") -> TestResponse:
    origin = {"REMOTE_ADDR": address}
    return app.test_client().post("/sign-in", data={"token": token}, environ_base=origin)


def _ask(
    app: Flask, token: str, address: str = "192.0.2.1", path: str = "/api/executions"
) -> TestResponse:
    headers = {"Authorization": f"Bearer {token}"}
    return app.test_client().get(path, headers=headers, environ_base={"REMOTE_ADDR": address})


def _ask_surely(app: Flask, token: str, path: str) -> TestResponse:
    """Ask until the token could be checked: /metrics waits only shortly for the database."""
    asked = (_ask(app, token, "192.0.2.77", path) for _ in range(20))
    return next(answer for answer in asked if answer.status_code != 503)


def test_a_valid_token_gets_in_after_200_guesses_from_the_same_address(app: Flask) -> None:
    answers = [_sign_in(app, f"guess {n}") for n in range(200)]

    counted = Counter(answer.status_code for answer in answers)
    assert counted.keys() == {401, 429}
    assert GUESSES.requests <= counted[401] <= GUESSES.requests + FORGIVEN
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 300
    assert "Try again in" in answers[-1].text
    assert _sign_in(app, "admin").status_code == 303
    assert _ask(app, "admin").status_code == 200


def test_guesses_from_everywhere_keep_nobody_out(app: Flask) -> None:
    for number in range(300):
        assert _sign_in(app, "guess", f"10.0.{number // 200}.{number % 200}").status_code == 401

    assert _sign_in(app, "viewer", "198.51.100.1").status_code == 303
    assert _sign_in(app, "guess", "198.51.100.2").status_code == 401


@pytest.mark.parametrize(
    "addresses",
    [
        ["2001:db8:1:2::1", "2001:db8:1:2:ffff::2", "2001:db8:1:2:0:1:2:3"],
        ["203.0.113.9", "::ffff:203.0.113.9", "::ffff:cb00:7109"],
    ],
)
def test_addresses_of_one_network_share_one_limit(app: Flask, addresses: list[str]) -> None:
    for number in range(GUESSES.requests):
        _ask(app, "guess", addresses[number % len(addresses)])

    answers = [_ask(app, "guess", address).status_code for address in addresses * 20]
    assert answers.count(429) > 30
    assert _ask(app, "guess", "2001:db8:1:3::1").status_code == 401


def test_guesses_that_race_are_counted_exactly(app: Flask) -> None:
    with ThreadPoolExecutor(8) as pool:
        statuses = pool.map(lambda n: _ask(app, f"guess {n}").status_code, range(150))
        counted = Counter(statuses)

    assert GUESSES.requests <= counted[401] <= GUESSES.requests + FORGIVEN


def test_bearer_guesses_are_limited_in_every_process(
    app: Flask, cadence_app: Flask, database: Database
) -> None:
    roles = settings_for("", Path()).tokens
    probes = make_engine_probes(roles, database, metrics_open=False)
    asked = ((app, "/metrics", "viewer"), (probes, "/metrics", "viewer"))
    for one, path, valid in (*asked, (cadence_app, "/rules", CADENCE_TOKEN)):
        answers = [_ask_surely(one, "guess", path) for _ in range(GUESSES.requests * 2)]
        refused = [answer for answer in answers if answer.status_code == 429]

        assert {answer.status_code for answer in answers[: GUESSES.requests]} == {401}
        assert len(refused) >= GUESSES.requests - FORGIVEN
        assert "Retry-After" in refused[0].headers
        assert "A valid token still works" in refused[0].get_json()["detail"]
        assert _ask_surely(one, valid, path).status_code == 200

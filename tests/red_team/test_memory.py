"""Bodies that cost much more than they weigh: no process becomes large, and no stranger is read."""

import gzip
from collections.abc import Iterator

import orjson
import pytest
import requests

from local_stack.embedded_postgres import EmbeddedPostgres
from tests.journeys.stack import TOKEN, VIEWER, Stack, running_stack
from tests.red_team.memory import MB, MOST, largest

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PACKED = {"Content-Encoding": "gzip"}
ROW = "6caf76a5-7035-48ae-8280-ad3729a6f2e7,Mina,,,,,,,,,\n"
BOMBS = {
    "empty arrays": b"[" + b"[]," * (10 * MB) + b"[]]",
    "numbers": b"[" + b"1," * (15 * MB) + b"1]",
    "short texts": b"[" + b'"ab",' * (6 * MB) + b'"ab"]',
    "spaces": b" " * (60 * MB),
    "fields": b"a=b&" * (8 * MB),
}


@pytest.fixture(scope="module")
def running(
    postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    with running_stack(postgres, tmp_path_factory.mktemp("memory"), engines=1) as stack:
        yield stack


def post(url: str, body: bytes, *headers: dict[str, str], token: str = "") -> int:
    known = {"Authorization": f"Bearer {token}"} if token else {}
    sent: dict[str, str] = known
    for more in headers:
        sent = sent | more
    try:
        return requests.post(url, body, headers=sent, timeout=60).status_code
    except requests.ConnectionError:
        return 413  # it hung up on a body that it will not read


@pytest.mark.parametrize("bomb", BOMBS)
def test_what_a_stranger_sends_is_not_read(running: Stack, bomb: str) -> None:
    body = BOMBS[bomb]

    answers = [
        post(running.push_url + "/sign-in", body, FORM),
        post(running.push_url + "/sign-in", gzip.compress(body), JSON, PACKED),
        post(running.push_url + "/sign-in", gzip.compress(body), FORM, PACKED),
        post(running.push_url + "/nowhere", gzip.compress(body), JSON, PACKED),
        post(running.push_url + "/api/devices", gzip.compress(body), JSON, PACKED),
        post(running.push_url + "/api/devices", body, JSON, token="a wrong token, long enough"),
        post(running.cadence_url + "/filter-audience", gzip.compress(body), JSON, PACKED),
    ]

    assert {status // 100 for status in answers} == {4}
    assert largest(running) < MOST


@pytest.mark.parametrize("bomb", BOMBS)
def test_what_a_viewer_or_a_service_sends_costs_little_more_than_it_weighs(
    running: Stack, bomb: str
) -> None:
    body = BOMBS[bomb]
    split, check = (
        running.push_url + "/api/query-audience",
        running.cadence_url + "/filter-audience",
    )

    answers = [
        post(split, body, JSON, token=VIEWER),
        post(split, gzip.compress(body), JSON, PACKED, token=VIEWER),
        post(check, body, JSON, token="journey-cadence-token"),
        post(check, gzip.compress(body), JSON, PACKED, token="journey-cadence-token"),
    ]

    assert {status // 100 for status in answers} == {4}
    assert largest(running) < MOST


def test_a_large_csv_is_split_and_one_line_is_refused_in_bounded_memory(running: Stack) -> None:
    table = "user_id,first_name,a,b,c,d,e,f,g,h,i\n" + ROW * 80_000
    one_line = "user_id,\N{SNOWMAN}" + "x" * (15 * MB)

    answers = [
        post(
            running.push_url + "/api/query-audience",
            orjson.dumps({"csvData": text, "splitCount": 3}),
            JSON,
            token=VIEWER,
        )
        for text in (table, one_line)
    ]

    assert answers == [200, 400]
    assert largest(running) < MOST


def test_an_upload_of_one_endless_line_is_refused_in_bounded_memory(running: Stack) -> None:
    csv = {"Content-Type": "text/csv"}

    answers = [
        post(f"{running.push_url}/api/devices/import", line, csv, token=TOKEN)
        for line in (b"x" * 200 * MB, b"user_id," + b"\0" * 200 * MB)
    ]

    assert answers == [400, 400]
    assert largest(running) < MOST

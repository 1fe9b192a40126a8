"""The audit log's record of a change: enough to understand the change, and no secret."""

import json
import time
from collections.abc import Callable

import pytest

from push_blaster.domain.access.audit import BYTES_KEPT, describe


@pytest.mark.parametrize(
    "name",
    [
        *("token", "deviceToken", "tokens", "password", "csrf_token", "keys", "apiKey"),
        *("p256dh", "auth", "clientSecret", "private_key", "Authorization"),
    ],
)
def test_what_is_secret_by_its_name_is_masked_however_deep(name: str) -> None:
    assert "hidden" not in describe({"devices": [{name: "hidden"}], name: ["hidden"]})


@pytest.mark.parametrize("name", ["title", "automationId", "userId", "idempotencyKey", "author"])
def test_what_is_no_secret_is_told(name: str) -> None:
    assert "shown" in describe({name: "shown"})


def test_long_content_is_cut_to_what_is_kept() -> None:
    huge = {f"field {n}": "ä" * 10_000 for n in range(1_000)}

    assert len(describe(huge).encode()) <= BYTES_KEPT


@pytest.mark.slow
def test_a_long_list_tells_how_much_is_left_out() -> None:
    assert "… and 999950 more" in json.loads(describe(list(range(1_000_000))))


def test_content_of_any_depth_is_described() -> None:
    deep: list[object] = []
    for _ in range(10_000):
        deep = [deep]

    assert "…" in describe(deep)


@pytest.mark.slow
@pytest.mark.parametrize(
    "make_content",
    [
        lambda: {"devices": [{"userId": str(n), "kind": "fcm"} for n in range(10_000)]},
        lambda: {"rows": [[1] * 10 for _ in range(100_000)]},
        lambda: {"userIds": [str(n) for n in range(200_000)]},
        lambda: {f"junk{n}": "x" for n in range(50_000)},
    ],
    ids=["objects", "lists", "users", "junk"],
)
def test_a_huge_content_is_described_at_once(make_content: Callable[[], dict[str, object]]) -> None:
    content = make_content()
    began_at = time.monotonic()

    described = describe(content, "salt")

    assert all(name in described for name in list(content)[:5])
    assert time.monotonic() - began_at < 5


def test_no_name_is_left_out_however_many_there_are() -> None:
    content = {**{f"junk{n}": "x" for n in range(20_000)}, "status": {"deep": [{"reason": 1}]}}

    described = json.loads(describe(content))["names"]

    assert len(described) == 20_003
    assert "status.deep[].reason" in described

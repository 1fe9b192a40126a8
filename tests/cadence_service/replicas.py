"""Replicas of the cadence service, and calls to them as its callers make them."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from uuid import UUID

import requests

from cadence_service.app import create_app
from tests.cadence_service.settings import CADENCE_TOKEN, cadence_settings
from tests.serving import serving

TEXTS = {"pushTitle": "T", "pushBody": "B", "audienceDescription": "A"}


@contextmanager
def running_replicas(database_url: str, count: int, **changes: Any) -> Iterator[list[str]]:
    """Serve so many replicas over one database; yield their URLs."""
    settings = cadence_settings(database_url, **changes)
    with ExitStack() as stack:
        yield [stack.enter_context(serving(create_app(settings))) for _ in range(count)]


def call(method: str, url: str, **options: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {CADENCE_TOKEN}"}
    return requests.request(method, url, headers=headers, timeout=60, **options)


def reserve(url: str, key: str, users: Sequence[UUID], **more: Any) -> requests.Response:
    reservation = {"key": key, "ttlSeconds": more.pop("ttlSeconds", 60)}
    body = {"userIds": [str(user) for user in users], "layerId": 3, "reservation": reservation}
    return call("POST", f"{url}/filter-audience", json={**body, **more})


def settle(url: str, key: str, **who: Any) -> requests.Response:
    body = {"reservationKey": key, **TEXTS, **who}
    return call("POST", f"{url}/track-notification", json=body)


def release(url: str, key: str) -> requests.Response:
    return call("DELETE", f"{url}/reservations/{key}")


def spread_users(count: int, salt: int = 0) -> list[UUID]:
    """Return users whose ids are spread over all buckets."""
    return [UUID(int=(n * 2**128 // count) + salt + 1) for n in range(count)]

"""One client that sends to the fake FCM, in a process of its own: its time, CPU and memory.

`python -m tests.bench.send_clients WAY MESSAGES URL CA_FILE TOKEN_URI` prints one line of JSON.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import requests

from chassis.clock import utc_now
from push_blaster.adapters.transports.fcm_payload import encode_message
from push_blaster.adapters.transports.fcm_transport import FcmOptions, FcmTransport
from push_blaster.adapters.transports.google_tokens import GoogleTokens
from push_blaster.domain.delivery.message import Message, Outcome
from tests.fakes.token_server import make_key

#: As many as firebase-admin takes in one call.
FIREBASE_BATCH: Final = 500
THREADS: Final = 100
#: As many as the pipeline has in flight for each of its batches.
SLICE: Final = 500


def a_message(number: int) -> Message:
    """Return a message of about 600 bytes, as JSON; its device token has 163 characters."""
    return Message(
        user_id=UUID(int=number),
        device_token=f"{number:x}".rjust(163, "d"),
        title=f"Anna {number}, your tomatoes are ripe",
        body=f"Somebody near you offers {number} seeds of what you wished for; have a look today.",
        deep_link=f"https://garden.example.com/offers?plant=tomato&user={number}",
        display_tag=f"{number:022d}",
    )


def an_account(token_uri: str) -> dict[str, str]:
    """Return a service account that the token server takes."""
    return {
        "type": "service_account",
        "project_id": "garden",
        "client_email": "push@garden.test",
        "private_key": make_key()[0],
        "token_uri": token_uri,
    }


def _send_ours(messages: Sequence[Message], url: str, ca_file: Path, token_uri: str) -> int:
    options = FcmOptions(project_id="garden", base_url=url, ca_file=ca_file)
    transport = FcmTransport(options, GoogleTokens(an_account(token_uri), None))
    slices = [messages[start : start + SLICE] for start in range(0, len(messages), SLICE)]

    def send(chosen: Sequence[Message]) -> int:
        deliveries = transport.send(chosen, lambda: False)
        return sum(delivery.outcome is Outcome.SENT for delivery in deliveries)

    with ThreadPoolExecutor(4) as threads:
        return sum(threads.map(send, slices))


def _send_by_firebase(messages: Sequence[Message], url: str, ca_file: Path, token_uri: str) -> int:
    import firebase_admin
    from firebase_admin import credentials, messaging

    class Account(credentials.Base):  # type: ignore[misc]  # ships no types
        def get_credential(self) -> Any:
            return credentials.Certificate(an_account(token_uri)).get_credential()

    messaging._MessagingService.FCM_URL = url + "/v1/projects/{0}/messages:send"
    app = firebase_admin.initialize_app(Account(), {"projectId": "garden"})
    firebase_messages = [_for_firebase(messaging, message) for message in messages]
    sent = 0
    for start in range(0, len(messages), FIREBASE_BATCH):
        page = firebase_messages[start : start + FIREBASE_BATCH]
        sent += messaging.send_each(page, app=app).success_count
    return sent


def _for_firebase(messaging: Any, message: Message) -> Any:
    return messaging.Message(
        token=message.device_token,
        notification=messaging.Notification(message.title, message.body),
        data={"click_action": message.deep_link, "url": message.deep_link},
        android=messaging.AndroidConfig(
            priority="high",
            ttl=86_400,
            notification=messaging.AndroidNotification(tag=message.display_tag),
        ),
    )


def _send_by_requests(messages: Sequence[Message], url: str, ca_file: Path, token_uri: str) -> int:
    token = GoogleTokens(an_account(token_uri), None).get()
    session = requests.Session()
    session.verify = str(ca_file)
    session.headers.update({"Authorization": f"Bearer {token}", "Content-Type": "application/json"})
    now_s = int(utc_now().timestamp())
    session.mount("https://", requests.adapters.HTTPAdapter(pool_maxsize=THREADS))

    def send(message: Message) -> bool:
        path = f"{url}/v1/projects/garden/messages:send"
        answer = session.post(path, data=encode_message(message, now_s))
        return answer.status_code == 200 and "name" in answer.json()

    with ThreadPoolExecutor(THREADS) as threads:
        return sum(threads.map(send, messages))


WAYS: Final[dict[str, Callable[[Sequence[Message], str, Path, str], int]]] = {
    "ours": _send_ours,
    "firebase-admin": _send_by_firebase,
    "requests": _send_by_requests,
}


def _measured(way: str, count: int, url: str, ca_file: Path, token_uri: str) -> Iterator[Any]:
    messages = [a_message(number) for number in range(count)]
    cpu, begun = time.process_time(), time.perf_counter()
    sent = WAYS[way](messages, url, ca_file, token_uri)
    yield "taken_s", time.perf_counter() - begun
    yield "cpu_s", time.process_time() - cpu
    yield "memory_mb", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    yield "sent", sent


if __name__ == "__main__":
    name, number, where, authority, token_server = sys.argv[1:]
    found = dict(_measured(name, int(number), where, Path(authority), token_server))
    print(json.dumps(found))

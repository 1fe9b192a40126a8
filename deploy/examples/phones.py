"""Simulated phones: read the messages that the file transport wrote, and report what users do.

A real app reports with the receipt of a message, and needs no token for events. Conversions come
from a backend, which has a token of an operator. The same message has the same reports in every
run, and a report that is sent twice counts once: the phones may be stopped and started at any time.
"""

import argparse
import json
import random
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from pathlib import Path
from typing import Any, NamedTuple

import requests

#: Older messages of the file are left alone: phones that start again report the last ones again.
LAST = timedelta(minutes=30)
#: How many reports one request takes.
AT_ONCE = 100
#: How many bytes of the file are read at once.
CHUNK = 4_000_000
PAUSE_S, LIMIT_S = 0.5, 10
GOAL = "deal"
#: How many users open a message, by words of its text; the first words that fit decide.
OPENED = (("is wanted", 0.10), ("Somebody near you looks for", 0.40), ("", 0.18))
#: How many messages arrive; how many are dismissed if not opened; who opts out after an open.
DELIVERED, DISMISSED, OPTED_OUT = 0.97, 0.25, 0.02
#: How many users make a deal, after they opened a message and without that.
DEAL_AFTER_OPEN, DEAL_ANYHOW = 0.30, 0.03


class Report(NamedTuple):
    """What is reported, in which list, and how many seconds after the message."""

    after_s: float
    kind: str
    item: Mapping[str, Any]


def plan(message: Mapping[str, Any], seed: int) -> Iterator[Report]:
    """Yield what the phone and the shop will report of one message; real days become minutes."""
    receipt = message["data"].get("receipt")
    if receipt is None:
        return
    chance = random.Random(f"{seed} {receipt}")  # noqa: S311 - made-up people
    delivered_s = chance.uniform(0.2, 4)
    if chance.random() > DELIVERED:
        return
    yield Report(delivered_s, "events", {"receipt": receipt, "event": "delivered"})
    acted_s = delivered_s + min(chance.lognormvariate(3, 0.9), 300)
    is_opened = chance.random() < find_rate(message)
    if is_opened or chance.random() < DISMISSED:
        event = "opened" if is_opened else "dismissed"
        yield Report(acted_s, "events", {"receipt": receipt, "event": event})
    if is_opened and chance.random() < OPTED_OUT:
        yield Report(acted_s + 2, "events", {"receipt": receipt, "event": "opted_out"})
    if chance.random() < (DEAL_AFTER_OPEN if is_opened else DEAL_ANYHOW):
        value = chance.choice([5, 8, 12, 20])
        deal = {"userId": message["userId"], "goal": GOAL, "value": value, "key": f"deal {receipt}"}
        yield Report(acted_s + chance.uniform(5, 60), "conversions", deal)


def find_rate(message: Mapping[str, Any]) -> float:
    """Return the share of users who open a message like this one."""
    text = f"{message['title']} {message['body']}"
    return next(rate for words, rate in OPENED if words in text)


def read_new(path: Path, place: int) -> tuple[list[dict[str, Any]], int]:
    """Return messages that are written whole after a place of the file, and the place after them.

    A file that became shorter is read again.
    """
    if not path.exists():
        return [], 0
    with path.open("rb") as file:
        file.seek(place if place <= path.stat().st_size else 0)
        begin = file.tell()
        content = file.read(CHUNK)
    whole = content[: content.rfind(b"\n") + 1]
    return [json.loads(line) for line in whole.splitlines()], begin + len(whole)


class Phones:
    """All phones, and the shop: they wait until a report is due, and send it."""

    def __init__(self, url: str, token: str, seed: int) -> None:
        """Take the address of the web, and the token of an operator for conversions, if any."""
        self._url = url
        self._seed = seed
        self._waiting: list[tuple[float, int, Report]] = []
        self._known = 0
        self._session = requests.Session()
        self._headers = {"conversions": {"Authorization": f"Bearer {token}"}} if token else {}

    def receive(self, message: Mapping[str, Any], now: datetime) -> None:
        """Plan the reports of a message, unless it is old."""
        age = now - datetime.fromisoformat(message["sentAt"])
        for report in plan(message, self._seed) if age < LAST else ():
            due = now.timestamp() - age.total_seconds() + report.after_s
            if report.kind == "events" or self._headers:
                self._known += 1
                heappush(self._waiting, (due, self._known, report))

    def report(self, now: datetime) -> None:
        """Send what is due; what could not be sent waits for the next time."""
        due = []
        while self._waiting and self._waiting[0][0] <= now.timestamp():
            due.append(heappop(self._waiting))
        for kind in ("events", "conversions"):
            own = [one for one in due if one[2].kind == kind]
            for first in range(0, len(own), AT_ONCE):
                batch = own[first : first + AT_ONCE]
                if not self._send(kind, [report.item for _, _, report in batch]):
                    for one in batch:
                        heappush(self._waiting, one)

    def _send(self, kind: str, items: list[Mapping[str, Any]]) -> bool:
        """Return whether the web has answered; it refuses with 429 what comes too fast."""
        try:
            answer = self._session.post(
                f"{self._url}/api/{kind}",
                json={kind: items},
                headers=self._headers.get(kind),
                timeout=LIMIT_S,
            )
        except requests.RequestException as error:
            print(f"{kind} wait: {error}", flush=True)
            return False
        print(f"{len(items)} {kind}: {answer.status_code} {answer.text[:500]}", flush=True)
        return answer.status_code < 500 and answer.status_code != 429


def main() -> None:
    """Follow the file until somebody stops the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=Path, default=Path("var/sent/messages.jsonl"))
    parser.add_argument("--url", default="http://127.0.0.1:3001")
    parser.add_argument("--token-file", type=Path, help="without it, no conversions are reported")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    token = asked.token_file.read_text().strip() if asked.token_file else ""
    phones, place = Phones(asked.url, token, asked.seed), 0
    while True:
        messages, place = read_new(asked.messages, place)
        for message in messages:
            phones.receive(message, datetime.now(UTC))
        phones.report(datetime.now(UTC))
        if not messages:
            time.sleep(PAUSE_S)


if __name__ == "__main__":
    main()

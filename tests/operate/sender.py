"""Somebody who sends all night: one execution after the other, each to users of its own."""

import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import requests

from local_stack.example import ENDED
from tests.journeys.stack import a_journey_automation
from tests.operate.site import SOON_S, Site
from tests.torture.world import persist

#: Executions at once; so there is always one that sends.
SENDERS: Final = 2
#: How long an execution may take, whatever happens to it.
LONGEST_S: Final = 90.0


@dataclass(frozen=True, slots=True)
class Sent:
    """An execution, and its users: so many from the first on."""

    execution: dict[str, Any]
    first: int
    users: int

    @property
    def numbers(self) -> range:
        return range(self.first, self.first + self.users)


@dataclass
class Sender:
    """Sends from `start` to `stop`, through nginx, by a token that the night may rotate."""

    site: Site
    token: str
    users: int
    sent: list[Sent] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        self._threads = [
            threading.Thread(target=self._send_all, args=(number,)) for number in range(SENDERS)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Begin nothing more, and wait for what runs."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(LONGEST_S + SOON_S)

    def _send_all(self, sender: int) -> None:
        number = sender
        while not self._stopping.is_set():
            try:
                self.sent.append(self._send(number))
            except (AssertionError, requests.RequestException) as error:
                self.troubles.append(f"night-{number}: {error}")
            number += SENDERS

    def _send(self, number: int) -> Sent:
        """Send to users whom nobody else has, and return how it ended."""
        name, first = f"night-{number}", 1 + number * self.users
        parameters = {"first": first, "users": self.users, "token": "ok"}
        automation = a_journey_automation(name, parameters=parameters)
        made = self.ask("POST", "/api/automation/recipes", automation)
        assert made.status_code in {201, 409}, made.text  # 409: the answer to the first got lost
        key = {"Idempotency-Key": name}
        begun = self.ask("POST", "/api/executions", {"automationId": name}, **key)
        assert begun.ok, begun.text
        give_up_at = time.monotonic() + LONGEST_S
        while True:
            seen: dict[str, Any] = self.ask("GET", f"/api/executions/{begun.json()['id']}").json()
            if seen["phase"] in ENDED or time.monotonic() > give_up_at:
                return Sent(seen, first, self.users)
            time.sleep(0.2)

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> requests.Response:
        """Ask again and again while a server is away."""
        bearer = {"Authorization": f"Bearer {self.token}", **headers}
        answer = persist(lambda: self.site.stack.request(method, path, body, **bearer))
        assert answer is not None, f"nobody answered {method} {path}"
        return answer


def find_faults(
    sent: Sequence[Sent], received: Mapping[tuple[int, str], int], doubted: Collection[int]
) -> list[str]:
    """Return what went wrong: each user of each execution got its push once.

    Shape: `received` are the messages of the provider, by user and display tag. A message that the
    ledger calls in doubt, of a user in `doubted`, may have come twice under its tag.
    """
    tags = Counter(user for user, _ in received)
    doubled = {user for (user, _), count in received.items() if count > 1}
    return [
        *_find_unfinished(sent, tags.keys()),
        *(f"user {user} got {n} different messages" for user, n in tags.items() if n > 1),
        *(f"user {user} got a message twice" for user in doubled.difference(doubted)),
    ]


def _find_unfinished(sent: Sequence[Sent], reached: Collection[int]) -> Iterator[str]:
    for one in sent:
        id_, phase = one.execution["id"], one.execution["phase"]
        if phase != "completed":
            yield f"{id_} is {phase}: {one.execution['reason']}"
        if lost := [user for user in one.numbers if user not in reached]:
            yield f"{id_}: {len(lost)} users got nothing, such as {lost[0]}"

"""The phones and the shop of the torture: they report each message until somebody has taken it."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event as Signal
from typing import Any, Final

from tests.journeys.stack import user
from tests.torture.evidence import Accepted
from tests.torture.world import World, persist

GOAL: Final = "deal"
EVENTS: Final = ("delivered", "opened")
#: How many messages are reported at once; a request takes 100 events.
AT_ONCE: Final = 50
PAUSE_S: Final = 0.2


@dataclass
class Phones:
    """Report what the provider took, again after each fault, in a thread of its own.

    Shape: `events` are display tags with events, and `keys` are those of conversions, that were
    answered with 202.
    """

    world: World
    events: set[tuple[str, str]] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    _leaving: Signal = field(default_factory=Signal)
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    _ending: "Future[None] | None" = None

    def arrive(self) -> None:
        """Begin to report."""
        self._ending = self._thread.submit(self._report_all)

    def leave(self) -> None:
        """Report what is left, and end."""
        self._leaving.set()
        self._thread.shutdown()
        if self._ending:
            self._ending.result()

    def _report_all(self) -> None:
        place = 0
        while True:
            is_last = self._leaving.is_set()
            messages = self.world.accepted[place : place + AT_ONCE]
            if messages:
                self._report(messages)
                place += len(messages)
            elif is_last:
                return
            else:
                time.sleep(PAUSE_S)

    def _report(self, messages: list[Accepted]) -> None:
        """Report messages; what was answered may have been sent twice, and must count once."""
        events = [(one, event) for one in messages for event in EVENTS]
        self._post("events", [{"receipt": one.receipt, "event": event} for one, event in events])
        self.events |= {(one.tag, event) for one, event in events}
        deals = {
            one.tag: {"userId": user(one.user), "goal": GOAL, "key": one.tag} for one in messages
        }
        self._post("conversions", list(deals.values()))
        self.keys |= deals.keys()

    def _post(self, kind: str, items: list[dict[str, Any]]) -> None:
        stack = self.world.stack
        answer = None
        while answer is None:
            answer = persist(lambda: stack.request("POST", f"/api/{kind}", {kind: items}))
        assert (answer.status_code, answer.json()["problems"]) == (202, []), answer.text

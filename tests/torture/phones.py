"""The phones and the shop of the torture: they report each message until somebody has taken it.

Some users have enough with their first message, and opt out of all by its button; others ask the
shop to erase them.
"""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event as Signal
from typing import Any, Final

import requests

from chassis.clock import utc_now
from tests.journeys.stack import user
from tests.torture.evidence import Accepted
from tests.torture.world import HOST_JUMP, TESTER, World, persist

GOAL: Final = "deal"
EVENTS: Final = ("delivered", "opened")
OPTED_OUT: Final = "opted_out"
#: One of so many users opts out, and one asks to be erased.
ONE_OF: Final = 25
ERASED_OF: Final = 40
#: How many messages are reported at once; a request takes 100 events.
AT_ONCE: Final = 50
PAUSE_S: Final = 0.2


@dataclass
class Phones:
    """Report what the provider took, again after each fault, in a thread of its own.

    Shape: `events` are display tags with events, and `keys` are those of conversions, that were
    answered with 202. `opted_out` and `erased` tell when the wish of a user was surely answered.
    """

    world: World
    events: set[tuple[str, str]] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    opted_out: dict[int, datetime] = field(default_factory=dict)
    erased: dict[int, datetime] = field(default_factory=dict)
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
        self._opt_out([one for one in messages if one.user % ONE_OF == 0 and one.user != TESTER])
        self._erase({one.user for one in messages if one.user % ERASED_OF == 1} - {TESTER})
        deals = {
            one.tag: {"userId": user(one.user), "goal": GOAL, "key": one.tag} for one in messages
        }
        self._post("conversions", list(deals.values()))
        self.keys |= deals.keys()

    def _opt_out(self, messages: list[Accepted]) -> None:
        if not messages:
            return
        taps = [{"receipt": m.receipt, "event": OPTED_OUT, "scope": "all"} for m in messages]
        self._post("events", taps)
        for message in messages:
            self.events.add((message.tag, OPTED_OUT))
            self.opted_out.setdefault(message.user, self._latest())

    def _erase(self, users: set[int]) -> None:
        for number in users - self.erased.keys():
            answer = self._insist("DELETE", f"/api/users/{user(number)}", None)
            assert answer.status_code == 202, answer.text
            self.erased[number] = self._latest()

    def _latest(self) -> datetime:
        """Return the latest instant that any process may take for the present one."""
        return utc_now() + (HOST_JUMP if self.world.host else timedelta(0))

    def _insist(self, method: str, path: str, body: Any) -> requests.Response:
        stack = self.world.stack
        answer = None
        while answer is None:
            answer = persist(lambda: stack.request(method, path, body))
        return answer

    def _post(self, kind: str, items: list[dict[str, Any]]) -> None:
        answer = self._insist("POST", f"/api/{kind}", {kind: items})
        erased = {user(number) for number in self.erased}
        problems = [
            one
            for one in answer.json()["problems"]
            if one["reason"] != "erased_user" or items[one["index"]].get("userId") not in erased
        ]
        assert (answer.status_code, problems) == (202, []), answer.text

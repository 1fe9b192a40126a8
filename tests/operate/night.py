"""One night from beginning to end, and what was seen at each step."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from local_stack.embedded_postgres import run_postgres
from tests.databases import FAST
from tests.fakes.fcm_server import run_fcm_server
from tests.fakes.fcm_settings import fcm_settings
from tests.fakes.token_server import TokenServer, make_key, run_token_server
from tests.journeys.stack import wait_until
from tests.operate.sender import Sender, find_faults
from tests.operate.site import Site, running_site
from tests.torture.world import number_of

COUNTED: Final = "SELECT count(*), count(DISTINCT user_id) FROM user_notifications"
DOUBTED: Final = "SELECT user_id FROM deliveries WHERE was_in_doubt"
Say = Callable[[str], None]


@dataclass
class Night:
    """What the steps of a night share."""

    folder: Path
    site: Site
    google: TokenServer
    sender: Sender
    received: Counter[tuple[int, str]]
    say: Say

    def await_messages(self, more: int, limit_s: float = 60) -> float:
        """Wait until so many more messages have left; return how long that took."""
        began, enough = time.monotonic(), self.received.total() + more
        while self.received.total() < enough:
            waited = time.monotonic() - began
            assert waited < limit_s, f"in {limit_s} s less than {more} messages left"
            time.sleep(0.05)
        return time.monotonic() - began


@dataclass(frozen=True, slots=True)
class Step:
    """A section of operations.md: what is done, in a function that returns what was seen."""

    name: str
    act: Callable[[Night], str]


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen at a step; `sent` are the messages that left meanwhile."""

    name: str
    saw: str
    sent: int
    took_s: float
    health: str


def live_through(folder: Path, steps: Sequence[Step], users: int, say: Say) -> list[Seen]:
    """Do each step while somebody sends; return what was seen. Raises: AssertionError."""
    with running_night(folder, users, say) as night:
        night.sender.start()
        try:
            seen = [_take(step, night) for step in steps]
        finally:
            night.sender.stop()
        seen.append(_take(Step("the morning after", _count), night))
    return seen


@contextmanager
def running_night(folder: Path, users: int, say: Say) -> Iterator[Night]:
    """Install and start everything; nobody sends yet."""
    private, public = make_key()
    received: Counter[tuple[int, str]] = Counter()
    server = {**FAST, "listen_addresses": "'127.0.0.1'", "idle_in_transaction_session_timeout": "0"}
    with (
        run_postgres(folder / "postgres", server) as postgres,
        run_fcm_server(folder) as fcm,
        run_token_server(public) as google,
    ):
        fcm.on_accept = lambda message: received.update([_read(message)])
        settings = fcm_settings(fcm, google.url, private)
        with running_site(postgres, folder, settings) as site:
            made = site.run("push-blaster", "token", "create", "night", "--role", "admin")
            assert made.code == 0, made
            sender = Sender(site, made.last, users)
            yield Night(folder, site, google, sender, received, say)


def _read(message: dict[str, Any]) -> tuple[int, str]:
    """Return which user a message went to, and its display tag."""
    return int(message["token"].rpartition("-")[2]), message["android"]["notification"]["tag"]


def _take(step: Step, night: Night) -> Seen:
    began, before = time.monotonic(), night.received.total()
    try:
        saw = step.act(night)
    except AssertionError as error:
        raise AssertionError(f"{step.name}: {error}") from error
    health = night.site.health()
    seen = Seen(
        name=step.name,
        saw=saw,
        sent=night.received.total() - before,
        took_s=time.monotonic() - began,
        health=" ".join([health["status"], *health["problems"]]),
    )
    night.say(f"{seen.took_s:5.1f} s  {seen.name}: {seen.saw}; {seen.health}")
    return seen


def _count(night: Night) -> str:
    sent, doubted = night.sender.sent, night.site.stack.ledger(DOUBTED)
    faults = find_faults(sent, night.received, {number_of(id_) for (id_,) in doubted})
    assert faults + night.sender.troubles == []
    users = sum(one.users for one in sent)
    wait_until(lambda: night.site.stack.history(COUNTED), lambda rows: rows == [(users, users)], 60)
    twice = sum(count - 1 for count in night.received.values())
    return (
        f"{len(sent)} executions completed; each of {users} users got the push once, and it"
        f" counts once for the caps; {twice} messages in doubt came a second time under their tag"
    )


HEADS: Final = ("step", "what was seen", "sent meanwhile", "health")


def write_table(seen: Sequence[Seen]) -> str:
    """Return what was seen as a table of Markdown."""
    rows = [HEADS, ("---",) * len(HEADS)]
    rows += [(s.name, s.saw, f"{s.sent} in {s.took_s:.0f} s", s.health) for s in seen]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)

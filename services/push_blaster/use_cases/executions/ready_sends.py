"""The pushes that an engine has made ready, and that wait in memory for their instant.

All that a push needs before its first message is done ahead: at the instant itself, one transaction
begins all pushes that are due, and their first messages go out at once. If this process dies before
that, another engine begins the pushes in the usual way, some seconds after their instant.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog

from chassis.postgres import DatabaseAwayError
from push_blaster.adapters.executions.execution_view import select_readable
from push_blaster.adapters.executions.ready_executions import (
    hand_back,
    needs_slots,
    select_unchanged,
    take_to_make_ready,
)
from push_blaster.domain.executions.execution import Execution
from push_blaster.use_cases.context import SendContext
from push_blaster.use_cases.delivery.send_messages import CLAIM
from push_blaster.use_cases.executions.make_ready import (
    FIRST_MESSAGES,
    ReadySend,
    give_up_ready,
    make_ready,
)
from push_blaster.use_cases.executions.send_together import send_together

log = structlog.get_logger()

#: How long before its instant a push is made ready, and how many wait in memory at most.
AHEAD: Final = timedelta(seconds=30)
MAX_READY: Final = 2_000
#: How many pushes one look takes, so that several engines share them, and how many at a time.
PER_LOOK: Final = 20
MAKERS: Final = 4
#: How many pushes begin in one transaction; each keeps a journal open while its group is sent.
GROUP: Final = 100
#: How many groups are at the provider at a time.
SENDERS: Final = 4
#: After so long, a push that did not begin is left to every engine.
BEGINS_WITHIN: Final = timedelta(seconds=4)
#: How long first messages go before the rest of any push.
GOES_FIRST_S: Final = 2.0
#: How often an engine looks for pushes, and for those that were stopped.
LOOK_S: Final = 1.0
#: How long the end of an engine waits for first messages in flight; its batches have as long.
END_S: Final = 3.0
FAULT_PAUSE_S: Final = 1.0


class ReadySends:
    """The ready pushes of one engine; safe in threads."""

    def __init__(
        self,
        context: SendContext,
        on_sent: Callable[[], None] = lambda: None,
        holds: Callable[[], bool] = lambda: False,
    ) -> None:
        """Take what is called when batches wait to be dispatched, and when nothing may begin."""
        self._context = context
        self._on_sent = on_sent
        self._holds = holds
        self._ready: list[ReadySend] = []
        self._changed = threading.Condition()
        self._makers = ThreadPoolExecutor(MAKERS, "makes-ready")
        self._senders = ThreadPoolExecutor(SENDERS, "sends-first")
        self._free = threading.BoundedSemaphore(SENDERS)
        self._going: list[Future[None]] = []
        self._going_since: float | None = None

    @property
    def is_going(self) -> bool:
        """Whether due pushes have just begun to go, so that other batches wait for a moment."""
        since = self._going_since
        return since is not None and time.monotonic() - since < GOES_FIRST_S

    def start(self) -> None:
        """Work in threads until the engine shuts down."""
        for duty, rest in ((self.make, self._rest), (self.go, self._await_next)):
            threading.Thread(target=self._repeat, args=(duty, rest), daemon=True).start()

    def make(self) -> None:
        """Make pushes ready that begin soon, and forget those that were stopped."""
        self._forget_changed()
        while self._may_make() and len(self._ready) < MAX_READY:
            taken = self._take()
            made = list(self._makers.map(self._make_one, taken))
            ready = [one for one in made if one is not None]
            with self._changed:
                self._ready = sorted([*self._ready, *ready], key=lambda one: one.due_at)
                self._changed.notify_all()
            self._hand_back({e.id for e in taken} - {one.after.id for one in ready})
            if not taken:
                return

    def go(self) -> None:
        """Begin every push that is due, in groups, and send their first messages."""
        try:
            while not self._context.is_shutting_down() and (due := self._find_due()):
                self._going_since = self._going_since or time.monotonic()
                self._send(due)
        finally:
            self._going_since = None

    def close(self) -> None:
        """Leave every ready push to the other engines, and wait a moment for messages in flight."""
        self._leave()
        wait_for(self._going, END_S)
        self._senders.shutdown(wait=False)

    def _leave(self) -> None:
        with self._changed:
            left, self._ready = self._ready, []
        self._hand_back({one.after.id for one in left}, is_usual=False)

    def _may_make(self) -> bool:
        return not self._context.is_shutting_down() and not self._holds()

    def _take(self) -> list[Execution]:
        with self._context.database.transaction() as connection:
            now = self._context.clock()
            ids = take_to_make_ready(connection, now, AHEAD, PER_LOOK)
            readable = select_readable(connection, ids) if ids else []
            unreadable = set(ids) - {execution.id for execution in readable}
            if unreadable:  # a newer engine begins these
                hand_back(connection, sorted(unreadable))
        return sorted(readable, key=lambda execution: ids.index(execution.id))

    def _make_one(self, execution: Execution) -> ReadySend | None:
        try:
            return make_ready(self._context, execution)
        except DatabaseAwayError as error:
            log.warning("database_awaited", reason=str(error))
        except Exception:  # its step meets the same fault, and reports it
            log.exception("push_not_made_ready", execution=execution.id)
        return None

    def _forget_changed(self) -> None:
        """Forget pushes whose executions somebody has stopped or taken; release slots of nobody."""
        with self._changed:
            ready = list(self._ready)
        if not ready:
            return
        pushes = [one.begin(one.due_at) for one in ready]
        with self._context.database.transaction() as connection:
            unchanged = select_unchanged(connection, pushes)
            changed = [push for push in pushes if push.after.id not in unchanged]
            unneeded = {p.after.id for p in changed if not needs_slots(connection, p)}
        left = self._remove({push.after.id for push in changed})
        for one in left:
            if one.after.id in unneeded:
                give_up_ready(self._context, one)
        self._hand_back({one.after.id for one in left}, is_usual=False)

    def _remove(self, execution_ids: set[str]) -> list[ReadySend]:
        """Take these out of the ready pushes, and return those that were still there."""
        with self._changed:
            found = [one for one in self._ready if one.after.id in execution_ids]
            self._ready = [one for one in self._ready if one.after.id not in execution_ids]
        return found

    def _find_due(self) -> list[ReadySend]:
        """Return the pushes that are due; leave those to others that may not begin here."""
        now = self._context.clock()
        with self._changed:
            due = [one for one in self._ready if one.due_at <= now]
        is_held = self._holds()
        late = {one.after.id for one in due if is_held or now - one.due_at > BEGINS_WITHIN}
        self._hand_back({one.after.id for one in self._remove(late)})
        return [one for one in due if one.after.id not in late]

    def _send(self, due: Sequence[ReadySend]) -> None:
        """Give a group of due pushes to a sender, as many as the rate allows now."""
        group = choose_group(due)
        until = group[0].due_at + BEGINS_WITHIN

        def is_over() -> bool:
            return self._context.is_shutting_down() or self._context.clock() > until

        if not _acquire(self._free, is_over):
            return
        messages = sum(len(one.messages) for one in group)
        group = _cut(group, self._context.pacer.take(messages, is_over))
        group = self._remove_group(group)
        if group:
            going = [future for future in self._going if not future.done()]
            self._going = [*going, self._senders.submit(self._send_group, group)]
        else:
            self._free.release()

    def _remove_group(self, group: Sequence[ReadySend]) -> list[ReadySend]:
        still = {one.after.id for one in self._remove({one.after.id for one in group})}
        return [one for one in group if one.after.id in still]

    def _send_group(self, group: Sequence[ReadySend]) -> None:
        try:
            send_together(self._context, group)
        except DatabaseAwayError as error:
            log.warning("database_awaited", reason=str(error))
        except Exception:
            log.exception("pushes_not_begun", executions=len(group))
        finally:
            self._free.release()
            self._hand_back({one.after.id for one in group})
            self._on_sent()

    def _hand_back(self, execution_ids: set[str], *, is_usual: bool = True) -> None:
        """Let any engine begin what did not begin here; without the database, it waits longer."""
        if not execution_ids:
            return
        try:
            with self._context.database.transaction() as connection:
                hand_back(connection, sorted(execution_ids), is_usual=is_usual)
        except DatabaseAwayError as error:
            log.warning("pushes_wait_longer", reason=str(error), executions=len(execution_ids))

    def _repeat(self, duty: Callable[[], None], rest: Callable[[], None]) -> None:
        while not self._context.is_shutting_down():
            with _reporting(duty):
                duty()
            rest()
        self._leave()

    def _rest(self) -> None:
        time.sleep(LOOK_S)

    def _await_next(self) -> None:
        with self._changed:
            now = self._context.clock()
            soonest = min((one.due_at for one in self._ready), default=now + AHEAD)
            self._changed.wait(min(LOOK_S, max(0.0, (soonest - now).total_seconds())))


@contextmanager
def _reporting(duty: Callable[[], None]) -> Iterator[None]:
    try:
        yield
    except DatabaseAwayError as error:
        log.warning("database_awaited", reason=str(error))
        time.sleep(FAULT_PAUSE_S)
    except Exception:
        log.exception("duty_failed", duty=duty.__name__)
        time.sleep(FAULT_PAUSE_S)


def _acquire(free: threading.BoundedSemaphore, is_over: Callable[[], bool]) -> bool:
    while not is_over():
        if free.acquire(timeout=0.1):
            return True
    return False


def choose_group(due: Sequence[ReadySend]) -> list[ReadySend]:
    """Return pushes for one call of the provider: each user once, not too many messages.

    The more pushes are due, the fewer messages of each go first.
    """
    share = min(FIRST_MESSAGES, max(1, CLAIM // len(due)))
    group: list[ReadySend] = []
    users: set[UUID] = set()
    for one in due:
        first = [message for message in one.messages if message.user_id not in users][:share]
        if len(group) == GROUP or len(users) + len(first) > CLAIM:
            break
        if first:
            users |= {message.user_id for message in first}
            group.append(replace(one, messages=first))
    return group


def _cut(group: Sequence[ReadySend], allowed: int) -> list[ReadySend]:
    """Return the group with no more messages than are allowed."""
    cut = []
    for one in group:
        if allowed > 0:
            cut.append(replace(one, messages=one.messages[:allowed]))
        allowed -= len(one.messages)
    return cut

"""What a provider answered is never forgotten, whatever the database or the engine do meanwhile."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import psycopg2
import pytest

from chassis.postgres import Database
from local_stack.embedded_postgres import EmbeddedPostgres
from push_blaster.adapters.delivery.outcome_journal import JournalEntry, PageJournal
from push_blaster.adapters.transports.file_transport import FileTransport
from push_blaster.domain.delivery.ledger import BatchKey, LedgerPage
from push_blaster.domain.delivery.message import Delivery, Message, Outcome
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.delivery.send_batch import send_batch
from tests.push_blaster.bench import Bench

#: For how long the database is away: longer than outcomes gather, shorter than anybody waits.
AWAY_S = 1.2
KICK = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'push_tests'"


class EventfulTransport(FileTransport):
    """Sends to a file, and lets something happen after the fifth answer."""

    def __init__(self, path: Path, event: Callable[[], None]) -> None:
        super().__init__(path)
        self._event = event
        self._answers = 0

    def send(
        self, messages: Sequence[Message], should_stop: Callable[[], bool]
    ) -> Iterator[Delivery]:
        for delivery in super().send(messages, should_stop):
            self._answers += 1
            yield delivery
            if self._answers == 5:
                self._event()


@pytest.fixture
def administer(postgres: EmbeddedPostgres, push_pool: Database) -> Iterator[Callable[[str], None]]:
    """Statements of an administrator, each in a transaction of its own."""
    connection = psycopg2.connect(postgres.url("postgres"))
    connection.autocommit = True

    def execute(statement: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)

    yield execute
    for mend in (
        "ALTER DATABASE push_tests ALLOW_CONNECTIONS true",
        "ALTER DATABASE push_tests RESET ALL",
    ):
        execute(mend)
    connection.close()
    push_pool.close()  # the connections that were killed


@contextmanager
def _later(action: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Yield what begins a timer for `action`; wait for it at the end."""
    timer = threading.Timer(AWAY_S, action)
    yield timer.start
    timer.join()


def _sent_lines(bench: Bench) -> list[str]:
    return (bench.folder / "messages.jsonl").read_text().splitlines()


def _journals(bench: Bench) -> list[Path]:
    return list((bench.folder / "journal").glob("*/*"))


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (
            "ALTER DATABASE push_tests ALLOW_CONNECTIONS false",
            "ALTER DATABASE push_tests ALLOW_CONNECTIONS true",
        ),
        (
            "ALTER DATABASE push_tests SET default_transaction_read_only = on",
            "ALTER DATABASE push_tests RESET ALL",
        ),
        ("SELECT 1", "SELECT 1"),
    ],
    ids=["no connection to be had", "read-only, as in a failover", "a restart"],
)
def test_a_database_that_is_away_in_mid_send_costs_no_answer(
    bench: Bench, administer: Callable[[str], None], begin: str, end: str
) -> None:
    with _later(lambda: administer(end)) as begin_timer:

        def go_away() -> None:
            administer(begin)
            administer(KICK)
            begin_timer()

        bench.change(transport=EventfulTransport(bench.folder / "messages.jsonl", go_away))
        execution = bench.run(bench.start(parameters={"users": 20}))

    assert execution.phase is Phase.COMPLETED
    funnel = bench.funnel(execution.id)
    assert (funnel["sent"], funnel["inDoubt"], funnel["resentInDoubt"]) == (20, 0, 0)
    assert len(_sent_lines(bench)) == 20
    assert _journals(bench) == []


def test_a_default_of_serializable_changes_nothing(
    bench: Bench, administer: Callable[[str], None]
) -> None:
    administer("ALTER DATABASE push_tests SET default_transaction_isolation = 'serializable'")
    administer(KICK)
    bench.database.close()

    with bench.database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("SHOW transaction_isolation")
        assert cursor.fetchone() == ("read committed",)


class BreakingTransport(FileTransport):
    """Sends to a file, and breaks in a way that nobody foresaw."""

    def send(
        self, messages: Sequence[Message], should_stop: Callable[[], bool]
    ) -> Iterator[Delivery]:
        for number, delivery in enumerate(super().send(messages, should_stop)):
            if number == 7:
                raise OverflowError("Python int too large to convert to C int")
            yield delivery


def test_an_unforeseen_error_leaves_messages_in_doubt_and_sends_none_again(bench: Bench) -> None:
    bench.change(transport=BreakingTransport(bench.folder / "messages.jsonl"))

    execution = bench.run(bench.start(parameters={"users": 20}))

    assert execution.phase is Phase.COMPLETED
    funnel = bench.funnel(execution.id)
    assert (funnel["sent"], funnel["inDoubt"]) == (7, 13)
    assert len(_sent_lines(bench)) == 8, "the eighth was sent, and its answer got lost"


class WordyTransport(FileTransport):
    """Sends to a file; the provider's words about the third message hold what no text may."""

    def send(
        self, messages: Sequence[Message], should_stop: Callable[[], bool]
    ) -> Iterator[Delivery]:
        for number, delivery in enumerate(super().send(messages, should_stop)):
            if number == 3:
                reason = "bad \x00 \ud800 " + "x" * 2_000
                yield Delivery(delivery.user_id, Outcome.FAILED, reason=reason)
            else:
                yield delivery


def test_words_that_no_database_takes_cost_nobody_else(bench: Bench) -> None:
    bench.change(transport=WordyTransport(bench.folder / "messages.jsonl"))

    execution = bench.run(bench.start(parameters={"users": 20}))

    funnel = bench.funnel(execution.id)
    assert (funnel["sent"], funnel["failed"], funnel["inDoubt"]) == (19, 1, 0)
    (failed,) = [d for d in bench.deliveries(execution.id) if d["state"] == "failed"]
    assert failed["reason"].startswith("bad \N{REPLACEMENT CHARACTER} ?")
    assert len(failed["reason"]) == 500


class Killed(BaseException):
    """The engine dies here: nothing of ours runs any more."""


def _die() -> None:
    raise Killed


def test_another_engine_settles_what_the_killed_one_knew(bench: Bench) -> None:
    """Five of twenty had an answer, written to the journal and not to the ledger, at the kill."""
    execution_id = bench.start(parameters={"users": 20})
    bench.change(transport=EventfulTransport(bench.folder / "messages.jsonl", _die))
    with pytest.raises(Killed):
        bench.run(execution_id)
    page = LedgerPage(execution_id, 1, is_test=False, batch=0)
    answered = [UUID(int=n) for n in range(1, 6)]
    entry = JournalEntry(bench.now, tuple(Delivery(u, Outcome.SENT) for u in answered))
    PageJournal(bench.folder, "killed:1", page).append(entry)
    bench.change(transport=FileTransport(bench.folder / "messages.jsonl"), engine_id="other:2")

    execution = bench.run(execution_id)

    funnel = bench.funnel(execution_id)
    assert execution.phase is Phase.COMPLETED
    assert (funnel["sent"], funnel["resentInDoubt"]) == (20, 15)
    assert len(_sent_lines(bench)) == 5 + 15
    assert _journals(bench) == []


def test_an_old_answer_never_settles_a_new_claim(bench: Bench) -> None:
    """A journal that was left behind is forgotten before anything of its page is claimed anew."""
    execution_id = bench.start(parameters={"users": 20})
    bench.change(transport=EventfulTransport(bench.folder / "messages.jsonl", _die))
    with pytest.raises(Killed):
        bench.run(execution_id)
    page = LedgerPage(execution_id, 1, is_test=False, batch=0)
    entry = JournalEntry(bench.now, (Delivery(UUID(int=9), Outcome.FAILED, reason="old"),))
    PageJournal(bench.folder, "killed:1", page).append(entry)
    bench.change(transport=FileTransport(bench.folder / "messages.jsonl"))
    with bench.database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE deliveries SET state = 'sent' WHERE user_id = %s", (UUID(int=9),))

    send_batch(bench.context, BatchKey(execution_id, 1, 0))

    assert _journals(bench) == []
    (ninth,) = [d for d in bench.deliveries(execution_id) if d["user_id"] == UUID(int=9)]
    assert (ninth["state"], ninth["reason"]) == ("sent", None)

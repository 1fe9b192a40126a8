"""What the journal of outcomes costs an engine: the same send with and without it, in turns."""

import statistics
import time
from pathlib import Path
from typing import Final
from uuid import UUID

from chassis.clock import utc_now
from local_stack.embedded_postgres import run_postgres
from local_stack.processes import stop_processes
from push_blaster.adapters.delivery.outcome_journal import JournalEntry, PageJournal
from push_blaster.domain.delivery.ledger import LedgerPage
from push_blaster.domain.delivery.message import Delivery, Outcome, with_storable_texts
from tests.bench.fake_fcm import run_fake_fcm
from tests.bench.send import SERVER
from tests.bench.send_pipeline import count_cpu, running_pipeline, send_through
from tests.fakes.token_server import run_token_server
from tests.journeys.stack import Stack

#: How many outcomes an engine writes at once.
AT_ONCE: Final = 500
#: How long an engine may take to start, before its CPU counts.
SETTLED_S: Final = 6.0
#: By way: where Python looks for modules first.
WAYS: Final = {"with": "", "without": str(Path(__file__).with_name("without_journal"))}


def measure_journal(folder: Path, messages: int, rounds: int) -> None:
    """Send with a journal and without one, `rounds` times in turns, by one engine."""
    print(f"\nits own work: {_time_own_work(folder, messages) * 1e6:.2f} ms of CPU per 1,000")
    spent: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    with (
        run_token_server(None) as google,
        run_fake_fcm(folder / "nginx") as fcm,
        run_postgres(folder / "postgres", SERVER) as postgres,
        running_pipeline(postgres, folder / "data", fcm, google.url) as stack,
    ):
        for _ in range(rounds):
            for way in WAYS:
                _start_engine(stack, way)
                before = count_cpu(stack)
                send_through(stack, messages)
                after = count_cpu(stack)
                engine, nginx = (after[kind] - before[kind] for kind in ("engine", "nginx"))
                spent[way].append((engine / messages, engine / nginx))
                print(f"  {way} a journal: {engine / messages * 1e6:.1f} ms", flush=True)
    _print(spent)


def _time_own_work(folder: Path, messages: int) -> float:
    """Return the seconds of CPU that a message costs by itself, as an engine writes its outcome."""
    page = LedgerPage("bench@20261130T120000Z", 1, is_test=False)
    journal = PageJournal(folder, "bench:1", page)
    sent = [
        Delivery(UUID(int=n), Outcome.SENT, f"projects/garden/messages/{n:032x}")
        for n in range(AT_ONCE)
    ]
    begun = time.process_time()
    for _ in range(messages // AT_ONCE):
        journal.append(JournalEntry(utc_now(), tuple(map(with_storable_texts, sent))))
    journal.close(is_settled=True)
    return (time.process_time() - begun) / messages


def _start_engine(stack: Stack, way: str) -> None:
    stop_processes(stack.engines, 10)
    stack.engines.clear()
    stack.environment["PYTHONPATH"] = WAYS[way]
    stack.start_engine()
    time.sleep(SETTLED_S)


def _print(spent: dict[str, list[tuple[float, float]]]) -> None:
    """Print the medians; nginx has the same work each time, and shows how fast the machine was."""
    print(f"\n{'journal':<10}{'engine CPU ms/1,000':>20}{'times the CPU of nginx':>24}")
    for way, rounds in spent.items():
        engine, ratio = (statistics.median(values) for values in zip(*rounds, strict=True))
        print(f"{way:<10}{engine * 1e6:>20.1f}{ratio:>24.3f}")

"""One push to millions of rows through the whole pipeline: memory of every process, speed, disk."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

from local_stack.embedded_postgres import run_postgres
from tests.bench.fake_fcm import run_fake_fcm
from tests.bench.send import SERVER
from tests.bench.send_pipeline import (
    KINDS,
    Pipeline,
    list_processes,
    running_pipeline,
    send_through,
)
from tests.fakes.token_server import run_token_server
from tests.journeys.stack import Stack

#: How often memory is looked at.
LOOK_S: Final = 1.0


def measure_rows(folder: Path, rows: int) -> None:
    """Send one push to so many users, and print what each phase and each process took."""
    with (
        run_token_server(None) as google,
        run_fake_fcm(folder / "nginx") as fcm,
        run_postgres(folder / "postgres", SERVER) as postgres,
        running_pipeline(postgres, folder / "data", fcm, google.url) as stack,
        watching_memory(stack) as peaks,
    ):
        _print(send_through(stack, rows), peaks)
        for part in ("data", "postgres"):
            print(f"  {part + ' on disk':<26}{_measure_disk(folder / part):>8,.0f} MB")


def _print(sent: Pipeline, peaks: dict[str, float]) -> None:
    print(f"{sent.sent:,} sent in {sent.taken_s:,.0f} s: {sent.rate:,.0f} a second")
    print(f"  {sent.script_runs} attempts at the audience, {sent.dead_workers} dead workers")
    for phase, taken_s in sent.phases_s.items():
        print(f"  {phase:<26}{taken_s:>8,.0f} s")
    for kind, peak in peaks.items():
        cpu = sent.cpu_s.get(kind, 0.0) / sent.sent * 1e6
        print(f"  {kind:<26}{peak:>8,.0f} MB{cpu:>8,.0f} ms of CPU per 1,000")


@contextmanager
def watching_memory(stack: Stack) -> Iterator[dict[str, float]]:
    """Note the most memory that any one process of each kind had to itself; Units: MB."""
    peaks = {"engine": 0.0, **dict.fromkeys(KINDS, 0.0)}
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(LOOK_S):
            for kind, process in list_processes(stack):
                try:
                    own = process.memory_full_info().uss / 2**20
                except psutil.Error:
                    continue
                peaks[kind] = max(peaks[kind], own)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peaks
    finally:
        is_over.set()
        watcher.join()


def _measure_disk(folder: Path) -> float:
    files = (file.stat() for file in folder.rglob("*") if file.is_file())
    return sum(file.st_blocks for file in files) * 512 / 2**20

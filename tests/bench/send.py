"""The send path beside others', in one run, all to one nginx that thinks for 50 ms."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from local_stack.embedded_postgres import run_postgres
from tests.bench.fake_fcm import FakeFcm, run_fake_fcm
from tests.bench.send_pipeline import Pipeline, running_pipeline, send_through
from tests.fakes.token_server import run_token_server

#: Which share of the messages each way sends; the slow ones would take minutes otherwise.
SHARES: Final = {"firebase-admin": 0.015, "requests": 0.015, "ours": 0.5}
NAMES: Final = {
    "firebase-admin": "firebase-admin, send_each",
    "requests": "requests, 100 threads",
    "ours": "ours, transport alone",
}
PIPELINE: Final = "ours, the whole pipeline"
#: As a server of this size would be set; every commit reaches the disk.
SERVER: Final = {"shared_buffers": "2GB", "max_wal_size": "8GB", "checkpoint_timeout": "15min"}


@dataclass(frozen=True, slots=True)
class Row:
    """What one way took for so many messages, by its client processes."""

    name: str
    messages: int
    taken_s: float
    cpu_s: float
    memory_mb: float

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.taken_s


def measure_send(folder: Path, messages: int, engines: int, rounds: int, alone: int) -> None:
    """Send through each way in turn, `rounds` times; if `alone`, only through the pipeline."""
    with run_token_server(None) as google, run_fake_fcm(folder / "nginx") as fcm:
        rows = list(_measure_clients(fcm, google.url, messages, 0 if alone else rounds))
        with (
            run_postgres(folder / "postgres", SERVER) as postgres,
            running_pipeline(postgres, folder / "data", fcm, google.url, engines) as stack,
        ):
            for _ in range(rounds):
                sent = send_through(stack, messages)
                rows.append(_row(sent))
                _print_parts(sent)
    _print(rows)


def _measure_clients(fcm: FakeFcm, token_uri: str, messages: int, rounds: int) -> Iterator[Row]:
    for _ in range(rounds):
        for way, share in SHARES.items():
            yield _run(way, int(messages * share), fcm, token_uri)


def _run(way: str, messages: int, fcm: FakeFcm, token_uri: str) -> Row:
    arguments = [way, str(messages), fcm.url, str(fcm.ca_file), token_uri]
    environment = {"REQUESTS_CA_BUNDLE": str(fcm.ca_file)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.send_clients", *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    found = json.loads(done.stdout)
    if found.pop("sent") != messages:
        raise RuntimeError(f"{way} did not send everything: {done.stderr[-1_000:]}")
    return Row(name=NAMES[way], messages=messages, **found)


def _row(sent: Pipeline) -> Row:
    return Row(PIPELINE, sent.sent, sent.taken_s, sent.cpu_s["engine"], sent.memory_mb)


def _print_parts(sent: Pipeline) -> None:
    thousands = sent.sent / 1_000
    parts = ", ".join(f"{kind} {cpu / thousands * 1_000:.0f}" for kind, cpu in sent.cpu_s.items())
    print(f"  pipeline: {sent.sent:,} in {sent.taken_s:.1f} s; ms of CPU per 1,000: {parts}")
    print(f"  {sent.funnel}", flush=True)


def _print(rows: list[Row]) -> None:
    """Print each way's best-known middle: its median by rate, and how it compares."""
    print(f"\n{'':<28}{'messages/s':>14}{'CPU ms/1,000':>14}{'peak MB':>9}{'':>9}")
    first: float | None = None
    for name in dict.fromkeys(row.name for row in rows):
        own = sorted((row for row in rows if row.name == name), key=lambda row: row.rate)
        median = own[len(own) // 2]
        first = first or median.rate
        print(
            f"{name:<28}{median.rate:>14,.0f}{median.cpu_s / median.messages * 1e6:>14,.0f}"
            f"{median.memory_mb:>9,.0f}   x {median.rate / first:.1f}"
            f"  ({own[0].rate:,.0f} to {own[-1].rate:,.0f})"
        )

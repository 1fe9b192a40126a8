"""Measure one thing: `make bench-cadence ROWS=20000000 USERS=10000000`.

`make bench` lists what can be measured. Without make: `python -m tests.bench cadence --rows 5`.
"""

import argparse
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.cadence import measure_cadence
from tests.bench.calendar import measure_calendar
from tests.bench.engine import measure_engine
from tests.bench.events import measure_events
from tests.bench.journal import measure_journal
from tests.bench.load import measure_load
from tests.bench.pages import measure_pages
from tests.bench.results import measure_results
from tests.bench.rows import measure_rows
from tests.bench.scaling import measure_scaling
from tests.bench.send import measure_send
from tests.bench.statistics import measure_statistics
from tests.bench.stops import measure_stops


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one program measures, and the numbers that set its size."""

    what: str
    measure: Callable[..., None]
    sizes: dict[str, int]


MEASUREMENTS: Final = {
    "cadence": Measurement(
        "the cadence service beside the original; caps under load; 32 callers of 25,000 ids;"
        " checks during prune, import and simulation",
        measure_cadence,
        {"rows": 2_000_000, "users": 1_000_000},
    ),
    "send": Measurement(
        "the send path beside firebase-admin; ALONE=1 leaves the others out",
        measure_send,
        {"messages": 200_000, "engines": 1, "rounds": 3, "alone": 0},
    ),
    "journal": Measurement(
        "what the journal of outcomes costs: sends with and without it, in turns",
        measure_journal,
        {"messages": 200_000, "rounds": 5},
    ),
    "rows": Measurement(
        "one send to ROWS users: speed, memory of every process, disk",
        measure_rows,
        {"rows": 2_000_000},
    ),
    "results": Measurement(
        "results over the counters of DELIVERIES, and the background count of a push to ROWS users",
        measure_results,
        {"deliveries": 100_000_000, "rows": 20_000_000},
    ),
    "engine": Measurement(
        "an engine with many active automations", measure_engine, {"automations": 10_000}
    ),
    "calendar": Measurement(
        "the first view of a week of the calendar", measure_calendar, {"automations": 10_000}
    ),
    "pages": Measurement("the live pages in Chromium", measure_pages, {"lines": 100_000}),
    "stops": Measurement("how soon stops take effect", measure_stops, {"rounds": 20}),
    "load": Measurement(
        "the real processes, asked by 16 callers at once", measure_load, {"seconds": 20}
    ),
    "events": Measurement(
        "events of phones by HTTP: 100 and 1 a request alone, and 1,000 a second beside a send",
        measure_events,
        {"seconds": 15, "messages": 200_000, "rounds": 3},
    ),
    "statistics": Measurement(
        "simulated experiments: false calls, coverage, power", measure_statistics, {"runs": 10_000}
    ),
    "scaling": Measurement(
        "1, 2, 3 cadence replicas and 2 engines while each is killed in turn",
        measure_scaling,
        {"seconds": 20},
    ),
}


def main() -> None:
    """Measure what the command line names; list what can be measured if it names nothing."""
    arguments = list(_spell_as_options(sys.argv[1:]))
    if not arguments:
        print(_list_measurements())
        return
    parser = _parser()
    known, unknown = parser.parse_known_args(arguments)
    given = vars(known)
    measurement = MEASUREMENTS[given.pop("name")]
    if unknown:
        sizes = ", ".join(size.upper() for size in measurement.sizes)
        parser.error(f"{' '.join(unknown)}: set one of {sizes}.")
    with tempfile.TemporaryDirectory(prefix="push-bench-") as folder:
        Path(folder).chmod(0o711)
        measurement.measure(Path(folder), **given)


def _spell_as_options(words: Sequence[str]) -> Iterator[str]:
    """Turn `ROWS=5`, as make passes it, into `--rows=5`."""
    for word in words:
        yield re.sub(r"^[A-Z_]+=", lambda name: f"--{name[0].lower()}", word)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    names = parser.add_subparsers(dest="name", required=True)
    for name, measurement in MEASUREMENTS.items():
        own = names.add_parser(name, help=measurement.what)
        for size, usual in measurement.sizes.items():
            own.add_argument(f"--{size}", type=int, default=usual, help=f"default: {usual}")
    return parser


def _list_measurements() -> str:
    lines = ["Measure one thing, and print ratios that were taken side by side in one run:", ""]
    for name, measurement in MEASUREMENTS.items():
        sizes = " ".join(f"{size.upper()}={usual}" for size, usual in measurement.sizes.items())
        lines += [f"  make bench-{name:<10} {measurement.what}", f"  {'':<21} {sizes}"]
    return "\n".join([*lines, "", "make bench-all runs them one after the other."])


if __name__ == "__main__":
    main()

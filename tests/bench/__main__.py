"""Measure one thing: `python -m tests.bench cadence --rows 20000000 --users 10000000`."""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.bench.cadence import measure_cadence
from tests.bench.engine import measure_engine
from tests.bench.load import measure_load
from tests.bench.pages import measure_pages
from tests.bench.scaling import measure_scaling
from tests.bench.stops import measure_stops

#: What can be measured, and what sets its size.
BENCHES: Final[dict[str, tuple[Callable[..., None], dict[str, int]]]] = {
    "cadence": (measure_cadence, {"rows": 2_000_000, "users": 1_000_000}),
    "engine": (measure_engine, {"automations": 10_000}),
    "load": (measure_load, {"seconds": 15}),
    "scaling": (measure_scaling, {"seconds": 20}),
    "pages": (measure_pages, {"lines": 100_000}),
    "stops": (measure_stops, {"rounds": 20}),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    things = parser.add_subparsers(dest="thing", required=True)
    for name, (_, sizes) in BENCHES.items():
        thing = things.add_parser(name)
        for size, usual in sizes.items():
            thing.add_argument(f"--{size}", type=int, default=usual)
    given = vars(parser.parse_args())
    measure, _ = BENCHES[given.pop("thing")]
    with tempfile.TemporaryDirectory(prefix="push-bench-") as folder:
        Path(folder).chmod(0o711)
        measure(Path(folder), **given)


if __name__ == "__main__":
    main()

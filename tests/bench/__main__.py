"""Measure: `python -m tests.bench --rows 20000000 --users 10000000`."""

import argparse
import tempfile
from pathlib import Path

from tests.bench.cadence import measure_cadence


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--users", type=int, default=1_000_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="push-bench-") as folder:
        Path(folder).chmod(0o711)
        measure_cadence(Path(folder), given.rows, given.users)


if __name__ == "__main__":
    main()

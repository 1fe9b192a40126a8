"""Run every measurement, or those named: `python -m tests.bench cadence`."""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from local_stack.embedded_postgres import EmbeddedPostgres, run_postgres
from tests.bench.cadence import measure_cadence

MEASUREMENTS: dict[str, Callable[[EmbeddedPostgres, Path], None]] = {
    "cadence": measure_cadence,
}


def main(wanted: list[str]) -> None:
    unknown = set(wanted) - MEASUREMENTS.keys()
    if unknown:
        sys.exit(f"No such measurement: {', '.join(unknown)}. Known: {', '.join(MEASUREMENTS)}.")
    with tempfile.TemporaryDirectory(prefix="push-bench-") as folder:
        Path(folder).chmod(0o711)
        with run_postgres(Path(folder) / "postgres") as postgres:
            for name in wanted or MEASUREMENTS:
                MEASUREMENTS[name](postgres, Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])

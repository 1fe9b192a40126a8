"""What tests need besides Python and one PostgreSQL, by folder; `make quick` leaves these out.

A single test of another folder carries its marker itself.
"""

from collections.abc import Iterator
from typing import Final

#: Where tests lie, as the beginning of their path, and what all of them need.
NEEDS: Final = {
    "tests/browser/": ("processes", "browser"),
    "tests/deploy/test_nightly.py": ("processes",),
    "tests/day/test_day.py": ("processes", "nginx"),
    "tests/fuzz/": ("slow",),
    "tests/journeys/": ("processes",),
    "tests/journeys/test_pgbouncer.py": ("pgbouncer",),
    "tests/journeys/test_replicas.py": ("nginx",),
    "tests/local_stack/": ("processes",),
    "tests/push_blaster/clock/": ("slow",),
    "tests/regressions/test_real_processes.py": ("processes",),
    "tests/torture/test_torture.py": ("processes",),
    "tests/upgrades/": ("processes",),
}


def find_markers(path: str) -> Iterator[str]:
    """Yield the markers of the tests in the file at `path`, counted from the checkout."""
    for beginning, names in NEEDS.items():
        if path.startswith(beginning):
            yield from names

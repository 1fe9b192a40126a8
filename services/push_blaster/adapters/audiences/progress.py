"""The progress of the work on an audience, reported while it runs."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

from push_blaster.domain.audiences.preparation import Stage

Item = TypeVar("Item")
#: Takes the stage, and how many rows are done.
OnProgress = Callable[[Stage, int], None]
#: Rows between two reports.
EVERY: Final = 1_000


def ignore_progress(_: Stage, __: int) -> None:
    """Take progress for which nobody waits."""


def counted(rows: Iterable[Item], stage: Stage, on_progress: OnProgress) -> Iterator[Item]:
    """Yield `rows`, and report every thousand rows how many are done."""
    for number, row in enumerate(rows, 1):
        yield row
        if number % EVERY == 0:
            on_progress(stage, number)

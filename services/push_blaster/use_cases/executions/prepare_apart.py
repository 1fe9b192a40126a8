"""The process in which a step works on its audiences, and what people see of it meanwhile."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from chassis.postgres import DatabaseAwayError
from push_blaster.adapters.audiences.preparer import (
    PreparationLostError,
    PreparationMemoryError,
    PreparationStoppedError,
    Preparer,
)
from push_blaster.adapters.executions.execution_table import holds_execution, save_progress
from push_blaster.domain.audiences.preparation import PreparationProgress, Stage
from push_blaster.domain.executions.execution import Execution
from push_blaster.use_cases.context import (
    LOCK_WAIT,
    StepContext,
    StepFailedError,
    StepStoppedError,
    watch_for_stop,
)

#: The least time between two writes of the progress.
EVERY_S: Final = 1.0


@contextmanager
def preparing_apart(context: StepContext, execution: Execution, folder: Path) -> Iterator[Preparer]:
    """Lend the process; it ends with the block, and with the execution.

    Raises: StepStoppedError, StepFailedError.
    """
    should_stop = watch_for_stop(
        context, execution.id, lambda connection: holds_execution(connection, execution)
    )
    written_at = time.monotonic()

    def on_progress(stage: Stage, rows: int) -> None:
        nonlocal written_at
        if time.monotonic() - written_at < EVERY_S:
            return
        written_at = time.monotonic()
        progress = PreparationProgress(stage=stage, rows=rows, at=context.clock())
        with (
            suppress(DatabaseAwayError),
            context.database.transaction(waits_for_locks=LOCK_WAIT) as connection,
        ):
            save_progress(connection, execution, progress)

    try:
        with Preparer(folder, context.limits, should_stop, on_progress) as preparer:
            yield preparer
    except PreparationStoppedError as stopped:
        raise StepStoppedError(str(stopped)) from stopped
    except (PreparationLostError, PreparationMemoryError) as fault:
        raise StepFailedError(str(fault)) from fault

"""Works on an audience in a process of its own, so that the engine's interpreter stays free.

The process ends with the `with` block, within a second of a stop, and when its engine dies.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar

import structlog

from push_blaster.adapters.audiences.progress import OnProgress
from push_blaster.domain.audiences.preparation import Stage
from push_blaster.domain.executions.limits import Limits
from push_blaster.domain.number_words import number_of

log = structlog.get_logger()

#: Work on fewer bytes takes less time than starting a process; the engine does it itself.
SMALL_BYTES: Final = 256 * 1024
#: How often work is begun whose process somebody else ends.
ATTEMPTS: Final = 3
#: How often a stop is looked for.
LOOK_S: Final = 0.1
#: How long the process has to end after SIGTERM, and again after SIGKILL.
END_S: Final = 0.3
#: A process that reports no progress for this long hangs, for example at a disk that is gone.
SILENT_S: Final = 120.0
#: It sees few variables of ours; `-I` keeps it from what else could change its imports.
COMMAND: Final = (sys.executable, "-I", "-m", "push_blaster.prepare")

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")


class PreparationStoppedError(Exception):
    """The preparation was stopped because its execution was."""


class PreparationMemoryError(Exception):
    """The audience needs more memory than its process may use."""


class PreparationLostError(Exception):
    """The process hung, or somebody else ended it; and again in each further attempt."""


class Preparer:
    """The process for the audiences of one step: `with Preparer(…) as preparer`."""

    def __init__(
        self,
        folder: Path,
        limits: Limits,
        should_stop: Callable[[], bool],
        on_progress: OnProgress,
        silent_s: float = SILENT_S,
    ) -> None:
        """Take the folder and the limits of the work, and the functions that it calls meanwhile.

        Shape: the environment of the process has `folder` as OUTPUT_PATH, like that of a script.
        Units: a process that reports no progress for `silent_s` is ended.
        """
        self._silent_s = silent_s
        self._folder = folder
        self._memory_mb = limits.preparation_memory_mb
        self._environment = limits.preparation_environment
        self._should_stop = should_stop
        self._on_progress = on_progress
        self._stage, self._rows = Stage.READING, 0
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None

    def __enter__(self) -> Self:
        """Start nothing yet: the first large piece of work does."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process, and everything in its group."""
        self._end()

    def _end(self) -> None:
        if self._process is None or self._pipe is None:
            return
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:  # the kernel waits for a disk, and ends it afterwards
            log.warning("preparation_not_ended", pid=self._process.pid)
        self._pipe.close()
        self._process = self._pipe = None

    def run(
        self,
        size: int,
        work: Callable[Concatenate[OnProgress, Arguments], Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """Return what `work` returns; it runs in the process if it reads `size` bytes or more.

        Shape: `work` is a function of a module; pickle can carry arguments, result and errors.
        Raises: what `work` raises; PreparationStoppedError; PreparationMemoryError;
        PreparationLostError.
        """
        if size <= SMALL_BYTES:
            return work(self._report, *args, **kwargs)
        for _ in range(ATTEMPTS - 1):
            try:
                return self._run_apart((work, args, kwargs))  # type: ignore[no-any-return]  # of `work`
            except PreparationLostError as lost:
                log.warning("preparation_lost", folder=str(self._folder), reason=str(lost))
                self._end()
        return self._run_apart((work, args, kwargs))  # type: ignore[no-any-return]  # of `work`

    def _run_apart(self, work: object) -> Any:
        pipe = self._pipe or self._start()
        self._do(pipe.send, work)
        while True:
            kind, value = self._receive(pipe)
            if kind == "result":
                return value
            if kind == "error":
                raise value
            if kind == "memory":
                raise PreparationMemoryError(self._describe_memory())
            self._report(*value)

    def _report(self, stage: Stage, rows: int) -> None:
        self._stage, self._rows = stage, rows
        self._on_progress(stage, rows)

    def _start(self) -> Connection:
        self._pipe, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [*COMMAND, str(theirs.fileno()), str(os.getpid()), str(self._memory_mb)],
                stdin=subprocess.DEVNULL,
                env={
                    **self._environment,
                    "OUTPUT_PATH": str(self._folder),
                    "OPENBLAS_NUM_THREADS": "1",
                },
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        return self._pipe

    def _receive(self, pipe: Connection) -> Any:
        give_up_at = time.monotonic() + self._silent_s
        while not self._do(pipe.poll, LOOK_S):
            self._check_stop()
            if time.monotonic() >= give_up_at:
                raise PreparationLostError(self._describe_silence())
        self._check_stop()
        return self._do(pipe.recv)

    def _check_stop(self) -> None:
        if self._should_stop():
            raise PreparationStoppedError(f"The preparation was stopped while {self._where()}.")

    def _do(self, talk: Callable[..., Any], *parts: object) -> Any:
        try:
            return talk(*parts)
        except (EOFError, OSError) as error:
            raise PreparationLostError(self._describe_end()) from error

    def _where(self) -> str:
        return f"{self._stage}, after {number_of(self._rows, 'row')}"

    def _describe_silence(self) -> str:
        return (
            f"The process that prepares the audience reported no progress for {self._silent_s:g} s "
            f"while {self._where()}, and was ended. Look whether the disk "
            "of the data folder (PUSH_DATA_DIR) answers."
        )

    def _describe_end(self) -> str:
        how = "it closed its pipe"
        with suppress(subprocess.TimeoutExpired):
            code = self._process.wait(END_S) if self._process else 0
            how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        return (
            f"The process that prepares the audience was ended by somebody else ({how}) while "
            f"{self._where()}. After SIGKILL, look whether the machine was "
            "out of memory."
        )

    def _describe_memory(self) -> str:
        return (
            f"The audience needs more memory than the {self._memory_mb} MB allowed "
            f"(PUSH_PREPARATION_MEMORY_MB), while {self._where()}. Raise "
            "the setting, or narrow the audience."
        )

"""Runs an audience script: in its own process group, watched, limited, and always ended."""

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Final

from push_blaster.adapters.audiences.script_files import (
    ScriptOutputError,
    Workplace,
    find_full_disk,
)
from push_blaster.adapters.audiences.script_folder import Script
from push_blaster.adapters.audiences.script_output import OnLine, OutputLines
from push_blaster.domain.audiences.audience import AudienceFile, read_file_name
from push_blaster.domain.audiences.script_failure import LAST_WORDS, describe_failure
from push_blaster.domain.executions.limits import ScriptLimits

LAUNCHER: Final = Path(__file__).with_name("script_launcher.py")
#: Variables that a script gets, beside those of the engine's environment that it may see.
GIVEN: Final = ("EXECUTION_ID", "OUTPUT_PATH", "PARAM_<NAME>", "PYTHONUNBUFFERED", "SCRIPT_FOLDER")
#: The CPU time that each process of a script may use, as a multiple of the time limit.
CPU_FACTOR: Final = 4
#: How often a running script is checked.
LOOK_S: Final = 0.1
#: How long, after the script's end, its children may keep its output open.
LINGER_S: Final = 0.5
#: How often the size of a running script's output is checked.
MEASURE_S: Final = 1.0
#: How long the launcher may take to end everything that the script started.
END_S: Final = 6.0


class ScriptFailedError(Exception):
    """The script ended with an error; the message has the end of its output.

    Shape: `code` is the exit code, negative for a signal; None if we ended the script.
    """

    def __init__(self, message: str, code: int | None = None) -> None:
        """Take the message and how the script ended."""
        super().__init__(message)
        self.code = code


class ScriptStoppedError(Exception):
    """The script was ended because it should stop, not by a fault of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptRun:
    """One run of a script: its folders, its parameters, its limits.

    Shape: the script runs in `workplace`, which is its own until it ends; its CSVs are copied to
    `output_folder`. Both are new. The script sees only `limits.environment` of the engine's
    environment; it gets parameters as `PARAM_<NAME>`, and as arguments if it declares them.
    """

    execution_id: str
    workplace: Path
    output_folder: Path
    parameters: Mapping[str, str]
    limits: ScriptLimits


def run_script(
    script: Script, run: ScriptRun, should_stop: Callable[[], bool], on_line: OnLine
) -> Mapping[str, str]:
    """Run the script to its end, and copy the CSV files that it wrote to the output folder.

    Nothing that the script started is left running afterwards, and nothing else that it wrote.
    Returns the CSV files that cannot be used, with the reason.
    Raises: ScriptFailedError, whose cause is ENOSPC if the disk was full when the script ended;
    ScriptStoppedError.
    """
    run.output_folder.mkdir(mode=0o700, parents=True)
    workplace = Workplace.make(run.workplace, run.limits.user)
    try:
        _run(script, run, workplace, should_stop, on_line)
        _check_output(run, workplace)
        return workplace.collect(run.output_folder, _is_csv)
    except ScriptOutputError as error:
        raise ScriptFailedError(str(error)) from error
    finally:
        workplace.remove()


def _run(
    script: Script,
    run: ScriptRun,
    workplace: Workplace,
    should_stop: Callable[[], bool],
    on_line: OnLine,
) -> None:
    process = subprocess.Popen(  # noqa: S603 - scripts that the operators put there
        _command(script, run),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        env=_environment(script, run),
        start_new_session=True,
    )
    out, err = OutputLines("stdout", on_line), OutputLines("stderr", on_line)
    try:
        code = _watch(process, (out, err), run, workplace, should_stop)
    finally:
        _end(process)
        for output in (out, err):
            output.close()
    if code:
        how = f"The script {script.id!r} {_describe(code)}"
        said = describe_failure(script.path.name, how, list(err.tail or out.tail))
        raise ScriptFailedError(said, code) from find_full_disk(run.workplace)


def list_output(folder: Path) -> dict[str, AudienceFile]:
    """Return the CSV files that a script wrote, by file name, from their copies in `folder`."""
    names = sorted(path.name for path in folder.iterdir() if _is_csv(path.name))
    return {name: read_file_name(name) for name in names}


def _is_csv(name: str) -> bool:
    return name.lower().endswith(".csv")


def _command(script: Script, run: ScriptRun) -> list[str]:
    given = {**run.parameters, "output_dir": str(run.workplace)}
    arguments = [
        part
        for name, value in given.items()
        if name in script.arguments
        for part in (f"--{name}", value)
    ]
    limits = run.limits
    cpu_s = CPU_FACTOR * ceil(limits.time.total_seconds())
    numbers = (limits.memory_mb, limits.output_mb, cpu_s)
    launch = [sys.executable, "-I", str(LAUNCHER), str(os.getpid()), limits.user or ""]
    return [*launch, *map(str, numbers), str(run.workplace), str(script.path), *arguments]


def _environment(script: Script, run: ScriptRun) -> dict[str, str]:
    parameters = {f"PARAM_{name.upper()}": value for name, value in run.parameters.items()}
    return {
        **run.limits.environment,
        **parameters,
        "EXECUTION_ID": run.execution_id,
        "OUTPUT_PATH": str(run.workplace),
        "SCRIPT_FOLDER": str(script.path.parent),
        "PYTHONUNBUFFERED": "1",
    }


def _watch(
    process: subprocess.Popen[bytes],
    outputs: tuple[OutputLines, OutputLines],
    run: ScriptRun,
    workplace: Workplace,
    should_stop: Callable[[], bool],
) -> int:
    """Return the exit code; raise if the script is stopped, takes too long or writes too much."""
    begun = time.monotonic()
    measured_at = begun
    with selectors.DefaultSelector() as selector:
        for output in outputs:
            selector.register(getattr(process, output.name), selectors.EVENT_READ, output)
        while process.poll() is None:
            _read_ready(selector)
            now = time.monotonic()
            if should_stop():
                raise ScriptStoppedError("The script was ended.")
            if now - begun > run.limits.time.total_seconds():
                raise ScriptFailedError(_describe_slowness(outputs, run.limits))
            if now - measured_at > MEASURE_S:
                measured_at = now
                _check_output(run, workplace)
        _read_rest(selector)
    return process.returncode


def _describe_slowness(outputs: tuple[OutputLines, OutputLines], limits: ScriptLimits) -> str:
    out, err = outputs
    text = f"The script did not end within {limits.time.total_seconds():g} s"
    lines = list(err.tail or out.tail)
    return "\n".join([f"{text} (PUSH_SCRIPT_TIMEOUT_SECONDS). {LAST_WORDS}", *lines])


def _check_output(run: ScriptRun, workplace: Workplace) -> None:
    workplace.check_size(run.limits.output_files, run.limits.output_mb)


def _read_ready(selector: selectors.BaseSelector) -> bool:
    if not selector.get_map():
        time.sleep(LOOK_S)
        return False
    ready = selector.select(LOOK_S)
    for key, _ in ready:
        piece = os.read(key.fd, 65_536)
        if piece:
            key.data.feed(piece)
        else:
            selector.unregister(key.fileobj)
    return bool(ready)


def _read_rest(selector: selectors.BaseSelector) -> None:
    """Read the rest of the output, without waiting for a child that keeps the pipes open."""
    give_up_at = time.monotonic() + LINGER_S
    while selector.get_map() and time.monotonic() < give_up_at:
        _read_ready(selector)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the launcher, which ends everything else; if it does not, kill its process group."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(END_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _describe(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    return f"was ended by the signal {signal.Signals(-code).name}"

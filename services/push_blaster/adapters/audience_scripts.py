"""Running an audience script: a process group of its own, watched, limited, and surely ended."""

import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

from push_blaster.adapters.script_folder import Script
from push_blaster.domain.audience import AudienceFile, read_file_name

LAUNCHER: Final = Path(__file__).with_name("script_launcher.py")
#: How often a running script is looked at.
LOOK_S: Final = 0.1
#: After the script's end, how long what it started may go on to hold its output open.
LINGER_S: Final = 0.5
MAX_LINE: Final = 2_000
MAX_LINES: Final = 1_000
TAIL_LINES: Final = 15

OnLine = Callable[[str, str], None]


class ScriptFailedError(Exception):
    """The script ended with an error; the message holds the end of what it said."""


class ScriptStoppedError(Exception):
    """The script was stopped because its execution was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptRun:
    """One run of a script: where it writes, with which parameters, within which limits.

    Shape: `environment` is all that it sees of ours; parameters reach it as `PARAM_<NAME>`, and
    as arguments where it knows them.
    """

    execution_id: str
    output_folder: Path
    parameters: Mapping[str, str]
    time_limit: timedelta
    memory_mb: int
    environment: Mapping[str, str]


@dataclass(slots=True)
class _Stream:
    """One output of the script, cut into lines."""

    name: str
    on_line: OnLine
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))
    _rest: bytes = b""
    _told: int = 0

    def feed(self, piece: bytes) -> None:
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            self._tell(line)
        if len(self._rest) > MAX_LINE:
            self._tell(self._rest)
            self._rest = b""

    def close(self) -> None:
        if self._rest:
            self._tell(self._rest)
            self._rest = b""

    def _tell(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip("\r")[:MAX_LINE]
        self.tail.append(text)
        self._told += 1
        if self._told <= MAX_LINES:
            self.on_line(self.name, text)
        elif self._told == MAX_LINES + 1:
            self.on_line(self.name, f"… more than {MAX_LINES} lines; the rest is not kept.")


def run_script(
    script: Script, run: ScriptRun, should_stop: Callable[[], bool], on_line: OnLine
) -> None:
    """Run the script to its end, in an output folder that is its own and empty.

    Whatever happens, nothing of its process group is left running afterwards.
    Raises: ScriptFailedError, ScriptStoppedError.
    """
    run.output_folder.mkdir(parents=True, exist_ok=False)
    process = subprocess.Popen(  # noqa: S603 - scripts that the operators put there
        _command(script, run),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=run.output_folder,
        env=_environment(script, run),
        start_new_session=True,
    )
    out, err = _Stream("stdout", on_line), _Stream("stderr", on_line)
    try:
        code = _watch(process, {"stdout": out, "stderr": err}, run.time_limit, should_stop)
    finally:
        _end_group(process)
    if code:
        raise ScriptFailedError(
            f"The script {script.id!r} {_describe(code)}. Its last words:\n{_last_words(err, out)}"
        )


def list_output(folder: Path) -> dict[str, AudienceFile]:
    """Return the CSV files that a script wrote into its output folder, by file name."""
    names = sorted(path.name for path in folder.iterdir() if path.suffix.lower() == ".csv")
    return {name: read_file_name(name) for name in names}


def _command(script: Script, run: ScriptRun) -> list[str]:
    given = {**run.parameters, "output_dir": str(run.output_folder)}
    arguments = [
        part
        for name, value in given.items()
        if name in script.arguments
        for part in (f"--{name}", value)
    ]
    own_pid = str(os.getpid())
    launch = [sys.executable, "-I", str(LAUNCHER), own_pid, str(run.memory_mb)]
    return [*launch, str(script.path), *arguments]


def _environment(script: Script, run: ScriptRun) -> dict[str, str]:
    parameters = {f"PARAM_{name.upper()}": value for name, value in run.parameters.items()}
    return {
        **run.environment,
        **parameters,
        "EXECUTION_ID": run.execution_id,
        "OUTPUT_PATH": str(run.output_folder),
        "SCRIPT_FOLDER": str(script.path.parent),
        "PYTHONUNBUFFERED": "1",
    }


def _watch(
    process: subprocess.Popen[bytes],
    streams: Mapping[str, _Stream],
    time_limit: timedelta,
    should_stop: Callable[[], bool],
) -> int:
    """Return the exit code; raise when the script is stopped or takes too long."""
    give_up_at = time.monotonic() + time_limit.total_seconds()
    with selectors.DefaultSelector() as selector:
        for name, stream in streams.items():
            selector.register(getattr(process, name), selectors.EVENT_READ, stream)
        while process.poll() is None:
            _read_ready(selector)
            if should_stop():
                raise ScriptStoppedError("The script was ended because its execution was stopped.")
            if time.monotonic() > give_up_at:
                raise ScriptFailedError(_too_slow(streams, time_limit))
        _read_rest(selector)
    for stream in streams.values():
        stream.close()
    return process.returncode


def _too_slow(streams: Mapping[str, _Stream], time_limit: timedelta) -> str:
    words = _last_words(streams["stderr"], streams["stdout"])
    return (
        f"The script did not end within {time_limit.total_seconds():g} s "
        f"(PUSH_SCRIPT_TIMEOUT_SECONDS). Its last words:\n{words}"
    )


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
    """Read what is left; a child that holds the pipes open is not waited for."""
    give_up_at = time.monotonic() + LINGER_S
    while selector.get_map() and time.monotonic() < give_up_at:
        _read_ready(selector)


def _end_group(process: subprocess.Popen[bytes]) -> None:
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


def _last_words(err: _Stream, out: _Stream) -> str:
    return "\n".join(err.tail or out.tail) or "(it said nothing)"

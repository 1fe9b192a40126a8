"""The whole system as `make run` starts it, on free ports, with the example installed."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.journeys.stack import free_port, wait_until

BIN = Path(sys.executable).parent


@dataclass
class LocalStack:
    folder: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    @property
    def push_url(self) -> str:
        return f"http://127.0.0.1:{self.environment['PUSH_PORT']}"

    @property
    def cadence_url(self) -> str:
        return f"http://127.0.0.1:{self.environment['CADENCE_PORT']}"

    @property
    def token(self) -> str:
        return (self.folder / "admin.token").read_text().strip()

    def start(self) -> None:
        with self.console.open("ab") as console:
            self.process = subprocess.Popen(
                [BIN / "local-stack", "run"],
                env=self.environment,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )

    @property
    def console(self) -> Path:
        return self.folder.with_suffix(".console")

    def said(self) -> str:
        return self.console.read_text() if self.console.exists() else ""

    def wait_to_say(self, text: str, limit_s: float = 90) -> None:
        wait_until(self.said, lambda said: text in said, limit_s)

    def ask(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run `local-stack <command>` beside the running one."""
        return subprocess.run(
            [BIN / "local-stack", *command],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def processes(self) -> list[psutil.Process]:
        """Return everything that runs for this stack, children of children and PostgreSQL too."""
        return [p for p in psutil.process_iter() if _belongs(p, self.environment["PUSH_DATA_DIR"])]

    def find(self, *words: str) -> list[psutil.Process]:
        return [p for p in self.processes() if _is_called(p, words)]

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        assert self.process
        self.process.send_signal(number)
        return self.process.wait(30)


def _is_called(process: psutil.Process, words: Sequence[str]) -> bool:
    try:
        line = " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # it ended meanwhile
        return False
    return all(word in line for word in words)


def _belongs(process: psutil.Process, folder: str) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return folder in " ".join(process.cmdline()) or (
            process.environ().get("PUSH_DATA_DIR") == folder
        )
    except psutil.Error:
        return False


def make_stack(folder: Path) -> LocalStack:
    environment = {
        "PATH": os.defpath,
        "HOME": str(folder),
        "PUSH_DATA_DIR": str(folder),
        "PUSH_PORT": str(free_port()),
        "CADENCE_PORT": str(free_port()),
    }
    return LocalStack(folder, environment)


def stop_whatever(stacks: Sequence[LocalStack]) -> None:
    for stack in stacks:
        if stack.process and stack.process.poll() is None:
            stack.stop()

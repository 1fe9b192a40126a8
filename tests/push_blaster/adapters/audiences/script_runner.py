"""Runs scripts of a test, and says what they said and what they left."""

import os
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil

from push_blaster.adapters.audiences.audience_scripts import ScriptRun, run_script
from push_blaster.adapters.audiences.script_files import RUNNING
from push_blaster.adapters.audiences.script_folder import ScriptFolder
from push_blaster.domain.executions.limits import ScriptLimits

LONG = timedelta(seconds=30)


class Runner:
    def __init__(self, folder: Path) -> None:
        self.scripts = ScriptFolder(folder / "scripts")
        self.output = folder / "output"
        self.refused: Mapping[str, str] = {}
        self.lines: list[tuple[str, str]] = []

    def run(
        self,
        source: str,
        *,
        parameters: Mapping[str, str] | None = None,
        stop_after_s: float | None = None,
        **limits: Any,
    ) -> None:
        (self.scripts.folder / "script.py").write_text(source)
        run = ScriptRun(
            execution_id="news@1",
            workplace=self.workplace,
            output_folder=self.output,
            parameters=parameters or {},
            limits=ScriptLimits(**{"time": LONG, "environment": {"PATH": os.defpath}, **limits}),
        )
        begun = time.monotonic()

        def should_stop() -> bool:
            return stop_after_s is not None and time.monotonic() - begun > stop_after_s

        self.refused = run_script(
            self.scripts.find("script"), run, should_stop, lambda *line: self.lines.append(line)
        )

    @property
    def workplace(self) -> Path:
        return self.output.parent / RUNNING / self.output.name

    def leftovers(self) -> list[int]:
        """Return what runs on; what was killed a moment ago has that moment to be gone."""
        give_up_at = time.monotonic() + 2
        while (found := self._running()) and time.monotonic() < give_up_at:
            time.sleep(0.05)
        return found

    def _running(self) -> list[int]:
        mark = str(self.scripts.folder)
        return [
            process.pid
            for process in psutil.process_iter(["cmdline", "status"])
            if mark in " ".join(process.info["cmdline"] or [])
            and process.info["status"] != psutil.STATUS_ZOMBIE
        ]

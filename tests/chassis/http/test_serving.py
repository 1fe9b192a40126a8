"""Where the workers of a service count: in a folder that outlives no process for long."""

import os
import subprocess
import sys
from pathlib import Path

from chassis.http.serving import make_metrics_folder


def test_folders_of_processes_that_were_killed_go_and_those_of_others_stay(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for name in (ended.pid, os.getpid(), os.getppid(), "not-ours"):
        (tmp_path / f"push-metrics-{name}-x").mkdir()
    (tmp_path / "else").mkdir()

    made = make_metrics_folder(tmp_path)

    stay = {f"push-metrics-{os.getppid()}-x", "push-metrics-not-ours-x", "else", made.name}
    assert {folder.name for folder in tmp_path.iterdir()} == stay
    assert made.name.startswith(f"push-metrics-{os.getpid()}-")

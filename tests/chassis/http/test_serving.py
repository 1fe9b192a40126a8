"""Where the workers of a service count: in a folder that outlives no process for long."""

import os
import subprocess
import sys
from pathlib import Path

import prometheus_client
import pytest

from chassis.http.serving import make_metrics_folder, serve


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


@pytest.mark.parametrize("program", ["cadence_service", "push_blaster"])
def test_nothing_counts_before_the_folder_is_known(program: str) -> None:
    """The library of the metrics chooses where to count when it is imported."""
    source = f"import sys, {program}.cli; sys.exit('prometheus_client' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", source], check=False).returncode == 0


def test_a_process_that_could_count_already_serves_nothing() -> None:
    assert prometheus_client.__name__ in sys.modules

    with pytest.raises(RuntimeError, match="it would count apart"):
        serve("push_blaster.app:create_app()", host="127.0.0.1", port=1, workers=1)

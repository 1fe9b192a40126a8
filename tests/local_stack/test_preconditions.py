"""A start that cannot succeed says why in one sentence, and leaves nothing behind."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from chassis.settings import SettingsError
from local_stack.preconditions import SPACE, check_preconditions
from local_stack.settings import CHECKOUT, StackSettings
from tests.journeys.stack import free_port


class Disk(NamedTuple):
    free: int


@pytest.fixture
def settings(tmp_path: Path) -> StackSettings:
    return StackSettings(
        data_folder=tmp_path / "var" / "data",
        host="127.0.0.1",
        push_port=free_port(),
        cadence_port=free_port(),
        push_database_url=None,
        cadence_database_url=None,
        environment={},
    )


def refusal_of(settings: StackSettings) -> str:
    with pytest.raises(SettingsError) as refused:
        check_preconditions(settings)
    return str(refused.value)


def test_what_can_start_has_its_folder(settings: StackSettings) -> None:
    check_preconditions(settings)
    check_preconditions(settings)

    assert list(settings.data_folder.iterdir()) == []


def test_two_services_do_not_share_a_port(settings: StackSettings) -> None:
    said = refusal_of(replace(settings, push_port=settings.cadence_port))

    assert said == (
        f"PUSH_PORT and CADENCE_PORT are both {settings.cadence_port}; set one of them to another "
        "port."
    )
    assert not settings.data_folder.exists()


@pytest.mark.parametrize("below", ["", "below", "far/below"])
def test_a_file_is_no_data_folder(settings: StackSettings, tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()

    said = refusal_of(replace(settings, data_folder=tmp_path / "file" / below))

    assert said.endswith("Set PUSH_DATA_DIR to a folder that you may write.")
    assert f"The data folder {tmp_path / 'file' / below} cannot be made (" in said


def test_a_folder_that_nobody_writes_is_named(settings: StackSettings) -> None:
    said = refusal_of(replace(settings, data_folder=Path("/proc/self/task")))

    assert "The data folder /proc/self/task cannot be written (" in said


def test_a_full_disk_is_named_and_no_folder_stays(
    settings: StackSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nearly_full(_: Any) -> Disk:
        return Disk(SPACE - 1)

    monkeypatch.setattr(shutil, "disk_usage", nearly_full)

    assert "has 299 MB of free space, and 300 are needed." in refusal_of(settings)
    assert list(tmp_path.iterdir()) == []


def test_an_old_python_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    old = tmp_path / "python3.9"
    old.write_text(
        "#!/usr/bin/env python3\nimport sys\nsys.version_info = (3, 9, 2)\nexec(sys.argv[2])\n"
    )
    old.chmod(0o755)
    for name in ("Makefile", "pyproject.toml", "requirements-dev.lock"):
        shutil.copy(CHECKOUT / name, tmp_path / name)

    made = subprocess.run(
        ["make", "install", f"PYTHON={old}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert made.returncode == 2
    assert f"Python 3.11 or newer is needed, and {old} is 3.9." in made.stderr
    assert not (tmp_path / ".venv").exists()

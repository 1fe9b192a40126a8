"""Folders of ours are closed, and folders of people stay open for their group."""

from pathlib import Path

import pytest

from push_blaster.adapters.operations.private_folders import close_folders


@pytest.mark.parametrize(
    ("name", "mode"),
    [("executions", 0o700), ("uploads", 0o700), ("automations", 0o770), ("scripts", 0o777)],
)
def test_folders_of_ours_are_closed_to_others(tmp_path: Path, name: str, mode: int) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name).chmod(0o777)

    close_folders(tmp_path)

    assert (tmp_path / name).stat().st_mode & 0o777 == mode

"""deploy/install.md, followed to the letter as root of an empty machine."""

import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.documents_followed import follow, read_install, read_operate
from tests.documents import ROOT, read_tables


@pytest.fixture(scope="module")
def machine(open_folder: Path) -> dict[str, Any]:
    """What was said and found on a machine on which somebody followed the page."""
    folder = open_folder / "machine"
    folder.mkdir(mode=0o755)
    return follow(folder, read_install(), limit_s=240)


def test_every_block_of_the_page_works_on_an_empty_machine(machine: dict[str, Any]) -> None:
    assert machine["code"] == 0, (machine["said"], machine["complained"], machine["logs"])
    assert "real-dry-run is completed." in machine["said"]
    assert "Restored." in machine["said"]


def test_the_blocks_for_operators_are_commands() -> None:
    blocks = read_operate()

    assert len(blocks) > 8
    for block in blocks:
        subprocess.run(["bash", "-n"], input=block, text=True, check=True)


def test_owners_and_modes_are_as_the_document_says(machine: dict[str, Any]) -> None:
    rows = read_tables("deploy/install.md", "folder or file", "owner", "mode", "what it holds")

    for row in rows:
        pattern = row["folder or file"].strip("`")
        found = {mode for path, mode in machine["modes"].items() if fnmatch(path, pattern)}
        assert found == {f"{row['owner']} {row['mode']}"}, pattern
    assert len(rows) == 5


def test_the_units_are_enabled_and_their_processes_run_as_the_user_push(
    machine: dict[str, Any],
) -> None:
    units = ROOT.glob("deploy/systemd/*")

    assert {u.name for u in units if "[Install]" in u.read_text()} <= set(machine["enabled"])
    assert set(machine["users"].values()) == {"push"}
    running = " ".join(machine["users"])
    commands = ("cadence-service serve", "push-blaster serve", "push-blaster engine")
    assert [command for command in commands if command not in running] == []
    assert [log for log in machine["logs"].values() if "rror" in log] == []


def test_the_file_that_everybody_may_read_has_no_secret_and_nginx_is_believed(
    machine: dict[str, Any],
) -> None:
    secrets = re.findall(
        r"^(?:# )?([A-Z_]+)=",
        "\n".join(path.read_text() for path in ROOT.glob("deploy/secrets/*")),
        re.MULTILINE,
    )

    assert set(secrets) & machine["settings"].keys() == set()
    assert machine["settings"]["PUSH_TRUSTED_PROXIES"] == "1"
    assert any('"GET /api/health HTTP/1.1" 200' in line for line in machine["accesses"])

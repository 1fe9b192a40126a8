"""What every night does where there is no systemd: a backup, and old history dropped."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from cadence_service.cli import MIGRATIONS as CADENCE_MIGRATIONS
from chassis.metrics import read_upkeep_from
from chassis.migrations import migrate
from chassis.postgres import BulkDatabase, Database
from local_stack.embedded_postgres import EmbeddedPostgres, find_binaries
from push_blaster.cli import MIGRATIONS

PROGRAM = Path(sys.executable).with_name("push-backup")
DAY_S = 86_400
NIGHTLY = Path(__file__).parents[2] / "deploy" / "nightly.sh"


@pytest.fixture
def settings(postgres: EmbeddedPostgres, tmp_path: Path) -> Mapping[str, str]:
    push, cadence = (
        postgres.create_database(f"{name}_{uuid4().hex[:8]}") for name in ("push", "cadence")
    )
    migrate(Database(push, max_connections=1), MIGRATIONS)
    migrate(BulkDatabase(cadence, max_connections=1), CADENCE_MIGRATIONS)
    return {
        "PATH": os.pathsep.join(
            [str(Path(sys.executable).parent), str(find_binaries()), os.defpath]
        ),
        "PUSH_BLASTER_DATABASE_URL": push,
        "PUSH_CADENCE_DATABASE_URL": cadence,
        "PUSH_DATA_DIR": str(tmp_path / "data"),
        "CADENCE_API_TOKEN": "token-of-the-tests",
        "PUSH_ADMIN_TOKEN": "token-of-the-tests",
    }


@pytest.fixture
def backups(settings: Mapping[str, str], tmp_path: Path) -> Path:
    """A folder with a backup of a month ago, three of the last days, and somebody's old notes."""
    (tmp_path / "data").mkdir()
    folder = tmp_path / "backups"
    subprocess.run([PROGRAM, "save", folder / "old"], env=settings, check=True)
    for name, days in (("recent-1", 1), ("recent-2", 2), ("recent-3", 3), ("old", 30)):
        if name != "old":
            shutil.copytree(folder / "old", folder / name)
        at = time.time() - days * 86_400  # noqa: TID251 - the age of a file
        os.utime(folder / name / "SHA256SUMS", (at, at))
    (folder / "notes").mkdir()
    os.utime(folder / "notes", (0, 0))
    return folder


def run(settings: Mapping[str, str], backups: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [NIGHTLY, backups], env=settings, capture_output=True, text=True, check=False
    )


def find_ages(settings: Mapping[str, str]) -> list[bool]:
    """Return whether the gauges call the last backup, and both kinds of pruning, a fresh one."""
    push = Database(settings["PUSH_BLASTER_DATABASE_URL"], max_connections=1)
    cadence = BulkDatabase(settings["PUSH_CADENCE_DATABASE_URL"], max_connections=1)
    gauges = [
        *read_upkeep_from(push, "push", ("backup", "prune"))(),
        *read_upkeep_from(cadence, "cadence", ("prune",))(),
    ]
    return [gauge.values[""] < DAY_S for gauge in gauges]


def let_days_pass(settings: Mapping[str, str]) -> None:
    for name in ("PUSH_BLASTER_DATABASE_URL", "PUSH_CADENCE_DATABASE_URL"):
        with psycopg.connect(settings[name]) as connection:
            connection.execute("UPDATE upkeep SET good_at = good_at - interval '3 days'")


def test_a_night_makes_a_backup_lets_go_of_old_ones_and_prunes(
    settings: Mapping[str, str], backups: Path
) -> None:
    let_days_pass(settings)
    before = find_ages(settings)
    done = run(settings, backups)

    assert done.returncode == 0, done.stderr
    assert (before, find_ages(settings)) == ([False] * 3, [True] * 3)
    names = sorted(path.name for path in backups.iterdir())
    assert names[1:] == ["notes", "recent-1", "recent-2", "recent-3"]
    subprocess.run([PROGRAM, "check", backups / names[0]], env=settings, check=True)
    assert "Removed " in done.stdout
    assert "Dropped 0 weeks" in done.stdout


def test_without_a_new_backup_the_old_ones_stay_and_history_is_pruned_all_the_same(
    settings: Mapping[str, str], backups: Path
) -> None:
    away = {**settings, "PUSH_BLASTER_DATABASE_URL": "postgresql://127.0.0.1:9/none"}

    done = run(away, backups)

    assert done.returncode == 1
    assert (backups / "old").exists()
    assert "Dropped 0 weeks" in done.stdout


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("exit 1", "pg_dump failed"),
        ('real "$@" && truncate --size=-1000 "$(dump "$@")"', "could not be read again"),
    ],
)
def test_a_backup_that_is_not_good_leaves_the_last_good_one_old(
    settings: Mapping[str, str], backups: Path, tmp_path: Path, fault: str, said: str
) -> None:
    """The second pg_dump ends well, and what it wrote is cut off."""
    program = tmp_path / "bin" / "pg_dump"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\nreal() {{ {find_binaries()}/pg_dump "$@"; }}\n'
        'dump() { for a; do case "$a" in --file=*) echo "${a#--file=}";; esac; done; }\n'
        f"{fault}\n"
    )
    program.chmod(0o755)
    let_days_pass(settings)

    done = run({**settings, "PATH": f"{program.parent}:{settings['PATH']}"}, backups)

    assert done.returncode == 1
    assert said in done.stderr
    assert (backups / "old").exists()
    assert find_ages(settings) == [False, True, True]

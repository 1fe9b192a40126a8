"""A real backup of both databases and the data folder: made whole, checked, or not made at all."""

import gzip
import hashlib
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from chassis.clock import utc_now
from push_backup.backup import check, remove_old, save
from push_backup.cli import main
from push_backup.places import BackupError, Places
from push_backup.restore import restore

SAVE = (sys.executable, "-c", "from push_backup.cli import main; main()", "save")


def test_what_is_no_regular_file_is_named_and_does_not_spoil_the_restore(
    kept: Places, fresh: Places, tmp_path: Path
) -> None:
    run = kept.data_folder / "runs" / "1"
    run.mkdir(parents=True)
    (run / "secret").symlink_to("/etc/passwd")
    (run / "loop").symlink_to("..")
    (run / "away").symlink_to("nowhere")
    os.mkfifo(run / "pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(run / "s"))
    (run / "a\nb\udcff").write_text("odd name")
    os.link(kept.data_folder / "automations" / "news.json", run / "same.json")

    left_out = save(kept, tmp_path / "backup")
    check(tmp_path / "backup")
    restore(tmp_path / "backup", fresh)

    assert left_out == [
        "runs/1/away: a symbolic link",
        "runs/1/loop: a symbolic link",
        "runs/1/pipe: neither a file nor a folder",
        "runs/1/s: neither a file nor a folder",
        "runs/1/secret: a symbolic link",
    ]
    assert "runs/1/secret" in (tmp_path / "backup" / "LEFT_OUT").read_text()
    restored = fresh.data_folder / "runs" / "1"
    assert (restored / "a\nb\udcff").read_text() == "odd name"
    assert (restored / "same.json").read_text() == '{"name": "Neues"}'
    assert names(restored) == ["a\nb\udcff", "same.json"]


def test_an_older_backup_with_links_in_it_is_restored_without_them(
    kept: Places, fresh: Places, tmp_path: Path
) -> None:
    (kept.data_folder / "link").symlink_to("/etc/passwd")
    backup = tmp_path / "backup"
    save(kept, backup)
    with subprocess.Popen(
        ["tar", "-czf", backup / "data.tar.gz", "-C", kept.data_folder, "automations", "link"]
    ) as tar:
        assert tar.wait(60) == 0
    sign(backup)

    assert check(backup) == ["link"]
    assert restore(backup, fresh) == ["link"]

    assert (fresh.data_folder / "automations" / "news.json").exists()
    assert not (fresh.data_folder / "link").is_symlink()


def test_files_that_come_and_go_while_they_are_saved_are_no_error(
    kept: Places, tmp_path: Path
) -> None:
    ended = threading.Event()

    def churn() -> None:
        number = 0
        while not ended.is_set():
            folder = kept.data_folder / f"run-{number % 50}"
            shutil.rmtree(folder, ignore_errors=True)
            (folder / "deep").mkdir(parents=True)
            (folder / "deep" / "file").write_bytes(os.urandom(50_000))
            number += 1

    worker = threading.Thread(target=churn)
    worker.start()
    try:
        for number in range(3):
            save(kept, tmp_path / f"backup-{number}")
            assert check(tmp_path / f"backup-{number}") == []
    finally:
        ended.set()
        worker.join()


def test_a_save_that_finds_the_disk_full_leaves_nothing_and_says_why(
    kept: Places, settings: None, tmp_path: Path
) -> None:
    (kept.data_folder / "large").write_bytes(os.urandom(8_000_000))

    def small_files_only() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, 4_000_000))

    done = subprocess.run(
        [*SAVE, tmp_path / "backups" / "b"],
        preexec_fn=small_files_only,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.startswith("Error: No backup was made, and nothing is left of it:")
    assert "File too large" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert names(tmp_path / "backups") == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_save_that_is_stopped_leaves_nothing(
    kept: Places, settings: None, tmp_path: Path, number: signal.Signals
) -> None:
    with psycopg.connect(kept.databases["cadence"]) as blocker:
        blocker.execute("LOCK TABLE user_notifications")
        saving = start_save(tmp_path / "backups" / "b")

        saving.send_signal(number)
        _, told = saving.communicate(timeout=20)

    assert saving.returncode == 1
    assert told == "Error: The save was stopped; no backup was made, and nothing is left of it.\n"
    assert names(tmp_path / "backups") == []


def test_the_next_save_removes_what_a_killed_one_left_and_nothing_else(
    kept: Places, settings: None, tmp_path: Path
) -> None:
    backups = tmp_path / "backups"
    with psycopg.connect(kept.databases["cadence"]) as blocker:
        blocker.execute("LOCK TABLE user_notifications")
        killed = start_save(backups / "killed")
        alive = start_save(backups / "alive")
        killed.kill()
        killed.communicate(timeout=20)
        mine = backups / "notes.part"
        mine.mkdir()
        (mine / "notes.txt").write_text("keep")

        with pytest.raises(BackupError, match="Another save writes"):
            save(kept, backups / "alive")

    _, told = alive.communicate(timeout=60)
    assert alive.returncode == 0, told
    assert names(backups) == ["alive", "notes.part"]


def test_a_backup_is_not_written_into_the_folder_that_it_saves(kept: Places) -> None:
    with pytest.raises(BackupError, match="lies in the data folder"):
        save(kept, kept.data_folder / "backups" / "today")

    assert not (kept.data_folder / "backups").exists()


def test_a_backup_that_failed_half_way_is_none(kept: Places, tmp_path: Path) -> None:
    away = Places(
        databases={**kept.databases, "cadence": "postgresql://127.0.0.1:9/none"},
        data_folder=kept.data_folder,
    )

    with pytest.raises(BackupError, match="pg_dump failed"):
        save(away, tmp_path / "backups" / "b")

    assert names(tmp_path / "backups") == []


@pytest.mark.parametrize(
    ("name", "damage", "told"),
    [
        ("data.tar.gz", lambda whole: whole[:-20], "damaged"),
        ("data.tar.gz", lambda _: gzip.compress(b"no archive" * 1000), "damaged"),
        ("data.tar.gz", lambda _: b"", "damaged"),
        ("cadence.dump", lambda whole: whole[:200], "pg_restore failed"),
        ("cadence.dump", lambda whole: whole[:-1_000], "pg_restore failed"),
        ("push_blaster.dump", lambda _: b"", "pg_restore failed"),
    ],
)
def test_a_check_reads_what_a_restore_will_read(
    kept: Places, tmp_path: Path, name: str, damage: Callable[[bytes], bytes], told: str
) -> None:
    backup = tmp_path / "backup"
    save(kept, backup)
    (backup / name).write_bytes(damage((backup / name).read_bytes()))
    with pytest.raises(BackupError, match=f"{name} is missing or damaged"):
        check(backup)
    sign(backup)

    with pytest.raises(BackupError, match=told):
        check(backup)


def test_a_check_needs_no_settings(kept: Places, tmp_path: Path) -> None:
    save(kept, tmp_path / "backup")

    checked = CliRunner().invoke(main, ["check", str(tmp_path / "backup")])

    assert (checked.exit_code, checked.output) == (0, "The backup is complete and undamaged.\n")


def test_a_backup_of_a_schema_without_the_table_of_upkeep_is_made_all_the_same(
    kept: Places, settings: None, tmp_path: Path
) -> None:
    with psycopg.connect(kept.databases["push_blaster"]) as connection:
        connection.execute("DROP TABLE upkeep")

    saved = CliRunner().invoke(main, ["save", str(tmp_path / "backup")])

    assert saved.exit_code == 0
    assert "This is not noted in the database, so an alert may follow" in saved.output
    check(tmp_path / "backup")


def test_old_backups_go_and_the_newest_ones_and_other_things_stay(
    kept: Places, tmp_path: Path
) -> None:
    now = utc_now()
    save(kept, tmp_path / "b0")
    for age in (10, 20, 30, 40):
        shutil.copytree(tmp_path / "b0", tmp_path / f"b{age}")
        made = (now - timedelta(days=age)).timestamp()
        os.utime(tmp_path / f"b{age}" / "SHA256SUMS", (made, made))
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "SHA256SUMS").write_text("")
    os.utime(tmp_path / "photos" / "SHA256SUMS", (0, 0))

    all_new = remove_old(tmp_path, now, timedelta(days=14), keep_at_least=5)
    removed = remove_old(tmp_path, now, timedelta(days=14), keep_at_least=3)
    again = remove_old(tmp_path, now, timedelta(days=1), keep_at_least=3)

    assert (all_new, again) == ([], [])
    assert [path.name for path in removed] == ["b40", "b30"]
    assert {"b0", "b10", "b20", "photos"} <= set(names(tmp_path))


def start_save(target: Path) -> "subprocess.Popen[str]":
    """Start a save, and return once its draft is there."""
    saving = subprocess.Popen(
        [*SAVE, target], stderr=subprocess.PIPE, text=True, preexec_fn=hear_ctrl_c
    )
    dump = target.with_name(f"{target.name}.part") / "cadence.dump"
    for _ in range(600):
        if dump.exists():
            return saving
        time.sleep(0.05)
    raise AssertionError(saving.communicate(timeout=5))


def hear_ctrl_c() -> None:
    """Undo what a shell does to a process in its background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def sign(backup: Path) -> None:
    """Write the checksums of `backup` anew."""
    names = [path for path in sorted(backup.iterdir()) if path.name != "SHA256SUMS"]
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in names]
    (backup / "SHA256SUMS").write_text("".join(lines))

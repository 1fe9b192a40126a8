"""Remove records whose retention has ended: audiences first, then executions and the audit log."""

import gzip
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final
from uuid import uuid4

from chassis.postgres import Connection, Database
from push_blaster.adapters.access.audit_chain import prune_links, select_prunable
from push_blaster.adapters.access.audit_table import COLUMNS
from push_blaster.adapters.access.idempotency_keys import delete_old_keys
from push_blaster.adapters.access.person_table import delete_people
from push_blaster.adapters.audiences.uploads import list_uploads
from push_blaster.adapters.automations.json_files import write_whole
from push_blaster.adapters.automations.version_table import count_old_versions, delete_old_versions
from push_blaster.adapters.csv_cells import write_csv
from push_blaster.adapters.devices.device_report import delete_dead_devices
from push_blaster.adapters.devices.opt_out_table import delete_ended_opt_outs
from push_blaster.adapters.engagement.event_retention import (
    delete_old_conversions,
    delete_old_firsts,
)
from push_blaster.adapters.engagement.event_table import EVENTS
from push_blaster.adapters.engagement.opt_out_tap_table import delete_old_taps
from push_blaster.adapters.engagement.push_sample import KEPT_FOR, delete_old_samples
from push_blaster.adapters.engagement.result_push_table import (
    count_old_results,
    delete_old_results,
)
from push_blaster.adapters.executions.execution_removal import delete_execution
from push_blaster.adapters.operations.retention import (
    PIECE,
    count_executions,
    count_old,
    delete_changes,
    delete_old_runs,
    delete_piece,
    select_awaited_uploads,
    select_kept_folders,
    select_old_executions,
)
from push_blaster.adapters.users.erasure_table import delete_old_erasures
from push_blaster.domain.engagement.event import ACCEPTED_FOR
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.operations.retention import Retention
from push_blaster.use_cases.access.audit_chain import chain_changes

#: The folder into which entries are written before they are deleted from the audit log.
ARCHIVE: Final = "audit-log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Where the records are, and how long each kind is kept."""

    database: Database
    data_folder: Path
    retention: Retention


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruning:
    """The records of each kind that are to go, or that went.

    Shape: `executions` of `executions_in_all`; `changes` are the entries of the audit log;
    `versions` are those of automations; `weeks` are those of events; `results` are pushes.
    """

    executions: Sequence[str]
    executions_in_all: int
    folders: Sequence[Path]
    uploads: Sequence[Path]
    script_runs: int
    dead_devices: int
    changes: int
    versions: int
    weeks: Sequence[str]
    results: int


def plan_pruning(kept: Kept, now: datetime) -> Pruning:
    """Return what `prune` would remove; executions that run or may be resumed stay."""
    folders = list((kept.data_folder / "executions").glob("*"))  # before the executions are read
    ended_before = now - kept.retention.executions
    with kept.database.transaction() as connection:
        executions = select_old_executions(connection, ended_before)
        in_all = count_executions(connection)
        stay = select_kept_folders(connection, now - kept.retention.audiences, ended_before)
        awaited = select_awaited_uploads(connection)
        script_runs = count_old(connection, "script_runs", ended_before)
        dead_devices = count_old(connection, "devices", _dead_before(kept, now))
        changes = count_old(connection, "audit_log", _audited_before(kept, now))
        versions = count_old_versions(connection, now - kept.retention.versions)
        weeks = EVENTS.select_old_weeks(connection, now - kept.retention.events)
        results = count_old_results(connection, now - kept.retention.results)
    stay -= set(executions)
    return Pruning(
        executions=executions,
        executions_in_all=in_all,
        folders=[folder for folder in folders if folder.name not in stay],
        uploads=_find_uploads(kept, awaited, now),
        script_runs=script_runs,
        dead_devices=dead_devices,
        changes=changes,
        versions=versions,
        weeks=weeks,
        results=results,
    )


def prune(kept: Kept, now: datetime) -> Pruning:
    """Remove records whose retention has ended, piece by piece; safe to repeat, and beside another.

    The audiences of an execution go before its ledger, so that no execution is resumed in part.
    Returns: what this call removed.
    """
    found = plan_pruning(kept, now)
    ended_before = now - kept.retention.executions
    dead = partial(delete_dead_devices, dead_before=_dead_before(kept, now), limit=PIECE)
    chain_changes(kept.database, now)
    versions = partial(
        delete_old_versions, before=now - kept.retention.versions, limit=PIECE // 100
    )
    results = partial(delete_old_results, before=now - kept.retention.results, limit=PIECE)
    archive = partial(_archive_changes, folder=kept.data_folder / ARCHIVE, now=now)
    removed = replace(
        found,
        folders=[folder for folder in found.folders if _remove_folder(folder)],
        uploads=[upload for upload in found.uploads if _remove_file(upload)],
        executions=[one for one in found.executions if _delete_execution(kept.database, one)],
        script_runs=_until_none(kept.database, partial(delete_old_runs, ended_before=ended_before)),
        dead_devices=_until_none(kept.database, dead),
        changes=_until_none(kept.database, partial(archive, before=_audited_before(kept, now))),
        versions=_until_none(kept.database, versions),
        weeks=_prune_events(kept, found.weeks, now),
        results=_until_none(kept.database, results),
    )
    _until_none(kept.database, partial(delete_old_keys, before=ended_before, most=PIECE))
    ended = partial(delete_ended_opt_outs, before=ended_before, limit=PIECE)
    _until_none(kept.database, ended)
    taps = partial(delete_old_taps, before=now - ACCEPTED_FOR, limit=PIECE)
    _until_none(kept.database, taps)
    _until_none(kept.database, partial(delete_people, checked_before=_audited_before(kept, now)))
    receipts = partial(delete_old_erasures, ended_before=_audited_before(kept, now))
    _until_none(kept.database, receipts)
    return removed


def _prune_events(kept: Kept, weeks: Sequence[str], now: datetime) -> list[str]:
    """Drop weeks of events, and delete what is as old; return the weeks. The counters stay."""
    before = now - kept.retention.events
    dropped = [week for week in weeks if EVENTS.drop_week(kept.database, week) is not None]
    with kept.database.transaction() as connection:
        EVENTS.delete_strays(connection, before)
    for delete in (delete_old_conversions, delete_old_firsts):
        _until_none(kept.database, partial(delete, before=before, limit=PIECE))
    samples = partial(delete_old_samples, before=now - KEPT_FOR, limit=PIECE)
    _until_none(kept.database, samples)
    return dropped


def _remove_folder(folder: Path) -> bool:
    """Remove a folder; False if somebody else did. A name of its own makes it one or the other."""
    going = folder.with_name(f"removed-{uuid4().hex}")
    try:
        folder.rename(going)
    except FileNotFoundError:
        return False
    shutil.rmtree(going, ignore_errors=True)
    return True


def _remove_file(file: Path) -> bool:
    """Remove a file; False if somebody else did."""
    try:
        file.unlink()
    except FileNotFoundError:
        return False
    return True


def _dead_before(kept: Kept, now: datetime) -> datetime:
    return now - kept.retention.dead_devices


def _audited_before(kept: Kept, now: datetime) -> datetime:
    """Return the beginning of a month, so that there is one archive a month."""
    before = now - kept.retention.audit_log
    return before.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _find_uploads(kept: Kept, awaited: set[str], now: datetime) -> list[Path]:
    """Return old uploads that no document names (broken ones included) and no execution needs."""
    old = list_uploads(kept.data_folder, now - kept.retention.audiences)
    documents = [
        path.read_bytes()
        for folder in ("automations", "templates")
        for path in (kept.data_folder / folder).glob("*.json")
    ]
    return [
        upload
        for upload in old
        if upload.stem not in awaited
        and not any(upload.stem.encode() in document for document in documents)
    ]


def _delete_execution(database: Database, execution_id: str) -> bool:
    """Delete an execution; False if somebody else did."""
    for table in ("deliveries", "execution_log"):
        _until_none(database, partial(delete_piece, table=table, execution_id=execution_id))
    with database.transaction() as connection:
        return delete_execution(connection, execution_id, tuple(Mode))


def _archive_changes(connection: Connection, folder: Path, before: datetime, now: datetime) -> int:
    """Move some changes into a compressed CSV, and leave a checkpoint; return how many."""
    rows = select_prunable(connection, before, PIECE)
    if rows:
        folder.mkdir(mode=0o700, exist_ok=True)
        first, last = rows[0], rows[-1]
        name = f"{first[1]:%Y-%m-%d}_{first[0]}-{last[0]}.csv.gz"
        write_whole(folder / name, gzip.compress(write_csv([COLUMNS, *rows]).encode(), mtime=0))
        ids = [row[0] for row in rows]
        prune_links(connection, ids, now)
        delete_changes(connection, ids)
    return len(rows)


def _until_none(database: Database, remove: Callable[[Connection], int]) -> int:
    """Remove piece by piece; return how many went."""
    count = 0
    while True:
        with database.transaction() as connection:
            removed = remove(connection)
        if not removed:
            return count
        count += removed

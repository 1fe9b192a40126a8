"""The journal of outcomes: what providers answered, on disk before it is in the ledger.

A ledger row says that a send began; the provider's answer says how it ended. The database may be
away when the answer comes, and the engine may be killed before the answer is in the ledger.
Therefore each attempt at a page appends its answers to `journal/<engine>/<page>.jsonl` in the data
folder as they come. The engine that attempts the page next reads them before it sends anything.

Nothing is synced to disk: a killed process loses nothing of what it wrote, and a machine that
loses its power leaves messages in doubt, as without a journal.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

import orjson
import structlog

from push_blaster.adapters.delivery.delivery_ledger import Deferral
from push_blaster.adapters.operations.shortages import find_shortage
from push_blaster.domain.delivery.ledger import LedgerPage
from push_blaster.domain.delivery.message import Delivery, Outcome
from push_blaster.domain.devices.device import Address, DeadDevice

log = structlog.get_logger()

#: The outcomes that an answer proves. A message without an answer stays in doubt, as in the ledger.
_PROVEN: Final = frozenset(
    {Outcome.SENT, Outcome.TOKEN_DEAD, Outcome.FAILED, Outcome.DRY_RUN, Outcome.NOT_SENT}
)


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """Outcomes that became known together, at one instant."""

    at: datetime
    deliveries: tuple[Delivery, ...]
    deferrals: tuple[Deferral, ...] = ()


class PageJournal:
    """The outcomes of one attempt at a page; the file is made with its first line."""

    def __init__(self, folder: Path, engine_id: str, page: LedgerPage) -> None:
        """Take the data folder, the engine that attempts the page, and the page."""
        self._path = _folder(folder) / quote(engine_id or "engine", safe="") / _name(page)
        self._descriptor: int | None = None
        self._unwritten = b""

    def append(self, entry: JournalEntry) -> None:
        """Append what an answer proves; a full disk is reported in the log, and stops nothing.

        What the disk has no room for, such as the second half of a line, is written by the next
        call, before the new line.
        """
        deliveries = [_write_delivery(d) for d in entry.deliveries if d.outcome in _PROVEN]
        deferrals = [_write_deferral(d) for d in entry.deferrals]
        if not deliveries and not deferrals:
            return
        self._unwritten += orjson.dumps([entry.at, deliveries, deferrals]) + b"\n"
        self._write()

    def _write(self) -> None:
        """Write as much as the disk has room for; keep the rest."""
        try:
            while self._unwritten:
                written = os.write(self._open(), self._unwritten)
                self._unwritten = self._unwritten[written:]
        except OSError as error:
            log.warning(
                "journal_not_written",
                reason=error.strerror,
                file=self._path.name,
                waiting_bytes=len(self._unwritten),
            )

    def close(self, *, is_settled: bool) -> None:
        """End the attempt: outcomes that are in the ledger need no journal any more."""
        if not is_settled:
            self._write()
        if self._descriptor is None:
            return
        os.close(self._descriptor)
        self._descriptor = None
        if is_settled:
            self._path.unlink(missing_ok=True)

    def _open(self) -> int:
        if self._descriptor is None:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
            self._descriptor = os.open(self._path, flags, 0o600)
            _cut_half_line(self._descriptor)
        return self._descriptor


def _cut_half_line(descriptor: int) -> None:
    """Remove what an earlier attempt could not write to its end; a new line would be lost in it."""
    size = os.fstat(descriptor).st_size
    whole = os.pread(descriptor, size, 0).rfind(b"\n") + 1 if size else 0
    if whole < size:
        os.ftruncate(descriptor, whole)


def read_journals(folder: Path, page: LedgerPage) -> list[JournalEntry]:
    """Return what all engines wrote about the page, each journal in its own order.

    A line that cannot be read ends its journal: the users behind that line stay in doubt.
    """
    return [entry for path in _find(folder, page) for entry in _read_entries(path)]


def delete_journals(folder: Path, page: LedgerPage) -> None:
    """Delete what engines wrote about the page, because it is in the ledger now."""
    for path in _find(folder, page):
        path.unlink(missing_ok=True)


def _folder(data_folder: Path) -> Path:
    return data_folder / "journal"


def _name(page: LedgerPage) -> str:
    """Return a name that fits every file system, for every id of an execution."""
    kind = "test" if page.is_test else "live"
    text = f"{page.execution_id}\n{page.position}\n{kind}\n{page.batch}"
    return f"{hashlib.sha256(text.encode()).hexdigest()[:40]}.jsonl"


def _find(folder: Path, page: LedgerPage) -> list[Path]:
    """Return the journals of a page; OSError if the engine is too short to look for them."""
    try:
        engines = sorted(_folder(folder).iterdir())
    except OSError as error:
        if find_shortage(error):
            raise
        return []
    return [path for path in (engine / _name(page) for engine in engines) if _is_there(path)]


def _is_there(path: Path) -> bool:
    with suppress(PermissionError):
        return path.exists()
    return False


def _read_entries(path: Path) -> Iterator[JournalEntry]:
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        if find_shortage(error):  # the journal is whole, and is read once the engine can open it
            raise
        log.warning("journal_not_read", reason=error.strerror, file=path.name)
        return
    for line in lines:
        try:
            yield _read_line(line)
        except (ValueError, TypeError, KeyError) as error:
            log.warning("journal_not_read", reason=str(error), file=path.name)
            return


def _read_line(line: bytes) -> JournalEntry:
    if not line.endswith(b"\n"):
        raise ValueError("the last line is cut off")
    at, deliveries, deferrals = orjson.loads(line)
    return JournalEntry(
        datetime.fromisoformat(at),
        tuple(_read_delivery(*values) for values in deliveries),
        tuple(_read_deferral(*values) for values in deferrals),
    )


def _write_delivery(delivery: Delivery) -> Sequence[Any]:
    """Return the outcome, with its dead devices only if there are any."""
    outcome = (
        delivery.user_id.hex,
        delivery.outcome.value,
        delivery.provider_id,
        delivery.reason,
    )
    if not delivery.dead_devices:
        return outcome
    return (*outcome, [_write_dead(device) for device in delivery.dead_devices])


def _write_dead(device: DeadDevice) -> Sequence[Any]:
    since = () if device.since is None else (device.since,)
    return (device.address.token, device.address.kind, device.reason, *since)


def _read_dead(
    user_id: UUID, token: str, kind: str, reason: str, since: str | None = None
) -> DeadDevice:
    instant = datetime.fromisoformat(since) if since else None
    return DeadDevice(user_id, Address(token, kind), reason, instant)


def _read_delivery(
    user: str,
    outcome: str,
    provider_id: str | None,
    reason: str | None,
    dead: Sequence[Sequence[str]] = (),
) -> Delivery:
    user_id = UUID(user)
    devices = tuple(_read_dead(user_id, *values) for values in dead)
    return Delivery(user_id, Outcome(outcome), provider_id, reason, dead_devices=devices)


def _write_deferral(deferral: Deferral) -> Sequence[Any]:
    return deferral.user_id.hex, deferral.reason, deferral.tries, deferral.not_before


def _read_deferral(user: str, reason: str | None, tries: int, not_before: str) -> Deferral:
    return Deferral(UUID(user), reason, tries, datetime.fromisoformat(not_before))

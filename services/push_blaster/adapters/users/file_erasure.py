"""Erase a user from the files of the data folder, as the list of places says of each folder."""

import csv
import gzip
import io
import json
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import uuid4

from chassis.postgres import Connection, Database
from chassis.rows import execute, fetch_value, fetch_values
from push_blaster.adapters.audiences.frozen_audiences import hash_file
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.automations.document_files import next_version
from push_blaster.adapters.automations.json_files import DRAFT_SUFFIX, locked, write_whole
from push_blaster.adapters.csv_cells import write_csv
from push_blaster.adapters.users.kept_places import FOLDERS, Folder
from push_blaster.adapters.users.masked_files import find_files, mask_ids, mask_rows, names_user
from push_blaster.domain.users.erasure import Traces

REASON: Final = "A user was erased."
_CONTENTS: Final = ("what", "detail")


@dataclass(slots=True)
class FileErasure:
    """The erasure of a user from the data folder.

    Shape: `busy` executions still need their files, and so do their uploads; `is_last` if none of
    them names the user. `notes` are for people. `going_on` is called between files.
    """

    database: Database
    files: AutomationFiles
    data_folder: Path
    busy: Collection[str]
    is_last: bool
    going_on: Callable[[], None]
    now: datetime
    notes: list[str] = field(default_factory=list)

    def erase(self, traces: Traces) -> Traces:
        """Erase the user; return the traces with the names of files that are other ones now."""
        uploads = self._copy_uploads(traces)
        traces = replace(traces, renamed=uploads)
        for name, kind in FOLDERS.items():
            _ERASE[kind](self, self.data_folder / name, traces)
        return traces

    def remove_uploads(self, traces: Traces) -> None:
        """Remove the uploads whose copies have taken their place, unless an execution needs one."""
        with self.database.transaction() as connection:
            for old in traces.renamed:
                if not _is_named(connection, old):
                    (self.data_folder / "uploads" / f"{old}.csv").unlink(missing_ok=True)

    def _find(self, folder: Path, traces: Traces) -> Iterator[Path]:
        for path in find_files(folder):
            self.going_on()
            if names_user(path, traces):
                yield path

    def _copy_uploads(self, traces: Traces) -> Mapping[str, str]:
        """Mask a copy of each upload that names the user; return the names by the old ones."""
        renamed = {}
        for path in self._find(self.data_folder / "uploads", traces):
            copy = _mask_copy(path, traces)
            digest = hash_file(copy)
            copy.replace(path.with_name(f"{digest}.csv"))
            renamed[path.stem] = digest
        return renamed

    def edit_documents(self, folder: Path, traces: Traces) -> None:
        """Replace mentions in documents; those of automations become versions."""
        for document in self.files.list_all().documents if folder == self.files.folder else ():
            text = json.dumps(document)
            if not traces.mentions(text):
                continue
            sent = {**json.loads(traces.clean(text)), "version": document["version"]}
            changed = next_version(document, sent, self.now)
            self.files.replace(changed, document["version"], REASON)
            if traces.mentions_user(text):
                self.notes.append(
                    f"The automation {document['id']} named the user, for example as a test user. "
                    "An id that stands for nobody has taken the place: name another user."
                )
        for path in find_files(folder):
            text = path.read_text(errors="surrogateescape")
            if traces.mentions(text):
                with locked(folder):
                    write_whole(path, traces.clean(text).encode(errors="surrogateescape"))

    def mask_audiences(self, folder: Path, traces: Traces) -> None:
        """Mask the rows of executions that have ended; a frozen audience gets its new hash."""
        for path in self._find(folder, traces):
            execution = path.relative_to(folder).parts[0]
            if execution not in self.busy:
                frozen = str(path.relative_to(self.data_folder))
                with self.database.transaction() as connection:
                    is_frozen = _is_frozen(connection, frozen)
                self._swap(path, frozen, traces) if is_frozen else _mask(path, traces)

    def _swap(self, path: Path, frozen: str, traces: Traces) -> None:
        """Put a masked copy in the place of a frozen audience, at one instant."""
        copy = _mask_copy(path, traces)
        target = path.with_name(f"{path.stem.partition('~')[0]}~{uuid4().hex[:8]}{path.suffix}")
        digest = hash_file(copy)
        copy.replace(target)
        with self.database.transaction() as connection:
            _update_audience(connection, frozen, str(target.relative_to(self.data_folder)), digest)
        path.unlink()

    def mask_lines(self, folder: Path, traces: Traces) -> None:
        """Mask the rows of files."""
        for path in self._find(folder, traces):
            _mask(path, traces)

    def mask_journals(self, folder: Path, traces: Traces) -> None:
        """Replace ids in journals that no execution needs any more."""
        for path in self._find(folder, traces) if self.is_last else ():
            mask_ids(path, traces)

    def blank_archives(self, folder: Path, traces: Traces) -> None:
        """Empty the contents that name the user; their hashes stay, and so does the chain."""
        for path in find_files(folder):
            self.going_on()
            text = gzip.decompress(path.read_bytes()).decode()
            if traces.mentions_user(text):
                header, *rows = csv.reader(io.StringIO(text))
                places = [header.index(name) for name in _CONTENTS]
                blanked = [_blank(row, places, traces) for row in rows]
                content = write_csv([header, *blanked]).encode()
                write_whole(path, gzip.compress(content, mtime=0))

    def tell_of_foreign(self, folder: Path, traces: Traces) -> None:
        """Say which files that are not ours name the user."""
        for path in self._find(folder, traces) if folder.name == "scripts" else ():
            name = path.relative_to(self.data_folder)
            self.notes.append(f"The file {name} names the user: change it yourself.")


_ERASE: Final[Mapping[Folder, Callable[[FileErasure, Path, Traces], None]]] = {
    Folder.DOCUMENTS: FileErasure.edit_documents,
    Folder.AUDIENCES: FileErasure.mask_audiences,
    Folder.UPLOADS: lambda *_: None,
    Folder.LINES: FileErasure.mask_lines,
    Folder.JOURNALS: FileErasure.mask_journals,
    Folder.ARCHIVES: FileErasure.blank_archives,
    Folder.FOREIGN: FileErasure.tell_of_foreign,
}


def _mask(path: Path, traces: Traces) -> None:
    """Mask the rows of a file; what cannot be read row by row goes as a whole."""
    with suppress(UnicodeError, FileNotFoundError):
        mask_rows(path, traces)
    if names_user(path, traces):
        path.unlink(missing_ok=True)


def _mask_copy(path: Path, traces: Traces) -> Path:
    copy = path.with_name(f"{uuid4().hex}{DRAFT_SUFFIX}{path.suffix}")
    shutil.copyfile(path, copy)
    mask_rows(copy, traces)
    return copy


def _blank(row: list[str], places: Collection[int], traces: Traces) -> list[str]:
    """Return a row of the audit log; its contents are empty if they name the user."""
    return [
        "" if place in places and traces.mentions_user(cell) else cell
        for place, cell in enumerate(row)
    ]


def _is_frozen(connection: Connection, file: str) -> bool:
    sql = "SELECT EXISTS (SELECT FROM execution_pushes WHERE audience_file = %s)"
    return bool(fetch_value(connection, sql, (file,)))


def _update_audience(connection: Connection, old: str, new: str, sha256: str) -> None:
    sql = """
        UPDATE execution_pushes SET audience_file = %(new)s, audience_hash = %(sha256)s
         WHERE audience_file = %(old)s
    """
    execute(connection, sql, {"old": old, "new": new, "sha256": sha256})


def _is_named(connection: Connection, sha256: str) -> bool:
    """Return whether an execution that has not ended needs an upload."""
    sql = """
        SELECT 1 FROM executions
         WHERE ended_at IS NULL AND snapshot #>> '{audienceCriteria,uploadedFile,sha256}' = %s
    """
    return bool(fetch_values(connection, sql, (sha256,)))

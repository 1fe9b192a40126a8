"""A folder of documents: one JSON file each, replaced as a whole, and checked by version."""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from stat import S_ISREG
from threading import Lock, local
from typing import Any, Final, NamedTuple

from marshmallow import ValidationError

from chassis.names import fold
from chassis.problems import flatten_messages
from push_blaster.adapters.automations.folder_watch import FolderWatch
from push_blaster.adapters.automations.json_files import locked, sync_folder, write_json

ID_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
#: No document is larger; a body of the API cannot be.
MAX_SIZE: Final = 32 * 1024 * 1024


class DocumentNotFoundError(Exception):
    """There is no document with this id."""


class DocumentExistsError(Exception):
    """The id is taken, by a document or by the system itself; case does not count."""


class BrokenDocumentError(Exception):
    """The file cannot be read as a document; it stays as it is until a person repairs it."""


class DocumentNotWrittenError(Exception):
    """The folder takes no file at present, for example because its disk is full."""


class StaleVersionError(Exception):
    """The document has changed since the version that the change is based on."""

    def __init__(self, document_id: str, sent: int, current: int) -> None:
        """Take the version that the change is based on, and the current version."""
        super().__init__(
            f"{document_id!r} is at version {current}, the change was made from "
            f"version {sent}. Read it again, and repeat the change."
        )


def next_version(
    old: Mapping[str, Any], sent: Mapping[str, Any], now: datetime
) -> Mapping[str, Any]:
    """Return `old`, in which the fields of `sent` replace those of the same name, even if empty.

    Shape: `id` and `createdAt` stay; a `version` in `sent` is what the change is based on.
    Raises: StaleVersionError.
    """
    version = sent.get("version", old["version"])
    if version != old["version"]:
        raise StaleVersionError(old["id"], version, old["version"])
    kept = {"id": old["id"], "createdAt": old.get("createdAt")}
    return {**old, **sent, **kept, "version": version + 1, "updatedAt": now.isoformat()}


@dataclass(frozen=True, slots=True)
class BrokenFile:
    """A file of the folder that cannot be read, and why."""

    name: str
    error: str


@dataclass(frozen=True, slots=True)
class Listing:
    """Every document of the folder, and every file that cannot be read."""

    documents: tuple[Mapping[str, Any], ...]
    broken: tuple[BrokenFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentKind:
    """What a folder holds.

    Shape: `complete` returns a document with its defaults, or raises marshmallow's ValidationError;
    files named in `others` lie in the folder and are none of its documents; no new document gets an
    id of `reserved`, which the system uses itself.
    """

    noun: str
    complete: Callable[[Any], Mapping[str, Any]]
    others: frozenset[str] = frozenset()
    reserved: re.Pattern[str] = re.compile("(?!)")


class _Stamp(NamedTuple):
    """What changes whenever a file is written."""

    modified_ns: int = 0
    size: int = 0
    inode: int = 0


@dataclass(frozen=True, slots=True)
class _KnownFile:
    stamp: _Stamp
    document: Mapping[str, Any] | None
    broken: BrokenFile | None


@dataclass(frozen=True, slots=True)
class DocumentChange:
    """A change of one document: `before` or `after` is None if there is none; `reason` says why.

    Shape: `place` is the folder and the id of the document.
    """

    place: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    reason: str | None = None

    @property
    def id(self) -> str:
        """Return the id of the document."""
        return self.place.partition("/")[2]


OnChange = Callable[[DocumentChange], None]


class DocumentFiles:
    """The documents of one folder. Callers must not change the documents that it returns."""

    def __init__(self, folder: Path, kind: DocumentKind) -> None:
        """Take the folder, which is created if it is missing, and the kind of its documents."""
        self.folder = folder
        self._kind = kind
        self._known: dict[str, _KnownFile] = {}
        self._listing = Listing((), ())
        self._watch = FolderWatch(folder)
        self._lock = Lock()
        self._held = local()
        #: Called after each change that this object has written.
        self.on_change: OnChange = lambda *_: None
        folder.mkdir(parents=True, exist_ok=True)

    def list_all(self) -> Listing:
        """Return every document by id, and every broken file; only changed files are read.

        While nothing changes, the listing and its documents are the same objects.
        """
        with self._lock:
            if self._watch.may_have_changed():
                self._look()
            return self._listing

    def load(self, document_id: str) -> Mapping[str, Any]:
        """Return one document; DocumentNotFoundError, BrokenDocumentError."""
        path = self._path(document_id)
        if not path.exists():
            raise self._missing(document_id)
        try:
            return self._read_document(path)
        except BrokenDocumentError:
            self._check_name(path, document_id)
            raise

    def create(self, document: Mapping[str, Any], reason: str | None = None) -> None:
        """Write a new document; DocumentExistsError if its id is taken."""
        document_id = document["id"]
        path = self._path(document_id)
        if self._kind.reserved.fullmatch(document_id):
            raise DocumentExistsError(
                f"id: {document_id!r} is a name that the system uses itself; choose another id."
            )
        with self._locked():
            for other in self.folder.iterdir():
                if fold(other.name) == fold(path.name):
                    raise DocumentExistsError(
                        f"There is a document {other.stem!r} already; choose another id."
                    )
            write_json(path, document)
        self._report(document_id, None, document, reason)

    def replace(
        self, document: Mapping[str, Any], expected_version: int, reason: str | None = None
    ) -> None:
        """Replace a document that is still at `expected_version`; else StaleVersionError."""
        with self._locked():
            before = self._check_version(document["id"], expected_version)
            write_json(self._path(document["id"]), document)
        self._report(document["id"], before, document, reason)

    def replace_broken(
        self, document: Mapping[str, Any], before: Mapping[str, Any], reason: str
    ) -> None:
        """Replace a file that cannot be read, and keep it under another name.

        Shape: `before` is the last document that could be read.
        Raises: StaleVersionError if somebody has repaired the file meanwhile.
        """
        path = self._path(document["id"])
        with self._locked():
            with suppress(BrokenDocumentError):
                repaired = self.load(document["id"])["version"]
                raise StaleVersionError(document["id"], before["version"], repaired)
            aside = _keep_aside(path)
            write_json(path, document)
        kept = f"{reason} What could not be read is kept as {aside.name}."
        self._report(document["id"], before, document, kept)

    def delete(self, document_id: str, expected_version: int | None = None) -> None:
        """Delete a document, if it is still at `expected_version` (None: at any version)."""
        before = None
        with self._locked():
            with suppress(BrokenDocumentError):
                before = self.load(document_id)
            if expected_version is not None:
                self._check_version(document_id, expected_version)
            path = self._path(document_id)
            self._check_name(path, document_id)
            path.unlink()
            sync_folder(self.folder)
        self._report(document_id, before, None)

    @contextmanager
    def reporting_last(self) -> Iterator[None]:
        """Report what this thread changes in the block when the block ends, even by an error.

        Whoever is told of a change may have to wait; what must take effect at once stands before.
        """
        if getattr(self._held, "changes", None) is not None:
            yield
            return
        changes = self._held.changes = list[DocumentChange]()
        try:
            yield
        finally:
            self._held.changes = None
            for change in changes:
                self.on_change(change)

    def _report(
        self,
        document_id: str,
        before: Mapping[str, Any] | None,
        after: Mapping[str, Any] | None,
        reason: str | None = None,
    ) -> None:
        place = f"{self.folder.name}/{document_id}"
        change = DocumentChange(place, before, after, reason)
        held = getattr(self._held, "changes", None)
        self.on_change(change) if held is None else held.append(change)

    def _check_version(self, document_id: str, expected: int) -> Mapping[str, Any]:
        document = self.load(document_id)
        if document["version"] != expected:
            raise StaleVersionError(document_id, expected, document["version"])
        return document

    def _path(self, document_id: str) -> Path:
        if not ID_PATTERN.fullmatch(document_id):
            raise self._missing(document_id)
        return self.folder / f"{document_id}.json"

    def _check_name(self, path: Path, document_id: str) -> None:
        """Refuse another document's file, found because the disk does not tell case apart."""
        if path.name not in {other.name for other in self.folder.iterdir()}:
            raise self._missing(document_id)

    def _missing(self, document_id: str) -> DocumentNotFoundError:
        return DocumentNotFoundError(f"There is no {self._kind.noun} {document_id!r}.")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes from writing between our read and our write."""
        try:
            with locked(self.folder):
                yield
        except OSError as error:
            raise DocumentNotWrittenError(
                f"The folder {self.folder.name}/ of the data folder (PUSH_DATA_DIR) cannot be "
                f"written ({error.strerror}). Make room on its disk, or make it writable for this "
                "service."
            ) from error

    def _look(self) -> None:
        with self._watch.looking():
            stamps = dict(self._stamps())
        found = {name: self._know(name, stamps[name]) for name in sorted(stamps)}
        if found == self._known:
            return
        self._known = found
        self._listing = Listing(
            documents=tuple(k.document for k in found.values() if k.document),
            broken=tuple(k.broken for k in found.values() if k.broken),
        )

    def _stamps(self) -> Iterator[tuple[str, _Stamp]]:
        """Yield each file's name and stamp."""
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name.endswith(".json") and entry.name not in self._kind.others:
                    with suppress(FileNotFoundError):
                        yield entry.name, _stamp(entry)

    def _know(self, name: str, stamp: _Stamp) -> _KnownFile:
        known = self._known.get(name)
        if known and known.stamp == stamp:
            return known
        try:
            return _KnownFile(stamp, self._read_document(self.folder / name), None)
        except BrokenDocumentError as error:
            return _KnownFile(stamp, None, BrokenFile(_encodable(name), _encodable(str(error))))

    def _read_document(self, path: Path) -> Mapping[str, Any]:
        try:
            document = self._kind.complete(json.loads(_read_text(path)))
        except ValidationError as error:
            reasons = "; ".join(flatten_messages(error.messages))
            raise BrokenDocumentError(f"{path.name}: {reasons}") from error
        except (OSError, ValueError, RecursionError) as error:
            raise BrokenDocumentError(f"{path.name} is no readable JSON: {error}") from error
        if f"{document['id']}.json" != path.name:
            raise BrokenDocumentError(f"{path.name} holds the id {document['id']!r}; rename it.")
        return document


def _keep_aside(path: Path) -> Path:
    """Keep what stands at a path under another name, too, or instead if it is no file."""
    names = (path.with_name(f"{path.name}.broken-{number}") for number in count(1))
    aside = next(name for name in names if not os.path.lexists(name))
    try:
        os.link(path, aside, follow_symlinks=False)
    except OSError:  # a folder, or a disk without such links
        path.rename(aside)
    return aside


def _encodable(text: str) -> str:
    """Return a text that can be written as UTF-8; the name of a file may hold other bytes."""
    return text.encode(errors="replace").decode()


def _read_text(path: Path) -> str:
    """Return the text of a regular file; a pipe or a device in its place would never end."""
    status = path.stat()
    if not S_ISREG(status.st_mode):
        raise ValueError("it is no regular file")
    if status.st_size > MAX_SIZE:
        raise ValueError(f"it is larger than {MAX_SIZE // 1024 // 1024} MB")
    return path.read_text(encoding="utf-8-sig")


def _stamp(entry: os.DirEntry[str]) -> _Stamp:
    """Return what changes whenever the file is written; zeros for a link that leads nowhere."""
    try:
        status = entry.stat()
    except FileNotFoundError:
        raise
    except OSError:
        return _Stamp()
    return _Stamp(status.st_mtime_ns, status.st_size, status.st_ino)

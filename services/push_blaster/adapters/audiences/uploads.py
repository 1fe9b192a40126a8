"""Uploaded audiences: CSV files, each stored under its own hash."""

import hashlib
import os
import tempfile
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import IO, Final

from chassis.csv_reader import CsvError
from push_blaster.adapters.audiences.audience_csv import open_audience
from push_blaster.adapters.audiences.script_files import ForeignFileError, open_plain, read_pieces
from push_blaster.adapters.automations.json_files import DRAFT_SUFFIX, sync_folder
from push_blaster.domain.automations.automation import Upload

FOLDER: Final = "uploads"
_PIECE: Final = 1024 * 1024


class UploadGoneError(Exception):
    """The file is missing, or has changed."""


def read_columns(file: IO[bytes], name: str) -> tuple[str, ...]:
    """Return the variables of an audience, after reading every row.

    Raises: CsvError if the file cannot be read to its end, or no row of it can be used.
    """
    audience = open_audience(file, name)
    first = next(audience.rows, None)
    if first is None:
        raise CsvError(f"{name} has a header and no row: the audience is empty.")
    usable = sum(row.problem is None for row in chain([first], audience.rows))
    if not usable:
        raise CsvError(f"No row of {name} can be used. Line {first.line}: {first.problem}")
    return audience.columns


def keep_upload(data_folder: Path, file: IO[bytes], name: str) -> Upload:
    """Store the file, completely or not at all; safe to repeat."""
    folder = data_folder / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(DRAFT_SUFFIX, dir=folder)
    digest = hashlib.sha256()
    file.seek(0)
    try:
        with os.fdopen(descriptor, "wb") as kept:
            while piece := file.read(_PIECE):
                digest.update(piece)
                kept.write(piece)
            kept.flush()
            os.fsync(kept.fileno())
        upload = Upload(name[:255], digest.hexdigest())
        Path(draft).replace(_path(data_folder, upload))
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    sync_folder(folder)
    return upload


def copy_upload(data_folder: Path, upload: Upload, target: Path) -> None:
    """Copy a stored file to `target`; UploadGoneError if it is missing or has changed."""
    try:
        owner = (data_folder / FOLDER).lstat().st_uid  # that of the web
        with open_plain(_path(data_folder, upload), owner) as kept, target.open("xb") as copy:
            digest = hashlib.sha256()
            for piece in read_pieces(kept):
                digest.update(piece)
                copy.write(piece)
    except (FileNotFoundError, ForeignFileError) as error:
        raise UploadGoneError(
            f"The uploaded file {upload.name!r} is no longer in the data folder "
            f"({error.strerror or error}); upload it again."
        ) from error
    if digest.hexdigest() != upload.sha256:
        raise UploadGoneError(
            f"The uploaded file {upload.name!r} is not what it was; upload it again."
        )


def read_stored_columns(data_folder: Path, upload: Upload) -> tuple[str, ...]:
    """Return the variables of a stored file, from its header; UploadGoneError, CsvError."""
    try:
        with _path(data_folder, upload).open("rb") as file:
            return open_audience(file, upload.name).columns
    except FileNotFoundError as error:
        raise UploadGoneError(
            f"The uploaded file {upload.name!r} is no longer in the data folder; upload it again."
        ) from error


def list_uploads(data_folder: Path, kept_before: datetime) -> list[Path]:
    """Return the files that were stored before then, and drafts of killed processes."""
    files = list((data_folder / FOLDER).glob("*"))
    return [file for file in files if file.lstat().st_mtime < kept_before.timestamp()]


def _path(data_folder: Path, upload: Upload) -> Path:
    return data_folder / FOLDER / f"{upload.sha256}.csv"

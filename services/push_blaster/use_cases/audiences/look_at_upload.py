"""Look at an uploaded CSV before anything begins: its rows, refused rows, and first users."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Final
from uuid import UUID

from push_blaster.adapters.audiences.audience_csv import CsvRow, open_audience
from push_blaster.adapters.audiences.duplicate_finder import DuplicateFinder

#: How many refused rows are listed, and how many users are shown.
LISTED: Final = 50
SHOWN: Final = 5


@dataclass(slots=True)
class UploadLook:
    """What an uploaded CSV holds; counts of rows.

    Shape: `form` says in which encoding the file is written and what separates its cells; `refused`
    are lines with their reasons, and `first` the variables of the first users by their ids.
    `repeated` rows are of users who have an earlier row, which is the one that counts.
    """

    name: str
    form: str
    note: str
    columns: tuple[str, ...]
    rows: int = 0
    bad: int = 0
    repeated: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list)
    first: dict[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def valid(self) -> int:
        """How many users the push would be meant for."""
        return self.rows - self.bad - self.repeated


def look_at_upload(file: IO[bytes], name: str) -> UploadLook:
    """Read every row of an audience, in constant memory; CsvError."""
    audience = open_audience(file, name)
    found = UploadLook(name, audience.form, audience.note, audience.columns)
    with TemporaryDirectory() as folder:
        users = DuplicateFinder(Path(folder) / "users")
        try:
            for row in audience.rows:
                found.rows += 1
                if row.problem:
                    _note_bad(found, row)
                else:
                    users.add(UUID(row.user_id).bytes, row.line)
                    if len(found.first) < SHOWN:
                        found.first.setdefault(row.user_id, row.variables)
            repeats: Sequence[int] = users.find_repeats()["line"].tolist()
        finally:
            users.close()
    found.repeated = len(repeats)
    lines = ((line, "repeats the user of an earlier line") for line in repeats[:LISTED])
    found.refused = sorted([*found.refused, *lines])[:LISTED]
    return found


def _note_bad(found: UploadLook, row: CsvRow) -> None:
    found.bad += 1
    if len(found.refused) < LISTED:
        found.refused.append((row.line, _describe(row.problem or "")))


def _describe(problem: str) -> str:
    """Return the reason of a bad row in words."""
    kind, _, detail = problem.partition(": ")
    reasons = {
        "missing_id": "has no user id",
        "invalid_uuid": f"{detail} is no user id (a UUID)",
        "bad_row": f"does not fit the header: {detail}",
    }
    return reasons.get(kind, problem)

"""Frozen audiences: written once for an execution, with a hash, and read by test and live send.

A line is `{"userId": …, "variables": {…}}`; a batch is a run of lines from a byte offset on.
"""

import errno
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import numpy as np
import orjson
from numpy.typing import NDArray

from push_blaster.adapters.audiences.audience_csv import AudienceCsv, open_audience
from push_blaster.adapters.audiences.duplicate_finder import DuplicateFinder
from push_blaster.adapters.audiences.progress import OnProgress, counted, ignore_progress
from push_blaster.adapters.audiences.script_files import open_plain
from push_blaster.domain.audiences.audience import AudienceRow, Batch
from push_blaster.domain.audiences.preparation import Stage
from push_blaster.domain.number_words import number_of

#: Bytes that are looked through for the ends of lines at once.
PIECE: Final = 4 * 1024 * 1024
#: How many bad rows are stored.
BAD_ROWS_SHOWN: Final = 20
#: Audiences up to this size are compared completely, larger ones by a sample.
OVERLAP_BYTES: Final = 20_000_000
#: Errors of an engine that is short of something; they say nothing about a file.
_PASSING: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


class AudienceTooLargeError(Exception):
    """The audience has more users than are allowed."""


class EmptyAudienceError(Exception):
    """The audience has no usable row."""


@dataclass(frozen=True, slots=True)
class FrozenAudience:
    """The result of freezing a CSV: counts of rows, and a note for people."""

    sha256: str
    columns: tuple[str, ...]
    generated: int
    valid: int
    distinct: int
    bad_rows: tuple[Mapping[str, object], ...]
    note: str = ""


@dataclass(slots=True)
class _Counts:
    on_progress: OnProgress
    generated: int = 0
    valid: int = 0
    repeats: int = 0
    looked_at: int = 0
    bad_rows: list[Mapping[str, object]] = field(default_factory=list)

    @property
    def distinct(self) -> int:
        return self.valid - self.repeats


def freeze_audience(
    csv_path: Path, target: Path, max_size: int, on_progress: OnProgress = ignore_progress
) -> FrozenAudience:
    """Write the distinct users of the CSV to `target`, completely or not at all.

    The first row of a user wins. Raises: CsvError, AudienceTooLargeError,
    EmptyAudienceError; then there is no `target`.
    """
    counts = _Counts(on_progress)
    draft = target.with_suffix(".draft")
    try:
        audience = _write_draft(csv_path, draft, counts, max_size)
        sha256 = hash_file(draft)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return FrozenAudience(
        sha256=sha256,
        columns=audience.columns,
        generated=counts.generated,
        valid=counts.valid,
        distinct=counts.distinct,
        bad_rows=tuple(counts.bad_rows),
        note=audience.note,
    )


def freeze_rows(
    rows: Sequence[AudienceRow], target: Path, columns: tuple[str, ...]
) -> FrozenAudience:
    """Write `rows` to `target`, one for each user; EmptyAudienceError if there is none."""
    if not rows:
        raise EmptyAudienceError("There are no test users: name some (settings.testUserIds).")
    users = {row.user_id: row.variables for row in rows}
    content = b"".join(_line(str(user_id), variables) for user_id, variables in users.items())
    target.write_bytes(content)
    return FrozenAudience(
        sha256=hashlib.sha256(content).hexdigest(),
        columns=columns,
        generated=len(rows),
        valid=len(rows),
        distinct=len(users),
        bad_rows=(),
    )


def _write_draft(csv_path: Path, draft: Path, counts: _Counts, max_size: int) -> AudienceCsv:
    duplicates = DuplicateFinder(draft.with_suffix(".users"))
    try:
        with open_plain(csv_path) as file, draft.open("wb") as frozen:
            audience = open_audience(file, csv_path.name)
            for line in _valid_lines(audience, counts, duplicates):
                frozen.write(line)
                _check_size(counts, duplicates, max_size, csv_path.name)
            _check_not_empty(counts, csv_path.name)
            frozen.flush()
            os.fsync(frozen.fileno())
        _drop_repeats(draft, counts, duplicates.find_repeats())
        _refuse_too_many(counts, max_size, csv_path.name)
    finally:
        duplicates.close()
    return audience


def _drop_repeats(draft: Path, counts: _Counts, repeats: NDArray[Any]) -> None:
    """Leave out repeated users; the first row of a user counts."""
    counts.repeats = len(repeats)
    if not len(repeats):
        return
    is_repeat = np.zeros(counts.valid, dtype=bool)
    is_repeat[repeats["place"].astype(np.int64)] = True
    csv_lines = iter(repeats["line"].tolist())
    thinned = draft.with_suffix(".thinned")
    with draft.open("rb") as file, thinned.open("wb") as kept:
        for line, is_left_out in zip(file, is_repeat, strict=True):
            if is_left_out:
                user_id = _read_line(line).user_id
                _keep_bad(counts, next(csv_lines), f"duplicate: {user_id}")
            else:
                kept.write(line)
        kept.flush()
        os.fsync(kept.fileno())
    counts.bad_rows.sort(key=lambda bad: int(str(bad["line"])))
    thinned.replace(draft)


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(path: Path, sha256: str) -> bool:
    """Return whether the frozen audience exists and is unchanged; OSError in a shortage."""
    try:
        return hash_file(path) == sha256
    except OSError as error:
        if error.errno in _PASSING:  # the file may be whole
            raise
        return False


def index_batches(path: Path, size: int) -> list[Batch]:
    """Return the batches of the frozen audience, of at most `size` rows."""
    starts, rows, offset = [0], 0, 0
    with path.open("rb") as file:
        while piece := file.read(PIECE):  # numpy leaves the interpreter to others meanwhile
            ends = np.flatnonzero(np.frombuffer(piece, np.uint8) == ord("\n")) + 1 + offset
            starts += ends[size - 1 - rows % size :: size].tolist()
            rows, offset = rows + len(ends), offset + len(piece)
    return [
        Batch(number, start, min(size, rows - number * size))
        for number, start in enumerate(starts)
        if number * size < rows
    ]


def measure_overlap(on_progress: OnProgress, path: Path, other: Path) -> float:
    """Return the share of the users of `path` who are also in `other`; from 0 to 1.

    Large audiences are compared by a sample of user ids, the same in both.
    """
    largest = max(file.stat().st_size for file in (path, other))
    one_in = 1 + largest // OVERLAP_BYTES
    users, others = (_sample_users(on_progress, file, one_in) for file in (path, other))
    return len(users & others) / len(users) if users else 1.0


def _sample_users(on_progress: OnProgress, path: Path, one_in: int) -> set[UUID]:
    users = (row.user_id for row in counted(read_rows(path), Stage.COMPARING, on_progress))
    return {user for user in users if user.int % one_in == 0}


def read_users(path: Path, size: int) -> Iterator[list[UUID]]:
    """Yield the users of the frozen audience, at most `size` at a time."""
    with path.open("rb") as file:
        while lines := list(islice(file, size)):
            yield [_read_line(line).user_id for line in lines]


def read_rows(path: Path) -> Iterator[AudienceRow]:
    """Yield every row of the frozen audience."""
    with path.open("rb") as file:
        yield from map(_read_line, file)


def read_batch(path: Path, offset: int, rows: int) -> list[AudienceRow]:
    """Return at most `rows` rows from the byte `offset` on."""
    with path.open("rb") as file:
        file.seek(offset)
        lines = [line for _, line in zip(range(rows), file, strict=False)]
    return [_read_line(line) for line in lines]


def find_row(path: Path, offset: int, rows: int, user_id: UUID) -> AudienceRow | None:
    """Return the row of a user among `rows` rows from the byte `offset` on; None if none is there.

    A file that is gone has no rows.
    """
    begin = orjson.dumps({"userId": str(user_id)})[:-1]
    try:
        with path.open("rb") as file:
            file.seek(offset)
            own = (line for line in islice(file, rows) if line.startswith(begin))
            return next(map(_read_line, own), None)
    except FileNotFoundError:
        return None


def _read_line(line: bytes) -> AudienceRow:
    row = orjson.loads(line)
    return AudienceRow(UUID(row["userId"]), row["variables"])


def _valid_lines(
    audience: AudienceCsv, counts: _Counts, duplicates: DuplicateFinder
) -> Iterator[bytes]:
    for row in counted(audience.rows, Stage.FREEZING, counts.on_progress):
        counts.generated += 1
        if row.problem:
            _keep_bad(counts, row.line, row.problem)
            continue
        counts.valid += 1
        duplicates.add(UUID(row.user_id).bytes, row.line)
        yield _line(row.user_id, row.variables)


def _line(user_id: str, variables: Mapping[str, str]) -> bytes:
    return orjson.dumps({"userId": user_id, "variables": variables}) + b"\n"


def _keep_bad(counts: _Counts, line: int, problem: str) -> None:
    if len(counts.bad_rows) < BAD_ROWS_SHOWN:
        counts.bad_rows.append({"line": line, "problem": problem})


def _check_size(counts: _Counts, duplicates: DuplicateFinder, max_size: int, name: str) -> None:
    """Raise AudienceTooLargeError soon after there are too many users."""
    if counts.valid <= max(max_size, counts.looked_at * 1.1):
        return
    counts.looked_at = counts.valid
    counts.repeats = len(duplicates.find_repeats())
    _refuse_too_many(counts, max_size, name)


def _refuse_too_many(counts: _Counts, max_size: int, name: str) -> None:
    if counts.distinct > max_size:
        raise AudienceTooLargeError(
            f"{name} has more than the {number_of(max_size, 'user')} allowed. Narrow the "
            "script's audience, or raise the maximum audience size of the "
            "automation and of all (PUSH_MAX_AUDIENCE_SIZE)."
        )


def _check_not_empty(counts: _Counts, name: str) -> None:
    if counts.valid:
        return
    if not counts.generated:
        raise EmptyAudienceError(f"{name} has a header and no row: the audience is empty.")
    first = "; ".join(f"line {bad['line']}: {bad['problem']}" for bad in counts.bad_rows[:5])
    raise EmptyAudienceError(
        f"None of the {number_of(counts.generated, 'row')} of {name} is usable. {first}"
    )

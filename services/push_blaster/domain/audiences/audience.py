"""Audiences: the names of a script's CSV files, and the file of each push."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple
from uuid import UUID

from chassis.names import write_plain

#: Columns of an audience with the address and the time zone of a row's user.
TOKEN_COLUMN: Final = "device_token"  # noqa: S105 - a column's name
KIND_COLUMN: Final = "device_kind"
KEYS_COLUMN: Final = "device_keys"
ZONE_COLUMN: Final = "timezone"
LANGUAGE_COLUMN: Final = "language"
_TIME_STAMP: Final = re.compile(r"_?\d{8}_?(t?\d{6}z?)?$")
_TEST_MARK: Final = re.compile(r"(^|_)test(_|$)")


class AudienceBindingError(Exception):
    """The audience of a push is missing or ambiguous among the files that the script wrote."""


@dataclass(frozen=True, slots=True)
class AudienceFile:
    """A CSV that a script wrote: its file name, its audience, and whether it is TEST."""

    file_name: str
    audience: str
    is_test: bool


def read_file_name(file_name: str) -> AudienceFile:
    """Read a file name: `recent-buyers_TEST_20250818_120000.csv` is recent_buyers, TEST.

    Time stamps at the end and the mark TEST, as a word of its own, are not part of the audience.
    """
    name = normalise(re.sub(r"\.csv$", "", file_name, flags=re.IGNORECASE))
    name = _TIME_STAMP.sub("", name)
    is_test = bool(_TEST_MARK.search(name))
    audience = _TEST_MARK.sub("_", name).strip("_") if is_test else name.strip("_")
    return AudienceFile(file_name, audience, is_test)


def normalise(name: str) -> str:
    """Return the letters and digits of `name`, whatever their case, with underscores between."""
    return re.sub("_+", "_", write_plain(name))


def bind_audience(
    wanted: str, files: Sequence[AudienceFile], *, is_test: bool = False
) -> AudienceFile:
    """Return the file of the audience `wanted`; `default` is the only audience of the script.

    Raises: AudienceBindingError, which lists what was found.
    """
    candidates = find_audiences(wanted, [file for file in files if file.is_test == is_test])
    if len(candidates) == 1:
        return candidates[0]
    found = ", ".join(sorted(file.file_name for file in files)) or "no CSV file at all"
    if not candidates:
        raise AudienceBindingError(
            f"The audience {wanted!r} was not written by this run of the script. "
            f"It wrote: {found}. Choose one of these as the push's audience."
        )
    several = ", ".join(sorted(file.file_name for file in candidates))
    raise AudienceBindingError(
        f"The audience {wanted!r} is ambiguous: {several}. "
        "Let the script write one file for each audience, and choose it as the push's audience."
    )


def find_audiences(wanted: str, files: Sequence[AudienceFile]) -> Sequence[AudienceFile]:
    """Return the files that may be the audience `wanted`; all files may be `default`."""
    name = normalise(wanted).strip("_")
    if name in {"", "default"}:
        return files
    named = [file for file in files if file.audience == name]
    return named or [file for file in files if _former_name(file) == name]


def _former_name(file: AudienceFile) -> str:
    """Return the audience's name in version 0.1.0, which kept only the letters from a to z."""
    return re.sub(r"[^a-z0-9]+", "_", file.audience).strip("_")


class AudienceRow(NamedTuple):
    """One user of an audience, with the variables for this user's message."""

    user_id: UUID
    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Batch:
    """`rows` lines from the byte `offset` on."""

    number: int
    offset: int
    rows: int


_UUID: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE
)


def is_user_id(text: str) -> bool:
    """Return whether `text` is a user id as files and clients write it: a UUID with hyphens."""
    return _UUID.fullmatch(text) is not None


def read_user_ids(texts: Iterable[str]) -> tuple[list[UUID], list[str]]:
    """Return the distinct user ids among `texts`, and the other texts."""
    users: dict[UUID, None] = {}
    others: list[str] = []
    for text in texts:
        try:
            users[UUID(text)] = None
        except ValueError:
            others.append(text)
    return list(users), others

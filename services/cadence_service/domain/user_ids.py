"""User ids by the million: 16 bytes each, in ascending order, without an object for each."""

import re
from binascii import unhexlify
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

#: Bytes of an id, and characters of its text.
ID_SIZE: Final = 16
TEXT_SIZE: Final = 36
#: In how many parts a large audience is worked on at once, each on a connection of its own.
LANES: Final = 2
_UUID: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII
)


def is_user_id(text: str) -> bool:
    """Return whether `text` is a user id: a UUID with hyphens."""
    return _UUID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, eq=False)
class UserIds:
    """Distinct users in ascending order.

    Shape: `keys` is n rows of 16 bytes; `positions` has the first position of each id in the list
    that was read.
    """

    keys: NDArray[np.uint8]
    positions: NDArray[np.int64]

    def __len__(self) -> int:
        """Return how many users there are."""
        return len(self.keys)

    def __iter__(self) -> Iterator[UUID]:
        """Yield an object for each user; only for a few users."""
        return map(self.uuid, range(len(self)))

    def uuid(self, index: int) -> UUID:
        """Return one user as an object."""
        return UUID(bytes=self.keys[index].tobytes())

    def __getitem__(self, chosen: slice | NDArray[Any]) -> "UserIds":
        """Return the users of a range, of a mask, or of indices in ascending order."""
        return UserIds(self.keys[chosen], self.positions[chosen])

    def find(self, others: "UserIds") -> NDArray[np.int64]:
        """Return the index of each of `others` in this order; all of them are among these users."""
        return np.searchsorted(self.scalars, others.scalars).astype(np.int64)

    @property
    def scalars(self) -> NDArray[np.bytes_]:
        """Each id as one value, ordered as its bytes are."""
        return np.ascontiguousarray(self.keys).view(f"S{ID_SIZE}").ravel()

    @property
    def spread(self) -> float:
        """The share of all possible ids between the first and the last of these."""
        if not len(self):
            return 0.0
        heads = self.keys[[0, -1], :8].copy().view(">u8").ravel()
        return float(heads[1] - heads[0]) / 2.0**64


@dataclass(frozen=True, slots=True, eq=False)
class AskedIds:
    """The users that a caller asks about.

    Shape: `count` is the number of ids, with repeated ones; `texts` is the list in the spelling of
    the caller, or empty if the ids came as bytes; `invalid` has the distinct texts that are no
    UUID.
    """

    users: UserIds
    count: int
    texts: Sequence[str] = ()
    invalid: Collection[str] = ()

    def find_repeated(self) -> NDArray[np.int64]:
        """Return the positions of ids that stand earlier in the list, too."""
        is_repeated = np.ones(self.count, dtype=bool)
        is_repeated[self.users.positions] = False
        return np.flatnonzero(is_repeated)


def read_texts(texts: Sequence[str]) -> AskedIds:
    """Return the distinct ids of `texts`: well-formed UUIDs in any case."""
    keys = _read_at_once(texts)
    if keys is not None:
        return AskedIds(_sort(keys, np.arange(len(keys))), len(texts), texts)
    places = [place for place, text in enumerate(texts) if _UUID.fullmatch(text)]
    valid = [texts[place] for place in places]
    keys = np.frombuffer(unhexlify("".join(valid).replace("-", "")), np.uint8)
    users = _sort(keys.reshape(-1, ID_SIZE), np.array(places, dtype=np.int64))
    return AskedIds(users, len(texts), texts, set(texts).difference(valid))


def read_bytes(raw: bytes) -> AskedIds:
    """Return the distinct ids of 16-byte ids in a row; ValueError if the last one is cut off."""
    if len(raw) % ID_SIZE:
        raise ValueError(f"{len(raw)} bytes are no whole number of 16-byte ids.")
    keys = np.frombuffer(raw, dtype=np.uint8).reshape(-1, ID_SIZE)
    return AskedIds(_sort(keys, np.arange(len(keys))), len(keys))


def read_uuids(uuids: Iterable[UUID]) -> UserIds:
    """Return the distinct ids of `uuids`."""
    return read_bytes(b"".join(uuid.bytes for uuid in uuids)).users


def without(users: UserIds, others: UserIds | None) -> UserIds:
    """Return the `users` who are not among `others`."""
    if others is None or not len(others):
        return users
    return users[~np.isin(users.scalars, others.scalars)]


def _read_at_once(texts: Sequence[str]) -> NDArray[np.uint8] | None:
    """Return 16 bytes for each text, or None if a text is no UUID; all are read as one text."""
    if set(map(len, texts)) != {TEXT_SIZE}:
        return None
    joined = "".join(texts)
    if any(joined[place::TEXT_SIZE] != "-" * len(texts) for place in (8, 13, 18, 23)):
        return None
    try:
        raw = unhexlify(joined.replace("-", ""))
    except ValueError:
        return None
    # A dash out of its place leaves too few digits.
    is_whole = len(raw) == ID_SIZE * len(texts)
    return np.frombuffer(raw, dtype=np.uint8).reshape(-1, ID_SIZE) if is_whole else None


def _sort(keys: NDArray[np.uint8], positions: NDArray[np.int64]) -> UserIds:
    """Return the distinct ids in order, each with its first position."""
    halves = np.ascontiguousarray(keys).view(">u8").astype(np.uint64)
    order = np.argsort(halves[:, 0])
    heads = halves[order, 0]
    if (heads[1:] == heads[:-1]).any():
        order = np.lexsort((halves[:, 1], halves[:, 0]))
        is_first = np.ones(len(order), dtype=bool)
        is_first[1:] = (halves[order[1:]] != halves[order[:-1]]).any(axis=1)
        order = order[is_first]
    return UserIds(keys[order], positions[order])

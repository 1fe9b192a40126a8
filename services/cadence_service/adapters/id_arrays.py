"""User ids to PostgreSQL and back, in its binary form."""

from typing import Any, Final

import numpy as np
import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

from cadence_service.domain.user_ids import ID_SIZE, UserIds, read_bytes

_UUID_OID: Final = 2950
_UUID_ARRAY_OID: Final = 2951


class UserIdsDumper(Dumper):
    """Sends UserIds as a `uuid[]`."""

    format = Format.BINARY
    oid = _UUID_ARRAY_OID

    def dump(self, obj: Any) -> bytes:
        """Return the array as PostgreSQL's array_recv reads it."""
        users: UserIds = obj
        # One dimension, no NULLs, of uuid, so many, counted from 1; then each with its length.
        head = np.array([1, 0, _UUID_OID, len(users), 1], dtype=">i4")
        cells = np.empty((len(users), 4 + ID_SIZE), dtype=np.uint8)
        cells[:, :4] = (0, 0, 0, ID_SIZE)
        cells[:, 4:] = users.keys
        return head.tobytes() + cells.tobytes()


psycopg.adapters.register_dumper(UserIds, UserIdsDumper)


def read_sent_ids(raw: bytes | None) -> UserIds:
    """Return the ids of `string_agg(uuid_send(…), '')`; none for NULL."""
    return read_bytes(raw or b"").users

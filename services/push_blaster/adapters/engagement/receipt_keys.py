"""The table `receipt_keys`: the keys of receipts, which every process shares."""

from datetime import datetime, timedelta
from secrets import token_bytes
from typing import Final

from chassis.postgres import Connection
from chassis.rows import execute, fetch_all
from push_blaster.domain.engagement.receipt import ReceiptKeys

#: How many numbers there are; the oldest number is given again.
NUMBERS: Final = 256
#: How long an event may come after its message: a month, and the time that a provider keeps it.
KEPT: Final = timedelta(days=60)


def select_receipt_keys(connection: Connection, now: datetime) -> ReceiptKeys:
    """Return the keys; the first process that asks makes the first key."""
    found = _select(connection)
    if found is None:
        _insert(connection, 0, now)
        found = _select(connection)
    if found is None:
        raise RuntimeError("The table receipt_keys has no key, although one was inserted.")
    return found


def rotate_receipt_keys(
    connection: Connection, now: datetime, *, forget_earlier: bool = False
) -> int:
    """Make a new key for new receipts; return its number.

    Receipts of the keys before stay valid until no event may come for them any more; then their
    keys are forgotten. With `forget_earlier` they are forgotten at once.
    Raises: TooManyKeysError, if there is no free number.
    """
    execute(connection, "LOCK TABLE receipt_keys IN SHARE ROW EXCLUSIVE MODE")
    _delete_earlier(connection, None if forget_earlier else now - KEPT)
    keys = _select(connection) or ReceiptKeys({}, -1)
    # The number of a key that was forgotten is given again as late as possible.
    following = ((keys.current + step) % NUMBERS for step in range(1, NUMBERS + 1))
    number = next((one for one in following if one not in keys.keys), None)
    if number is None:
        raise TooManyKeysError(f"All {NUMBERS} keys are younger than {KEPT.days} days.")
    _insert(connection, number, now)
    if forget_earlier:
        _delete_earlier(connection, None)
    return number


class TooManyKeysError(Exception):
    """The keys were rotated so often that no number is free."""


def _select(connection: Connection) -> ReceiptKeys | None:
    rows = fetch_all(connection, "SELECT number, key FROM receipt_keys ORDER BY made_at, number")
    return ReceiptKeys({number: bytes(key) for number, key in rows}, rows[-1][0]) if rows else None


def _delete_earlier(connection: Connection, before: datetime | None) -> None:
    """Delete the keys that were replaced before then, or all but the newest one.

    A key was in use until the next one was made.
    """
    sql = """
        DELETE FROM receipt_keys k
         WHERE EXISTS (SELECT FROM receipt_keys n
                        WHERE n.made_at > k.made_at
                          AND (%(before)s::timestamptz IS NULL OR n.made_at < %(before)s))
    """
    execute(connection, sql, {"before": before})


def _insert(connection: Connection, number: int, now: datetime) -> None:
    """Insert a key that is newer than all others, also after the clock was set back."""
    sql = """
        INSERT INTO receipt_keys (number, key, made_at)
        SELECT %s, %s, greatest(%s, max(made_at) + interval '1 microsecond') FROM receipt_keys
            ON CONFLICT DO NOTHING
    """
    execute(connection, sql, (number, token_bytes(32), now))

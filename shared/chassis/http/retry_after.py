"""The header `Retry-After` of a peer: how long the peer asks us to wait."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

#: The longest wait; a message is given up long before it ends.
MAX_PAUSE_S: Final = 86_400.0
_SECONDS: Final = re.compile(r"[0-9]{1,19}")


def read_retry_after(value: str, now: datetime) -> float | None:
    """Return the seconds that `Retry-After` asks for, as a number or a date; None if it does not.

    Units: at most a day. This function never raises, whatever the peer wrote.
    """
    text = value.strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), MAX_PAUSE_S)
    try:
        date = parsedate_to_datetime(text)
        pause = (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds()
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
    return min(max(pause, 0.0), MAX_PAUSE_S)

"""Read receipts with the keys of the database, which each process keeps in memory."""

import math
import time
from collections.abc import Mapping
from threading import Lock
from typing import Final

from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.adapters.engagement.receipt_keys import select_receipt_keys
from push_blaster.domain.engagement.event import Refusal, ReportRefusedError
from push_blaster.domain.engagement.receipt import Fault, Receipt, ReceiptError, ReceiptKeys

#: How often a process looks for new keys when it cannot prove a receipt.
LOOK_AGAIN_S: Final = 1.0
#: For how long a process believes that the keys it knows still hold.
KNOWN_FOR_S: Final = 5.0
_REFUSALS: Final[Mapping[Fault, tuple[Refusal, str]]] = {
    Fault.MALFORMED: (Refusal.MALFORMED, "receipt: Send the whole text of the message's data."),
    Fault.UNKNOWN_KEY: (Refusal.UNKNOWN_KEY, "receipt: The key that made it is not known here."),
    Fault.FORGED: (Refusal.FORGED, "receipt: This installation did not make it."),
}


class ReceiptReader:
    """Reads receipts; safe to use from several threads."""

    def __init__(
        self,
        database: Database,
        look_again_s: float = LOOK_AGAIN_S,
        known_for_s: float = KNOWN_FOR_S,
    ) -> None:
        """Take the database that has the keys, and how soon it is asked for them again."""
        self._database = database
        self._rests_s = look_again_s
        self._known_for_s = known_for_s
        self._keys = ReceiptKeys({}, 0)
        self._looked_at = -math.inf
        self._lock = Lock()

    def __call__(self, text: str) -> Receipt:
        """Return the message that a receipt stands for. Raises: ReportRefusedError."""
        try:
            return self._verify(text)
        except ReceiptError as error:
            raise ReportRefusedError(*_REFUSALS[error.fault]) from error

    def _verify(self, text: str) -> Receipt:
        self._look_again(self._known_for_s)
        try:
            return self._keys.read(text)
        except ReceiptError as error:
            if error.fault is Fault.MALFORMED:
                raise
        self._look_again(self._rests_s)
        return self._keys.read(text)

    def _look_again(self, after_s: float) -> None:
        """Read the keys of the database if they were read longer ago than that."""
        if time.monotonic() - self._looked_at < after_s:
            return
        with self._lock:
            now = time.monotonic()
            if now - self._looked_at >= after_s:
                with self._database.transaction() as connection:
                    self._keys = select_receipt_keys(connection, utc_now())
                self._looked_at = now

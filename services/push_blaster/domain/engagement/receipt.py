"""Receipts: what every message carries, so that an app can report what became of the message.

Whoever has a receipt proves that we sent this message to this user. A receipt opens nothing else.
"""

import binascii
import hashlib
import hmac
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from struct import Struct
from typing import Final
from uuid import UUID

from push_blaster.domain.base64url import write_base64url

#: Version and flags, number of the key, execution, position, place of the variant; then the user.
_HEAD: Final = Struct(">BBQHB")
_USER: Final = 16
_PROOF: Final = 16
#: Of SHA-256. A key is not longer.
_BLOCK: Final = 64
_SIZE: Final = _HEAD.size + _USER + _PROOF
#: Units: characters.
RECEIPT_LENGTH: Final = 4 * _SIZE // 3
_VERSION: Final = 1 << 4
_IS_TEST: Final = 1
_IS_DRY_RUN: Final = 2


class Fault(StrEnum):
    """Why a text is no receipt of ours."""

    MALFORMED = "malformed"
    UNKNOWN_KEY = "unknown key"
    FORGED = "forged"


class ReceiptError(Exception):
    """The text is no receipt of ours; `fault` says why."""

    def __init__(self, fault: Fault) -> None:
        """Take the fault."""
        super().__init__(f"The receipt is not ours: {fault}.")
        self.fault = fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The message that a receipt stands for.

    Shape: `execution_number` is that of the execution; `position` 1 is the first push of the
    sequence; `variant` is the place of the variant, from 1, and 0 is none. Receipts of tests and
    dry runs say so, for they never count in results.
    """

    execution_number: int
    position: int
    variant: int
    user_id: UUID
    is_test: bool = False
    is_dry_run: bool = False

    @property
    def counts(self) -> bool:
        """Whether the message counts in results."""
        return not (self.is_test or self.is_dry_run)


@dataclass(frozen=True, slots=True)
class ReceiptKeys:
    """The keys of receipts by their number; `current` is the number of the key of new receipts."""

    keys: Mapping[int, bytes]
    current: int

    def writer(
        self, execution_number: int, position: int, *, is_test: bool, is_dry_run: bool
    ) -> Callable[[UUID, int], str]:
        """Return what writes the receipts of a push: by the user and the place of the variant.

        Shape: a receipt has 60 characters of base64url.
        """
        flags = _VERSION | _IS_TEST * is_test | _IS_DRY_RUN * is_dry_run
        number = self.current
        inner, outer = _keyed_hashes(self.keys[number])

        @cache
        def head(variant: int) -> bytes:
            return _HEAD.pack(flags, number, execution_number, position, variant)

        def write(user_id: UUID, variant: int) -> str:
            claims = head(variant) + user_id.bytes
            (of_claims := inner.copy()).update(claims)
            (proof := outer.copy()).update(of_claims.digest())
            return write_base64url(claims + proof.digest()[:_PROOF])

        return write

    def read(self, text: str) -> Receipt:
        """Return the message that a receipt stands for; ReceiptError if the receipt is not ours."""
        content = _decode(text)
        claims, proof = content[:-_PROOF], content[-_PROOF:]
        flags, number, execution_number, position, variant = _HEAD.unpack_from(claims)
        key = self.keys.get(number)
        if flags & ~(_IS_TEST | _IS_DRY_RUN) != _VERSION:
            raise ReceiptError(Fault.MALFORMED)
        if key is None:
            raise ReceiptError(Fault.UNKNOWN_KEY)
        if not hmac.compare_digest(hmac.digest(key, claims, "sha256")[:_PROOF], proof):
            raise ReceiptError(Fault.FORGED)
        return Receipt(
            execution_number=execution_number,
            position=position,
            variant=variant,
            user_id=UUID(bytes=claims[_HEAD.size :]),
            is_test=bool(flags & _IS_TEST),
            is_dry_run=bool(flags & _IS_DRY_RUN),
        )


def _keyed_hashes(key: bytes) -> tuple["hashlib._Hash", "hashlib._Hash"]:
    """Return the inner and the outer hash of HMAC-SHA256, which have taken the key.

    Copies of them cost a send a third of what `hmac` costs, which takes the key for each message.
    """
    block = key.ljust(_BLOCK, b"\0")
    inner, outer = (bytes(byte ^ pad for byte in block) for pad in (0x36, 0x5C))
    return hashlib.sha256(inner), hashlib.sha256(outer)


def _decode(text: str) -> bytes:
    """Return the bytes of a receipt; of the texts that could stand for them, only one is right."""
    if len(text) != RECEIPT_LENGTH or not text.isascii():
        raise ReceiptError(Fault.MALFORMED)
    try:
        content = urlsafe_b64decode(text)
    except binascii.Error as error:
        raise ReceiptError(Fault.MALFORMED) from error
    if write_base64url(content) != text:
        raise ReceiptError(Fault.MALFORMED)
    return content

"""Texts of base64url."""

import base64
import hashlib

from push_blaster.domain.base64url import write_base64url


def test_bytes_are_written_as_the_standard_library_writes_them() -> None:
    contents = [hashlib.sha256(bytes([n])).digest()[:n] for n in range(33)]

    assert [write_base64url(one) for one in contents] == [
        base64.urlsafe_b64encode(one).decode() for one in contents
    ]

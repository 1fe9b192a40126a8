"""The token that proves that a form came from one of our own pages."""

from typing import Final

from flask import session

#: Methods that change nothing, and need no such token.
READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
CSRF_FIELD: Final = "csrf_token"


def csrf_token() -> str:
    """Return the token that this session's forms contain, so that no other site can send them."""
    return str(session.get("csrf", ""))

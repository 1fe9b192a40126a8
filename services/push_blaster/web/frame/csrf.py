"""The proof that a form came from one of our own pages."""

from typing import Final
from urllib.parse import urlsplit

from flask import request, session

#: Methods that change nothing, and need no such token.
READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
CSRF_FIELD: Final = "csrf_token"


def csrf_token() -> str:
    """Return the token that this session's forms contain, so that no other site can send them."""
    return str(session.get("csrf", ""))


def is_foreign() -> bool:
    """Return whether the browser says that a page of another site made it send this request.

    Every browser of today says so with a form; a program that is no browser says nothing.
    """
    sender = request.headers.get("Sec-Fetch-Site")
    if sender:
        return sender not in {"same-origin", "none"}
    origin = request.headers.get("Origin")
    return origin is not None and _host_of(origin) != _host_of(f"//{request.host}")


def _host_of(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return ""

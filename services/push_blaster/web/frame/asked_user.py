"""The user whom somebody asks for on a page."""

from typing import NamedTuple
from uuid import UUID

from flask import request


class AskedUser(NamedTuple):
    """The text in the query, the user id that it is, and what is wrong with it, if anything."""

    text: str
    id: UUID | None = None
    fault: str | None = None

    @property
    def status(self) -> int:
        """Return the HTTP status of the page."""
        return 400 if self.fault else 200


def read_asked_user() -> AskedUser:
    """Return the user of the query `user`; without one, both id and fault are None."""
    return ask_user(request.args.get("user", ""))


def ask_user(text: str) -> AskedUser:
    """Return the user that a text means."""
    text = text.strip()
    try:
        return AskedUser(text, UUID(text) if text else None)
    except ValueError:
        return AskedUser(text, fault=f"{text!r} is no user id; ids are UUIDs.")

"""Begin, find and end sessions; the cookie has a secret of which only a hash is stored."""

from datetime import datetime, timedelta
from secrets import token_urlsafe
from typing import Final

from chassis.postgres import Database
from push_blaster.adapters.access.session_table import (
    Session,
    delete_session,
    insert_session,
    select_session,
    touch_session,
)
from push_blaster.domain.access.token import fingerprint

#: How long a session lasts without a request, and how long it lasts at most.
IDLE: Final = timedelta(hours=12)
LASTS: Final = timedelta(days=7)
#: The shortest time between two records of a session's use.
TOUCH_EVERY: Final = timedelta(minutes=1)


def begin_session(database: Database, token: str, now: datetime) -> str:
    """Store a session of the token with this fingerprint; return the session's secret."""
    secret = token_urlsafe(32)
    with database.transaction() as connection:
        session = Session(token=token, seen_at=now)
        insert_session(connection, fingerprint(secret), session, now, now + LASTS)
    return secret


def find_session(database: Database, secret: str, now: datetime) -> Session | None:
    """Return the session; None if the session ended."""
    hash_ = fingerprint(secret)
    with database.transaction() as connection:
        session = select_session(connection, hash_, now, now - IDLE)
        if session and session.seen_at <= now - TOUCH_EVERY:
            touch_session(connection, hash_, now, TOUCH_EVERY)
    return session


def end_session(database: Database, secret: str) -> None:
    """End the session at once, in every browser that has its cookie."""
    with database.transaction() as connection:
        delete_session(connection, fingerprint(secret))

"""Sign people in through the identity provider, and ask it again while they are signed in."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import token_urlsafe
from typing import Final

import structlog

from chassis.postgres import Database
from push_blaster.adapters.access.identity_provider import (
    Grant,
    IdentityProvider,
    IdentityRefusedError,
    ProviderTokens,
)
from push_blaster.adapters.access.person_table import save_person, select_person
from push_blaster.adapters.access.provider_http import IdentityProviderAwayError
from push_blaster.adapters.access.sealed_tokens import open_tokens, seal_tokens
from push_blaster.adapters.access.session_table import (
    Session,
    begin_check,
    delete_session,
    delete_sessions_of_person,
    end_check,
    insert_session,
    use_sign_in,
)
from push_blaster.domain.access.person import (
    BadIdentityError,
    Identity,
    Person,
    RoleRules,
    read_identity,
)
from push_blaster.domain.access.sign_in_attempt import SignInAttempt
from push_blaster.domain.access.token import fingerprint
from push_blaster.use_cases.access.manage_sessions import LASTS, find_session

log = structlog.get_logger()

#: How long an attempt to sign in may take.
ATTEMPT_LASTS: Final = timedelta(minutes=10)
#: The identity provider is asked again after this time, and a session without its answer is closed
#: after that time. So a provider may be away for the time between them.
CHECK_AFTER: Final = timedelta(minutes=10)
VALID_FOR: Final = timedelta(minutes=15)
#: The largest difference between the clocks of two processes; more is a clock that was set back.
CLOCKS_DIFFER: Final = timedelta(minutes=1)
#: How long a process asks at most before another one asks in its place, and how long others wait.
ASKING_LASTS: Final = timedelta(seconds=30)
WAIT_S: Final = 12.0
_POLL_S: Final = 0.1


class NoRoleError(Exception):
    """The identity is proved, and gives no role here."""

    def __init__(self, identity: Identity) -> None:
        """Take who asked to be let in."""
        super().__init__(identity.subject)
        self.identity = identity


@dataclass(frozen=True, slots=True)
class People:
    """What signing in through the identity provider needs, and its name on the sign-in page."""

    database: Database
    provider: IdentityProvider
    rules: RoleRules
    display_name: str


def admit_person(
    people: People, code: str, sender: str | None, attempt: SignInAttempt, now: datetime
) -> tuple[Person, ProviderTokens]:
    """Return the person whom the code of this attempt proves; an attempt proves somebody once.

    Raises: IdentityProviderAwayError, IdentityRefusedError, NoRoleError.
    """
    with people.database.transaction() as connection:
        if not use_sign_in(connection, fingerprint(attempt.state), now, now + ATTEMPT_LASTS):
            raise IdentityRefusedError("this sign-in was used before")
    grant = people.provider.exchange(code, sender, attempt, now)
    identity = _read_identity(people, grant)
    if identity.role is None:
        raise NoRoleError(identity)
    with people.database.transaction() as connection:
        return save_person(connection, identity, now, signs_in=True), grant.tokens


def begin_person_session(
    database: Database, person: Person, tokens: ProviderTokens, now: datetime
) -> str:
    """Store a session of a person; return the session's secret."""
    secret = token_urlsafe(32)
    sealed = seal_tokens(tokens, secret)
    session = Session(token="", seen_at=now, person_id=person.id, checked_at=now, sealed=sealed)
    with database.transaction() as connection:
        insert_session(connection, fingerprint(secret), session, now, now + LASTS)
    return secret


def find_person(
    people: People, session: Session, secret: str, clock: Callable[[], datetime], *, may_ask: bool
) -> Person | None:
    """Return the person of a session with the role of the last 15 minutes; None if it is closed.

    The identity provider is asked after 10 minutes; without `may_ask` only when it has to be.
    """
    now = clock()
    is_due = _age(session, now) >= CHECK_AFTER
    if is_due and (may_ask or _age(session, now) >= VALID_FOR):
        _check_again(people, session, secret, now)
        now = clock()
        found = find_session(people.database, secret, now)
        if found is None or _age(found, now) >= VALID_FOR:
            return None
        session = found
    with people.database.transaction() as connection:
        person = select_person(connection, session.person_id or 0)
    return person if person.issuer == people.provider.issuer and person.role else None


def _age(session: Session, now: datetime) -> timedelta:
    """Return how old the last answer about a session is; one from the future is too old."""
    age = now - session.checked_at if session.checked_at else VALID_FOR
    return age if age >= -CLOCKS_DIFFER else VALID_FOR


def _check_again(people: People, session: Session, secret: str, now: datetime) -> None:
    """Ask the identity provider about the person of the session, or wait for who asks already."""
    hash_ = fingerprint(secret)
    with people.database.transaction() as connection:
        is_mine = begin_check(connection, hash_, now, now - ASKING_LASTS)
        person = select_person(connection, session.person_id or 0)
    if not is_mine:
        if _age(session, now) >= VALID_FOR:
            _wait_for_other(people.database, secret, now)
        return
    try:
        _ask(people, person, open_tokens(session.sealed or "", secret), secret, now)
    except IdentityProviderAwayError as error:
        log.warning("identity_provider_away", reason=str(error))
        with people.database.transaction() as connection:
            end_check(connection, hash_)
    except (IdentityRefusedError, BadIdentityError) as error:
        log.warning("session_ended", person=person.label, reason=str(error))
        with people.database.transaction() as connection:
            delete_session(connection, hash_)


def _ask(
    people: People, person: Person, tokens: ProviderTokens, secret: str, now: datetime
) -> None:
    grant = people.provider.ask_again(person.subject, tokens, now)
    identity = _read_identity(people, grant)
    if identity.role != person.role:
        log.warning("role_changed", person=person.label, before=person.role, after=identity.role)
    with people.database.transaction() as connection:
        save_person(connection, identity, now, signs_in=False)
        end_check(connection, fingerprint(secret), (now, seal_tokens(grant.tokens, secret)))
        if identity.role is None:
            delete_sessions_of_person(connection, person.id)


def _read_identity(people: People, grant: Grant) -> Identity:
    return read_identity(people.provider.issuer, grant.claims, people.rules)


def _wait_for_other(database: Database, secret: str, now: datetime) -> None:
    """Wait until the process that asks has its answer."""
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        session = find_session(database, secret, now)
        if session is None or session.asking_since is None:
            return
        time.sleep(_POLL_S)

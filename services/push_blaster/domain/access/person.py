"""A person who signs in through the identity provider, and what the person may do."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final
from unicodedata import category, normalize

#: The roles, from the least to the greatest.
ROLES: Final = ("viewer", "operator", "admin")
#: The longest subject that OpenID Connect allows.
MAX_SUBJECT: Final = 255
#: How many values of the claim with the roles are read.
MAX_VALUES: Final = 10_000
#: The longest name, e-mail address and subject that are shown.
MAX_NAME: Final = 80


class BadIdentityError(Exception):
    """The identity provider says nothing usable about a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleRules:
    """Which claim says what a person may do, and which value of the claim gives which role."""

    claim: str
    roles: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What the identity provider says about a person.

    Shape: issuer and subject together are the key of a person; name and email are only shown.
    `role` is None if no value of the claim gives a role.
    """

    issuer: str
    subject: str
    name: str
    email: str
    role: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Person(Identity):
    """A person who has signed in once.

    Shape: no other person ever has or had the same `label`, which the audit log shows.
    """

    id: int
    label: str
    signed_in_at: datetime
    checked_at: datetime


def read_identity(issuer: str, claims: Mapping[str, Any], rules: RoleRules) -> Identity:
    """Return the identity that verified claims describe; BadIdentityError without a subject."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT or "\x00" in subject:
        raise BadIdentityError("The identity provider names no usable subject (claim sub).")
    names = [claims.get(claim) for claim in ("name", "preferred_username", "nickname")]
    email = show_name(claims.get("email"))
    is_denied = str(claims.get("email_verified")).lower() == "false"  # some send it as a text
    is_email = "@" in email and " " not in email and not is_denied
    return Identity(
        issuer=issuer,
        subject=subject,
        name=next((name for given in names if (name := show_name(given))), ""),
        email=email if is_email else "",
        role=_find_role(claims, rules),
    )


def label_candidates(identity: Identity, number: int) -> Iterator[str]:
    """Yield names for the audit log, from the plainest on; a name of somebody else is passed over.

    Shape: each has an "@" or a space, which no token's name has; `number` is the person's own.
    """
    tail = identity.email or f"id {show_name(identity.subject)}"
    is_repeated = not identity.name or identity.name == identity.email
    plain = tail if is_repeated else f"{identity.name} ({tail})"
    yield plain
    yield f"{plain} [{number}]"
    yield f"person {number} of the identity provider"


def _find_role(claims: Mapping[str, Any], rules: RoleRules) -> str | None:
    """Return the greatest role that a value of the claim gives."""
    values = (value for value in _find_values(claims, rules.claim) if isinstance(value, str))
    found = {rules.roles[value] for value in values if value in rules.roles}
    return max(found, key=ROLES.index, default=None)


def _find_values(claims: Mapping[str, Any], claim: str) -> list[object]:
    """Return the values of a claim: of this name, or at this path through objects."""
    found: Any = claims
    for part in [claim] if claim in claims else claim.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, list | Mapping):
        return list(islice(found, MAX_VALUES))
    return [found]


def show_name(text: object, size: int = MAX_NAME) -> str:
    """Return a name as one line of visible characters; empty if it is no text."""
    if not isinstance(text, str):
        return ""
    visible = "".join(map(_visible, normalize("NFC", text[: 4 * size])))
    return " ".join(visible.split())[:size].strip()


def _visible(mark: str) -> str:
    kind = category(mark)
    return " " if kind == "Cc" else mark if kind[0] != "C" else ""

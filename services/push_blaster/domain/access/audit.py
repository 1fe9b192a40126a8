"""The records of the audit log: who changed what, when, and the content without secrets."""

import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from typing import Final

MASK: Final = "***"
#: How much of a change's content is recorded with its values, with short values, and as names.
BYTES_OF_VALUES: Final = 4_096
BYTES_KEPT: Final = 65_536
BYTES_OF_NAMES: Final = 1_048_576
#: A content with more fields, objects and lists is recorded by the names of its fields.
NODES_OF_VALUES: Final = 3_000
#: The hash before the first link of the chain.
FIRST: Final = "0" * 64
#: The first status of an answer that refuses, and the beginning of a detail that says so.
FIRST_REFUSAL: Final = 400
REFUSAL: Final = '{"refused"'

_SECRET: Final = re.compile(
    r"token|secret|passw|credential|csrf|private|p256dh|^auth$|^authorization$|^keys?$|^url$|api.?key",
    re.IGNORECASE,
)
_USERS: Final = re.compile(r"^(manual|test)?_?user(_?ids?)?$", re.IGNORECASE)
_SEPARATORS: Final = re.compile(r"([\s,;]+)")
_ITEMS_SHOWN: Final = 50
_NAME_SHOWN: Final = 100
_DEPTH_SHOWN: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedChange:
    """A change that somebody is about to make.

    Shape: `body_hash` is the SHA-256 of the body as it came, if it is known before the change.
    """

    at: datetime
    actor: str | None
    role: str | None
    method: str
    path: str
    endpoint: str
    what: str
    request_id: str
    body_hash: str | None = None


class AuditResult(StrEnum):
    """What came of a change that somebody asked for."""

    DONE = "done"
    REFUSED = "refused"
    UNANSWERED = "unanswered"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedChange(AuditedChange):
    """A row of the audit log; without an answer yet, `status` is None.

    Shape: `detail` says what changed, as JSON; a blanked content is empty, and its hash stays.
    `chain_no` and `chain_hash` are None until the row is in the chain.
    """

    id: int
    status: int | None = None
    answered_at: datetime | None = None
    what_hash: str | None = None
    detail: str | None = None
    detail_hash: str | None = None
    chain_no: int | None = None
    chain_hash: str | None = None

    @property
    def result(self) -> AuditResult:
        """What came of it; the detail of a page that refused begins with the refusal."""
        if self.status is None:
            return AuditResult.UNANSWERED
        is_refused = self.status >= FIRST_REFUSAL or (self.detail or "").startswith(REFUSAL)
        return AuditResult.REFUSED if is_refused else AuditResult.DONE


def describe(content: object, salt: str | None = None) -> str:
    """Return the content as JSON, without secrets; with a salt, a hash stands for each user.

    However much there is, no name of a field is left out: values are shortened first, and then only
    the names are told.
    """
    is_small = sum(1 for _ in islice(_walk(content), NODES_OF_VALUES + 1)) <= NODES_OF_VALUES
    for size, most in ((500, BYTES_OF_VALUES), (40, BYTES_KEPT)) if is_small else ():
        text = _write(_Masker(salt, size).mask(content))
        if len(text.encode(errors="replace")) <= most:
            return text
    names = _write({"names": sorted(set(_names(content)))})
    cut = names.encode(errors="replace")[:BYTES_OF_NAMES].decode(errors="ignore")
    return names if len(cut) == len(names) else f"{cut}…"


def hide_user(user: str, salt: str) -> str:
    """Return the hash of a user for the audit log: the same for the same user."""
    digest = hmac.new(salt.encode(), user.lower().encode(errors="replace"), hashlib.sha256)
    return f"user:{digest.hexdigest()[:20]}"


def hash_text(text: str | None) -> str | None:
    """Return the SHA-256 of a content, by which a blanked content stays proved."""
    return None if text is None else hashlib.sha256(text.encode(errors="replace")).hexdigest()


def link(before: str, number: int, change: RecordedChange) -> str:
    """Return the hash of a link of the chain: of the link before, and of the fixed columns."""
    columns = (
        *(before, number, change.id, _instant(change.at), change.actor, change.role),
        *(change.method, change.path, change.endpoint, change.request_id, change.status),
        *(_instant(change.answered_at), change.body_hash),
        *(change.what_hash or hash_text(change.what), change.detail_hash),
    )
    return hashlib.sha256(_write(columns).encode(errors="replace")).hexdigest()


def find_forgery(change: RecordedChange) -> str | None:
    """Return which content of a change is not the one that its hash proves, or None."""
    for name, content, proof in (
        ("what", change.what, change.what_hash),
        ("detail", change.detail, change.detail_hash),
    ):
        if proof and content and hash_text(content) != proof:
            return name
    return None


def _instant(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat() if at else None


def _write(content: object) -> str:
    return json.dumps(content, ensure_ascii=False, default=str)


def _walk(content: object) -> Iterator[object]:
    """Yield every field, and every object and list within a list, as deep as values are shown."""
    left = [(content, 0)]
    while left:
        container, depth = left.pop()
        if isinstance(container, Mapping):
            yield from container
            left += [(value, depth + 1) for value in container.values() if depth < _DEPTH_SHOWN]
        elif isinstance(container, list):
            inner = [(item, depth + 1) for item in container if isinstance(item, Mapping | list)]
            yield from inner
            left += inner if depth < _DEPTH_SHOWN else []


def _names(content: object, path: str = "") -> Iterator[str]:
    """Yield the path of every field, however deep; the items of a list have one path."""
    left: list[tuple[object, str]] = [(content, path)]
    while left:
        part, at = left.pop()
        if isinstance(part, Mapping):
            for name, value in part.items():
                below = f"{at}.{_cut(str(name))}".lstrip(".")
                yield below
                left.append((value, below))
        elif isinstance(part, list):
            left += [(item, f"{at}[]") for item in part if isinstance(item, Mapping | list)]


def _cut(text: str, size: int = _NAME_SHOWN) -> str:
    return text if len(text) <= size else f"{text[:size]}…"


@dataclass(frozen=True, slots=True)
class _Masker:
    salt: str | None
    text_size: int

    def mask(self, content: object, depth: int = 0) -> object:
        """Return the content with its secrets masked, its users hidden, and long parts cut."""
        if isinstance(content, str):
            return _cut(content, self.text_size)
        if isinstance(content, Mapping | list) and depth == _DEPTH_SHOWN:
            return "…"
        if isinstance(content, Mapping):
            return {str(n): self._mask_field(str(n), v, depth) for n, v in content.items()}
        return self._mask_items(content, depth) if isinstance(content, list) else content

    def _mask_field(self, name: str, value: object, depth: int) -> object:
        last = name.rpartition(".")[2]
        if value and _SECRET.search(last):
            return MASK
        is_user = self.salt and _USERS.match(last)
        return self._hide(value) if is_user else self.mask(value, depth + 1)

    def _hide(self, users: object) -> object:
        if isinstance(users, Mapping):
            return {str(name): self._hide(value) for name, value in users.items()}
        if isinstance(users, list):
            rest = len(users) - _ITEMS_SHOWN
            shown = [self._hide(user) for user in users[:_ITEMS_SHOWN]]
            return [*shown, f"… and {rest} more"] if rest > 0 else shown
        if not isinstance(users, str):
            return self.mask(users)
        texts = _SEPARATORS.split(users[: self.text_size * 10])
        return "".join(
            hide_user(text, self.salt or "") if place % 2 == 0 and text else text
            for place, text in enumerate(texts)
        )

    def _mask_items(self, content: Sequence[object], depth: int) -> list[object]:
        """Return the items; of values some, and of objects all, because each has fields."""
        has_objects = any(isinstance(item, Mapping | list) for item in content)
        shown = content if has_objects else content[:_ITEMS_SHOWN]
        rest = len(content) - len(shown)
        masked = [self.mask(item, depth + 1) for item in shown]
        return [*masked, f"… and {rest} more"] if rest else masked

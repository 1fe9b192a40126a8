"""Deep links: where a message may lead."""

import re
from collections.abc import Collection
from functools import lru_cache
from typing import Final
from urllib.parse import SplitResult, urlsplit

_SUSPICIOUS: Final = re.compile(r"[\x00-\x20\x7f\\]|[^\x00-\x7f]")
#: What comes before path, query and fragment.
_ORIGIN: Final = re.compile(r"[^/?#]*(?://[^/?#]*)?")


def find_link_fault(link: str, schemes: Collection[str], hosts: Collection[str]) -> str | None:
    """Return why a message may not lead to `link`, or None if it may.

    Shape: a host stands for itself and its subdomains; no `hosts` at all allows every host.
    """
    if not link:
        return None
    if _SUSPICIOUS.search(link):
        return "has blanks, backslashes, control characters or letters that are not ASCII"
    origin = _ORIGIN.match(link)
    return _find_origin_fault(origin[0] if origin else "", frozenset(schemes), frozenset(hosts))


@lru_cache(maxsize=1_024)  # the links of a push lead to one origin, as a rule
def _find_origin_fault(origin: str, schemes: frozenset[str], hosts: frozenset[str]) -> str | None:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return "is no URL"
    return _find_target_fault(parts, schemes, hosts)


def _find_target_fault(
    parts: SplitResult, schemes: Collection[str], hosts: Collection[str]
) -> str | None:
    if parts.scheme not in schemes:
        return f"has the scheme {parts.scheme!r}; allowed: {', '.join(sorted(schemes))}"
    host = parts.hostname
    if host is None or "@" in parts.netloc:
        return "names no host, or a user before it"
    is_allowed = any(host == allowed or host.endswith(f".{allowed}") for allowed in hosts)
    if hosts and not is_allowed:
        return f"leads to {host!r}; allowed: {', '.join(sorted(hosts))}"
    return None

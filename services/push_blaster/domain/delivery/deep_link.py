"""Deep links: where a message may lead."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import SplitResult, urlsplit

_SUSPICIOUS: Final = re.compile(r"[\x00-\x20\x7f\\]|[^\x00-\x7f]")
#: The schemes of the web: their links lead to a host. Other schemes may belong to an app.
_WEB: Final = frozenset({"http", "https"})
#: The part before path, query and fragment.
_ORIGIN: Final = re.compile(r"[^/?#]*(?://[^/?#]*)?")


@dataclass(frozen=True, slots=True)
class LinkPolicy:
    """Where the deep links of messages may lead.

    Shape: a host stands for itself and its subdomains; no `hosts` at all allows every host. A link
    with an app's scheme and without a host, such as `garden:///home`, leads into the app.
    """

    schemes: frozenset[str] = frozenset({"https"})
    hosts: frozenset[str] = frozenset()

    def find_fault(self, link: str) -> str | None:
        """Return why a message may not lead to `link`, or None if it may."""
        if not link:
            return None
        if _SUSPICIOUS.search(link):
            return "has blanks, backslashes, control characters or letters that are not ASCII"
        origin = _ORIGIN.match(link)
        return _find_origin_fault(origin[0] if origin else "", self)

    def find_fault_as_written(self, link: str) -> str | None:
        """Return why a push may not have this deep link, or None if it may.

        The link with filled-in placeholders is checked for each user.
        """
        return None if "[[" in link else self.find_fault(link)


@lru_cache(maxsize=1_024)  # most links of a push lead to one origin
def _find_origin_fault(origin: str, policy: LinkPolicy) -> str | None:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return "is no URL"
    return _find_target_fault(parts, policy)


def _find_target_fault(parts: SplitResult, policy: LinkPolicy) -> str | None:
    if parts.scheme not in policy.schemes:
        return f"has the scheme {parts.scheme!r}; allowed: {', '.join(sorted(policy.schemes))}"
    if parts.scheme not in _WEB and not parts.netloc and not parts.path:
        return None
    return _find_host_fault(parts, policy)


def _find_host_fault(parts: SplitResult, policy: LinkPolicy) -> str | None:
    host = parts.hostname
    if host is None or "@" in parts.netloc:
        return "names no host, or a user before it"
    is_allowed = any(host == allowed or host.endswith(f".{allowed}") for allowed in policy.hosts)
    if policy.hosts and not is_allowed:
        return f"leads to {host!r}; allowed: {', '.join(sorted(policy.hosts))}"
    return None

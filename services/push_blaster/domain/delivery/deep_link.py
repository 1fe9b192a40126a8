"""Deep links: where a message may lead."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import SplitResult, urlsplit

_SUSPICIOUS: Final = re.compile(r"[\x00-\x20\x7f\\]|[^\x00-\x7f]")
#: Begins a placeholder, of an audience or of a template.
_OPENING: Final = re.compile(r"\[\[|\{\{")
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
        return _find_origin_fault(_find_origin(link), self)

    def find_fault_as_written(self, link: str) -> str | None:
        """Return why a push may not have this link, or None if it may.

        The link with filled-in placeholders is checked for each user; here scheme and host are
        checked, as far as no placeholder is part of them.
        """
        if not _OPENING.search(link):
            return self.find_fault(link)
        origin = _find_origin(link)
        if not _OPENING.search(origin):
            return _find_origin_fault(origin, self)
        scheme, colon, _ = origin.partition(":")
        is_literal = colon and not _OPENING.search(scheme)
        return _find_scheme_fault(scheme.lower(), self) if is_literal else None


#: Where the images of messages may come from: any host, by https.
IMAGES: Final = LinkPolicy()


def _find_origin(link: str) -> str:
    found = _ORIGIN.match(link)
    return found[0] if found else ""


@lru_cache(maxsize=1_024)  # most links of a push lead to one origin
def _find_origin_fault(origin: str, policy: LinkPolicy) -> str | None:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return "is no URL"
    return _find_target_fault(parts, policy)


def _find_target_fault(parts: SplitResult, policy: LinkPolicy) -> str | None:
    fault = _find_scheme_fault(parts.scheme, policy)
    if fault:
        return fault
    if parts.scheme not in _WEB and not parts.netloc and not parts.path:
        return None
    return _find_host_fault(parts, policy)


def _find_scheme_fault(scheme: str, policy: LinkPolicy) -> str | None:
    if scheme in policy.schemes:
        return None
    return f"has the scheme {scheme!r}; allowed: {', '.join(sorted(policy.schemes))}"


def _find_host_fault(parts: SplitResult, policy: LinkPolicy) -> str | None:
    host = parts.hostname
    if host is None or "@" in parts.netloc:
        return "names no host, or a user before it"
    is_allowed = any(host == allowed or host.endswith(f".{allowed}") for allowed in policy.hosts)
    if policy.hosts and not is_allowed:
        return f"leads to {host!r}; allowed: {', '.join(sorted(policy.hosts))}"
    return None

"""Deep links: where a message may lead."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import SplitResult, quote, urlsplit

import idna

_SUSPICIOUS: Final = re.compile(r"[\x00-\x20\x7f\\]")
#: What stays as it is in path, query and fragment; all other letters are percent-encoded.
_ASCII: Final = "".join(map(chr, range(0x21, 0x7F)))
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
            return "has blanks, backslashes or control characters"
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


def write_in_ascii(link: str) -> str:
    """Return a link as a message has it: its host by IDNA, other letters percent-encoded.

    A link that is not allowed may stay as it is.
    """
    return link if link.isascii() else _encode_link(link)


@lru_cache(maxsize=1_024)  # most links of a push are one link
def _encode_link(link: str) -> str:
    origin = _find_origin(link)
    try:
        return _encode_origin(origin) + quote(link[len(origin) :], safe=_ASCII)
    except ValueError:
        return link


def _encode_origin(origin: str) -> str:
    """Return scheme and host with the host by IDNA; ValueError if no host has such a name."""
    if origin.isascii():
        return origin
    scheme, slashes, authority = origin.partition("//")
    user, at, place = authority.rpartition("@")
    host, colon, port = place.partition(":")
    return f"{scheme}{slashes}{user}{at}{_encode_host(host)}{colon}{port}"


def _encode_host(host: str) -> str:
    """Return a host as browsers look it up; ValueError if no host has such a name."""
    if host.isascii():
        return host
    return idna.encode(host, uts46=True, std3_rules=True).decode()


#: Where the images of messages may come from: any host, by https.
IMAGES: Final = LinkPolicy()


def _find_origin(link: str) -> str:
    found = _ORIGIN.match(link)
    return found[0] if found else ""


@lru_cache(maxsize=1_024)  # most links of a push lead to one origin
def _find_origin_fault(origin: str, policy: LinkPolicy) -> str | None:
    try:
        parts = urlsplit(_encode_origin(origin))
    except ValueError:
        return "is no URL: check its host"
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
    hosts = [_encode_host(allowed) for allowed in policy.hosts]
    is_allowed = any(host == allowed or host.endswith(f".{allowed}") for allowed in hosts)
    if policy.hosts and not is_allowed:
        return f"leads to {host!r}; allowed: {', '.join(sorted(policy.hosts))}"
    return None

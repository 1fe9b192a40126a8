"""What an identity provider publishes: its addresses, and the keys that prove its signatures."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from joserfc.jwk import KeySet

from chassis.settings import is_secure_url
from push_blaster.adapters.access.provider_http import (
    IdentityProviderAwayError,
    ProviderHttp,
    read_object,
)

#: How long addresses and keys are kept.
KEPT_S: Final = 3_600.0
#: The shortest time between two requests for the keys, however many unknown keys are named.
KEYS_PAUSE_S: Final = 60.0
_REQUIRED: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")


@dataclass(frozen=True, slots=True)
class Metadata:
    """The addresses of a provider, and what it can.

    Shape: `names_sender` is whether each of its answers says whose it is (RFC 9207).
    """

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    takes_basic: bool
    names_sender: bool


class ProviderDocuments:
    """The documents of one provider; each is kept for an hour at most."""

    def __init__(self, issuer: str, http: ProviderHttp) -> None:
        """Take the name of the provider, below which its documents lie."""
        self._issuer = issuer
        self._http = http
        self._metadata: tuple[Metadata, float] | None = None
        self._keys: tuple[KeySet, float] | None = None

    def metadata(self) -> Metadata:
        """Return the addresses; IdentityProviderAwayError."""
        known = self._metadata
        if known is None or known[1] < time.monotonic() - KEPT_S:
            url = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
            found = read_object(self._http.read(url))
            known = self._metadata = (_read_metadata(found, self._issuer), time.monotonic())
        return known[0]

    def keys(self) -> KeySet:
        """Return the keys that are known; IdentityProviderAwayError."""
        known = self._keys
        if known is None or known[1] < time.monotonic() - KEPT_S:
            known = self._keys = (self._read_keys(), time.monotonic())
        return known[0]

    def newer_keys(self) -> KeySet | None:
        """Return the keys of now after an unknown one was named; None if they are new already."""
        if self._keys and self._keys[1] > time.monotonic() - KEYS_PAUSE_S:
            return None
        self._keys = None
        return self.keys()

    def _read_keys(self) -> KeySet:
        found: Any = read_object(self._http.read(self.metadata().jwks_uri))
        try:
            return KeySet.import_key_set(found)
        except Exception as error:
            raise IdentityProviderAwayError(
                f"its keys cannot be read ({type(error).__name__})"
            ) from error


def _read_metadata(found: Mapping[str, Any], issuer: str) -> Metadata:
    if found.get("issuer") != issuer:
        raise IdentityProviderAwayError(
            f"it calls itself {str(found.get('issuer'))[:200]!r}, and we call it "
            f"{issuer!r}; give us the same text (PUSH_OIDC_ISSUER)"
        )
    named = {name: found[name] for name in (*_REQUIRED, "userinfo_endpoint") if found.get(name)}
    bad = [name for name in _REQUIRED if name not in named]
    bad += [name for name, url in named.items() if not _is_safe(url, issuer)]
    if bad:
        raise IdentityProviderAwayError(f"it names no secure address as {', '.join(bad)}")
    methods = found.get("token_endpoint_auth_methods_supported")
    return Metadata(
        **{"userinfo_endpoint": None, **named},
        takes_basic=not isinstance(methods, list) or "client_secret_basic" in methods,
        names_sender=found.get("authorization_response_iss_parameter_supported") is True,
    )


def _is_safe(url: object, issuer: str) -> bool:
    """Return whether secrets may be sent there: by https, or on this machine like the issuer."""
    is_http = isinstance(url, str) and url.lower().startswith("http:")
    is_allowed = not is_http or issuer.lower().startswith("http:")
    return isinstance(url, str) and is_secure_url(url) and is_allowed

"""One attempt to sign in through the identity provider, bound to the browser that began it."""

import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SignInAttempt:
    """An attempt; all that the identity provider gets of it follows from its secret.

    Shape: only the browser that began the attempt has the secret, in a cookie.
    """

    secret: str

    @property
    def state(self) -> str:
        """The text that comes back in the address of the browser."""
        return self._derive("state")

    @property
    def nonce(self) -> str:
        """The text that comes back in the ID token."""
        return self._derive("nonce")

    @property
    def verifier(self) -> str:
        """The proof (PKCE) that the code comes from whoever began the attempt."""
        return self._derive("verifier")

    def _derive(self, purpose: str) -> str:
        digest = hmac.digest(self.secret.encode(), purpose.encode(), "sha256")
        return urlsafe_b64encode(digest).rstrip(b"=").decode()

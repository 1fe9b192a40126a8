"""The keys of identity tokens, by which a customer's backend signs who holds a phone or a page."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from joserfc import jwt
from joserfc.errors import BadSignatureError, MissingAlgorithmError, UnsupportedAlgorithmError
from joserfc.jwk import OctKey

from push_blaster.domain.access.identity_token import IdentityTokenError, TokenFault, read_user

#: The only signature that is taken, and the longest token.
ALGORITHMS: Final = ("HS256",)
MAX_TOKEN: Final = 4_096


def looks_like_identity_token(token: str) -> bool:
    """Return whether a token is, or should be, a JWT; no token of ours has two dots."""
    return token.count(".") >= 2


class IdentityKeys:
    """The keys; while keys are rotated there are several, and each of them is valid."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Take the keys; without one, every token is refused."""
        self._keys = [OctKey.import_key(key) for key in keys]

    def read(self, token: str, now: datetime) -> UUID:
        """Return the user of a token that is valid now; IdentityTokenError.

        What a token says is read only after its signature is proved.
        """
        if not self._keys:
            raise IdentityTokenError(TokenFault.UNUSED)
        if len(token) > MAX_TOKEN or not token.isascii():
            raise IdentityTokenError(TokenFault.MALFORMED)
        return read_user(self._verify(token), now)

    def _verify(self, token: str) -> Mapping[str, Any]:
        for key in self._keys:
            try:
                return jwt.decode(token, key, ALGORITHMS).claims
            except BadSignatureError:
                continue
            except (UnsupportedAlgorithmError, MissingAlgorithmError) as error:
                raise IdentityTokenError(TokenFault.ALGORITHM) from error
            except Exception as error:  # a stranger wrote the token; no type in it is certain
                raise IdentityTokenError(TokenFault.MALFORMED) from error
        raise IdentityTokenError(TokenFault.SIGNATURE)

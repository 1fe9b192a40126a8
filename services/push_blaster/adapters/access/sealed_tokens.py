"""Tokens of the identity provider in the database: only the cookie of the session opens them."""

import json
from base64 import urlsafe_b64encode
from hashlib import sha256

from cryptography.fernet import Fernet, InvalidToken

from push_blaster.adapters.access.identity_provider import IdentityRefusedError, ProviderTokens


def seal_tokens(tokens: ProviderTokens, secret: str) -> str:
    """Return the tokens, encrypted with the secret of the session."""
    content = json.dumps([tokens.access, tokens.refresh])
    return _cipher(secret).encrypt(content.encode()).decode()


def open_tokens(sealed: str, secret: str) -> ProviderTokens:
    """Return the tokens that were sealed with this secret; IdentityRefusedError without any."""
    try:
        return ProviderTokens(*json.loads(_cipher(secret).decrypt(sealed)))
    except InvalidToken as error:
        raise IdentityRefusedError("the session holds no tokens for asking again") from error


def _cipher(secret: str) -> Fernet:
    return Fernet(urlsafe_b64encode(sha256(b"provider tokens " + secret.encode()).digest()))

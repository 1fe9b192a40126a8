"""The identity provider (OpenID Connect): what it says about a person, now and later."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError

from push_blaster.adapters.access.provider_client import ClientOptions
from push_blaster.adapters.access.provider_documents import ProviderDocuments
from push_blaster.adapters.access.provider_http import (
    IdentityProviderAwayError,
    ProviderHttp,
    read_object,
)
from push_blaster.domain.access.sign_in_attempt import SignInAttempt

#: The signatures that are accepted: by a private key that only the provider has.
ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512"),
)
#: How far the clock of the provider may be off, and how old an ID token may be when it comes.
SKEW: Final = timedelta(minutes=1)
MAX_AGE: Final = timedelta(minutes=5)


class IdentityRefusedError(Exception):
    """An answer of the identity provider proves no identity; the message says why."""


@dataclass(frozen=True, slots=True)
class ProviderTokens:
    """The tokens by which the provider is asked again about a person."""

    access: str = field(repr=False)
    refresh: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Grant:
    """What the provider says about a person, verified, and the tokens for asking again."""

    claims: Mapping[str, Any]
    tokens: ProviderTokens


class IdentityProvider:
    """One identity provider; it is asked only when somebody signs in or is checked again."""

    def __init__(self, options: ClientOptions) -> None:
        """Take the provider; nothing is asked yet."""
        self._options = options
        self._http = ProviderHttp(options.ca_file)
        self._documents = ProviderDocuments(options.issuer, self._http)

    @property
    def issuer(self) -> str:
        """The name of the provider."""
        return self._options.issuer

    @property
    def is_away(self) -> bool:
        """Whether the provider gave no answer a moment ago."""
        return self._http.is_away

    def authorization_url(self, attempt: SignInAttempt) -> str:
        """Return the address at the provider where an attempt goes on.

        Raises: IdentityProviderAwayError.
        """
        url, _ = self._new_session().create_authorization_url(
            self._documents.metadata().authorization_endpoint,
            scope=" ".join(self._options.scopes),
            state=attempt.state,
            nonce=attempt.nonce,
            code_verifier=attempt.verifier,
        )
        return str(url)

    def exchange(
        self, code: str, sender: str | None, attempt: SignInAttempt, now: datetime
    ) -> Grant:
        """Return what the code of an attempt proves.

        Shape: `sender` is the name of the provider in the answer, if it is there.
        Raises: IdentityProviderAwayError, IdentityRefusedError.
        """
        metadata = self._documents.metadata()
        if sender != self.issuer and (sender is not None or metadata.names_sender):
            raise IdentityRefusedError("the answer came from another identity provider")
        answer = self._ask_for_tokens(
            lambda session: session.fetch_token(
                metadata.token_endpoint,
                grant_type="authorization_code",
                code=code,
                code_verifier=attempt.verifier,
            )
        )
        tokens = _read_tokens(answer, None)
        claims = self._verify(answer.get("id_token"), tokens.access, now, attempt.nonce)
        return Grant({**claims, **self._read_userinfo(tokens, claims["sub"])}, tokens)

    def ask_again(self, subject: str, tokens: ProviderTokens, now: datetime) -> Grant:
        """Return what the provider says now about the person with this subject.

        Raises: IdentityProviderAwayError, IdentityRefusedError.
        """
        claims: Mapping[str, Any] = {}
        if tokens.refresh:
            url, old = self._documents.metadata().token_endpoint, tokens.refresh
            answer = self._ask_for_tokens(lambda s: s.refresh_token(url, refresh_token=old))
            tokens = _read_tokens(answer, old)
            if answer.get("id_token"):
                claims = self._verify(answer["id_token"], tokens.access, now, None)
        claims = {**claims, **self._read_userinfo(tokens, subject)}
        if claims.get("sub") != subject:
            raise IdentityRefusedError("it says nothing about this person")
        return Grant(claims, tokens)

    def _new_session(self) -> OAuth2Session:
        options = self._options
        secret = options.client_secret
        method = "client_secret_basic"
        if secret and not self._documents.metadata().takes_basic:
            method = "client_secret_post"
        session = OAuth2Session(
            options.client_id,
            secret,
            token_endpoint_auth_method=method if secret else "none",
            redirect_uri=options.redirect_uri,
            code_challenge_method="S256",
        )
        self._http.mount(session)
        return session

    def _ask_for_tokens(
        self, ask: Callable[[OAuth2Session], Mapping[str, Any]]
    ) -> Mapping[str, Any]:
        try:
            with self._new_session() as session, self._http.reaching():
                return ask(session)
        except OAuthError as error:
            if error.error == "invalid_grant":
                raise IdentityRefusedError(
                    "it does not accept the code or token any more"
                ) from error
            raise IdentityProviderAwayError(
                f"it refuses this system as its client ({str(error.error)[:100]})"
            ) from error
        except (ValueError, RecursionError) as error:
            raise IdentityProviderAwayError("it answers no object of JSON with tokens") from error

    def _read_userinfo(self, tokens: ProviderTokens, subject: str) -> Mapping[str, Any]:
        """Return what the provider says about the owner of the token; empty if it says nothing."""
        url = self._documents.metadata().userinfo_endpoint
        if url is None:
            return {}
        answer = self._http.read(url, tokens.access)
        if answer.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise IdentityRefusedError("it does not accept the access token any more")
        found = read_object(answer)
        if found.get("sub") != subject:
            raise IdentityRefusedError("it answers with another person")
        return found

    def _verify(
        self, id_token: object, access: str, now: datetime, nonce: str | None
    ) -> Mapping[str, Any]:
        """Return the claims of an ID token that is valid now; IdentityRefusedError."""
        issuer, client_id = self._options.issuer, self._options.client_id
        try:
            token = self._decode(str(id_token))
            claims = CodeIDToken(
                token.claims,
                token.header,
                {
                    "iss": {"essential": True, "value": issuer},
                    "aud": {"essential": True, "value": client_id},
                    "sub": {"essential": True},
                },
                {"nonce": nonce, "client_id": client_id, "access_token": access},
            )
            claims.validate(now.timestamp(), SKEW.total_seconds())
            is_old = claims["iat"] < (now - MAX_AGE - SKEW).timestamp()
        except IdentityProviderAwayError:
            raise
        except Exception as error:
            raise IdentityRefusedError(f"the ID token is not valid ({str(error)[:100]})") from error
        if is_old:
            raise IdentityRefusedError("the ID token is not valid (it is too old)")
        return dict(claims)

    def _decode(self, id_token: str) -> jwt.Token:
        """Return a token whose signature is the provider's; its key may be a new one."""
        try:
            return jwt.decode(id_token, self._documents.keys(), ALGORITHMS)
        except InvalidKeyIdError:
            newer = self._documents.newer_keys()
            if newer is None:
                raise
            return jwt.decode(id_token, newer, ALGORITHMS)


def _read_tokens(answer: Mapping[str, Any], old: str | None) -> ProviderTokens:
    access, refresh = answer.get("access_token"), answer.get("refresh_token") or old
    if not _fits_header(access) or not (refresh is None or isinstance(refresh, str)):
        raise IdentityProviderAwayError("it answers without an access token that can be used")
    return ProviderTokens(str(access), refresh)


def _fits_header(token: object) -> bool:
    return isinstance(token, str) and bool(token) and token.isascii() and token.isprintable()

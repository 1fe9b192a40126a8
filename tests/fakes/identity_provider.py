"""A local identity provider that keeps to OpenID Connect: code flow, PKCE, refresh tokens, keys."""

import hashlib
import json
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from secrets import token_urlsafe
from ssl import SSLContext
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

from chassis.clock import machine_now
from tests.serving import running

CLIENT_ID: Final = "push-automation"
CLIENT_SECRET: Final = "secret of the client"
_KEYS: Final = [RSAKey.generate_key(2_048, {"kid": f"key-{n}", "use": "sig"}) for n in range(2)]

Claims = dict[str, Any]
Answer = tuple[int, dict[str, Any]]


def anna(**changes: Any) -> Claims:
    """Return the claims of a person who is an operator."""
    usual = {"sub": "a-1", "name": "Anna Bauer", "email": "anna@example.com", "roles": ["team"]}
    return {name: value for name, value in {**usual, **changes}.items() if value is not None}


@dataclass
class FakeProvider:
    """Signs in whoever `who` is, and says of people what `who` says now, by their subject.

    Shape: `forge` makes an ID token from claims in place of a good one. `before_answer` runs before
    each answer, with its path; `answers` take the place of the answers of some paths.
    """

    url: str = ""
    who: Claims = field(default_factory=anna)
    people: dict[str, Claims] = field(default_factory=dict)
    key: RSAKey = field(default_factory=lambda: _KEYS[0])
    forge: Callable[[Claims], str] | None = None
    before_answer: Callable[[str], object] = lambda path: None
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    takes_codes_twice: bool = False
    is_public: bool = False
    gives_refresh: bool = True
    gives_id_token_again: bool = True
    access: dict[str, str] = field(default_factory=dict)
    refresh: dict[str, str] = field(default_factory=dict)
    used_refresh: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)

    def change_keys(self) -> None:
        """Sign with another key from now on."""
        self.key = _KEYS[1] if self.key is _KEYS[0] else _KEYS[0]

    def say(self, **claims: Any) -> None:
        """Say something else about Anna from now on."""
        self.people["a-1"] = anna(**claims)

    def withdraw(self, subject: str = "a-1") -> None:
        """Accept no token of this person any more."""
        for tokens in (self.access, self.refresh):
            for token in [token for token, owner in tokens.items() if owner == subject]:
                del tokens[token]

    def discovery(self) -> Claims:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "jwks_uri": f"{self.url}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
        }

    def authorize(self, query: dict[str, str]) -> str:
        """Return where the browser goes: back, with a code for whoever is signed in here."""
        assert query["response_type"] == "code"
        assert query["client_id"] == CLIENT_ID
        assert query["code_challenge_method"] == "S256"
        assert "openid" in query["scope"].split()
        code = self._note(token_urlsafe(16))
        self.people[self.who["sub"]] = self.who
        self.codes[code] = {**query, "sub": self.who["sub"]}
        given = {"code": code, "state": query["state"]}
        return f"{query['redirect_uri']}?{urlencode(given)}"

    def grant(self, form: dict[str, str], authorization: str) -> Answer:
        """Answer a request for tokens."""
        secret = "" if self.is_public else CLIENT_SECRET
        in_body = f"{form.get('client_id')}:{form.get('client_secret', '')}"
        in_header = b64decode(authorization.removeprefix("Basic ")).decode()
        if f"{CLIENT_ID}:{secret}" not in {in_body, in_header}:
            return 401, {"error": "invalid_client"}
        if form["grant_type"] == "refresh_token":
            return self._refresh(form["refresh_token"])
        kept = self.codes.get(form["code"]) if self.takes_codes_twice else None
        asked = kept or self.codes.pop(form["code"], {})
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = urlsafe_b64encode(digest).rstrip(b"=").decode()
        proof = {"redirect_uri": form["redirect_uri"], "code_challenge": challenge}
        if not proof.items() <= asked.items():
            return 400, {"error": "invalid_grant"}
        return 200, self._make_tokens(asked["sub"], {"nonce": asked["nonce"]})

    def userinfo(self, authorization: str) -> Answer:
        subject = self.access.get(authorization.removeprefix("Bearer "))
        return (200, self.people[subject]) if subject else (401, {"error": "invalid_token"})

    def _refresh(self, token: str) -> Answer:
        if token in self.used_refresh:  # somebody has stolen it: everything of the person ends
            self.withdraw()
        subject = self.refresh.pop(token, None)
        if subject is None:
            return 400, {"error": "invalid_grant"}
        self.used_refresh.add(token)
        tokens = self._make_tokens(subject, {})
        if not self.gives_id_token_again:
            del tokens["id_token"]
        return 200, tokens

    def _make_tokens(self, subject: str, also: Claims) -> dict[str, Any]:
        access, refresh = self._note(token_urlsafe(24)), self._note(token_urlsafe(24))
        self.access[access] = subject
        now = int(machine_now().timestamp())
        claims = {"iss": self.url, "aud": CLIENT_ID, "iat": now, "exp": now + 300, **also}
        made = (self.forge or self.sign)({**self.people[subject], **claims})
        tokens = {"access_token": access, "token_type": "Bearer", "expires_in": 300}
        tokens["id_token"] = self._note(made)
        if self.gives_refresh:
            self.refresh[refresh] = subject
            tokens["refresh_token"] = refresh
        return tokens

    def sign(self, claims: Claims) -> str:
        """Return a good ID token with these claims."""
        header = {"alg": "RS256", "kid": self.key.kid}
        return jwt.encode(header, claims, self.key)

    def _note(self, secret: str) -> str:
        self.secrets.append(secret)
        return secret

    def answer(self, path: str, query: dict[str, str], authorization: str) -> tuple[int, bytes]:
        self.asked.append(path)
        self.before_answer(path)
        status, found = self._answer(path, query, authorization)
        return status, json.dumps(found).encode()

    def _answer(self, path: str, query: dict[str, str], authorization: str) -> Answer:
        if path == "/token":
            return self.grant(query, authorization)
        if path == "/userinfo":
            return self.userinfo(authorization)
        if path == "/jwks":
            return 200, {"keys": [self.key.as_dict(private=False)]}
        assert path == "/.well-known/openid-configuration", path
        return 200, self.discovery()


@contextmanager
def run_identity_provider(tls: SSLContext | None = None) -> Iterator[FakeProvider]:
    """Serve on a free port until the block ends, over TLS if there is a context for it."""
    provider = FakeProvider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            if parts.path == "/authorize":
                self.send_response(302)
                self.send_header("Location", provider.authorize(query))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self._answer(parts.path, query)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._answer(self.path, {name: values[0] for name, values in parse_qs(body).items()})

        def _answer(self, path: str, query: dict[str, str]) -> None:
            given = self.headers.get("Authorization", "")
            status, body = provider.answers.get(path) or provider.answer(path, query, given)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client hangs up in the tests of time limits
    scheme = _protect(server, tls)
    with running(server) as url:
        provider.url = url.replace("http", scheme)
        yield provider


def _protect(server: ThreadingHTTPServer, tls: SSLContext | None) -> str:
    """Let the server speak TLS if there is a context for it; return the scheme of its URL."""
    if tls is None:
        return "http"
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    return "https"

"""A local peer that hands out access tokens as Google does: for a signed assertion."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import jwt

from tests.serving import running


def make_key() -> tuple[str, str]:
    """Return a service account's private key, and the public one that proves its signature."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()


@dataclass
class TokenServer:
    """Grants `token-1`, `token-2`, …; with a `status` other than 200 it refuses.

    Shape: with a `public_key` of None whoever asks is believed. `changes` are made to a grant, and
    a `body` takes its place. `before_answer` runs before each answer.
    """

    public_key: str | None
    url: str = ""
    status: int = 200
    lifetime_s: int = 3_600
    claims: list[dict[str, Any]] = field(default_factory=list)
    asked: int = 0
    changes: dict[str, Any] = field(default_factory=dict)
    body: bytes | None = None
    before_answer: Callable[[], object] = lambda: None

    def grant(self, form: dict[str, list[str]]) -> dict[str, Any]:
        assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
        verified = jwt.decode(  # type: ignore[no-untyped-call]  # ships no types
            form["assertion"][0], certs=self.public_key, verify=self.public_key is not None
        )
        self.claims.append(verified)
        return {
            "access_token": f"token-{len(self.claims)}",
            "expires_in": self.lifetime_s,
            "token_type": "Bearer",
            **self.changes,
        }


@contextmanager
def run_token_server(public_key: str | None) -> Iterator[TokenServer]:
    """Serve on a free port until the block ends."""
    server = TokenServer(public_key)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            server.asked += 1
            server.before_answer()
            granted = server.status == 200
            answer = server.grant(form) if granted else {"error": "invalid_grant"}
            body = json.dumps(answer).encode() if server.body is None else server.body
            self.send_response(server.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with running(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as url:
        server.url = f"{url}/token"
        yield server

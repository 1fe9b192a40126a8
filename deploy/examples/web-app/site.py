"""A site with Web Push: it serves one page and its service worker, and signs identity tokens.

PUSH_IDENTITY_KEY is the key of the push server. Users sign in by naming themselves: a real site
knows its users, and keeps a session of its own.
"""

import argparse
import os
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import UUID

import jwt

PAGE = Path(__file__).with_name("page.html")
#: A page asks again before each call, so a token may be short-lived; an hour is the most.
LIFETIME = timedelta(minutes=5)
WORKER = """\
self.pushIdentity = async () => (await fetch("/identity")).text();
importScripts("{push}/client/push-worker.js");
"""


class Site(BaseHTTPRequestHandler):
    """Answers one request."""

    push: str
    key: str

    def do_GET(self) -> None:
        """Answer the identity token of whoever is signed in, the worker, or the page."""
        if self.path == "/identity":
            self._answer("text/plain", self._sign())
        elif self.path == "/push-worker.js":
            self._answer("text/javascript", WORKER.format(push=self.push))
        else:
            self._answer("text/html", PAGE.read_text().replace("{push}", self.push))

    def do_POST(self) -> None:
        """Sign a user in, or sign out if no user is named."""
        user = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self.send_response(HTTPStatus.NO_CONTENT)
        self.send_header("Set-Cookie", f"user={user and UUID(user)}; HttpOnly; SameSite=Strict")
        self.end_headers()

    def _sign(self) -> str:
        user = SimpleCookie(self.headers.get("Cookie")).get("user")
        if user is None or not user.value:
            return ""
        claims = {"sub": user.value, "exp": datetime.now(UTC) + LIFETIME}
        return jwt.encode(claims, self.key, algorithm="HS256")

    def _answer(self, kind: str, text: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(text.encode())


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--push", default="http://127.0.0.1:3001", help="the push server")
    given = parser.parse_args()
    Site.push, Site.key = given.push.rstrip("/"), os.environ["PUSH_IDENTITY_KEY"]
    print(f"Open http://localhost:{given.port}; Ctrl-C stops the site.", flush=True)
    ThreadingHTTPServer(("127.0.0.1", given.port), Site).serve_forever()


if __name__ == "__main__":
    main()

"""People at the pages who sign in through the identity provider of the tests."""

from itertools import count
from urllib.parse import urlsplit

import requests
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from push_blaster.adapters.access.provider_client import ClientOptions
from push_blaster.domain.access.person import RoleRules
from push_blaster.identity_settings import IdentitySettings
from push_blaster.web.access.session import COOKIE
from tests.fakes.identity_provider import CLIENT_ID, CLIENT_SECRET

_HOSTS = count(1)
PUBLIC_URL = "https://push.example.com"


def identity_settings(issuer: str) -> IdentitySettings:
    return IdentitySettings(
        client=ClientOptions(
            issuer=issuer,
            client_id=CLIENT_ID,
            client_secret=CLIENT_SECRET,
            redirect_uri=f"{PUBLIC_URL}/sign-in/return",
        ),
        rules=RoleRules(
            claim="roles", roles={"admins": "admin", "team": "operator", "all": "viewer"}
        ),
        display_name="Example Ltd",
    )


class PersonVisitor:
    """A browser that signs in through the identity provider."""

    def __init__(self, app: Flask) -> None:
        self.client: FlaskClient = app.test_client()
        host = next(_HOSTS)  # each has an address of its own, so that no test counts for another
        self.client.environ_base["REMOTE_ADDR"] = f"10.{host >> 16}.{host >> 8 & 255}.{host & 255}"

    def leave(self, wanted: str = "/executions") -> str:
        """Begin to sign in; return the address at the identity provider."""
        sent = self.client.get("/sign-in/provider", query_string={"next": wanted})
        assert sent.status_code == 303, sent.text
        return sent.location

    def go_there(self, address: str) -> str:
        """Return the address to which the identity provider sends the browser back."""
        answer = requests.get(address, allow_redirects=False, timeout=10)
        assert answer.status_code == 302
        return answer.headers["Location"]

    def come_back(self, address: str) -> TestResponse:
        parts = urlsplit(address)
        return self.client.get(f"{parts.path}?{parts.query}")

    def sign_in(self, wanted: str = "/executions") -> TestResponse:
        return self.come_back(self.go_there(self.leave(wanted)))

    def name(self) -> str:
        """Return the name on the page; empty if nobody is signed in."""
        page = self.client.get("/executions").text
        return page.partition("<span>Signed in as ")[2].partition("</span>")[0]

    def csrf_token(self) -> str:
        page = self.client.get("/executions").text
        return page.partition('name="csrf-token" content="')[2].partition('"')[0]

    def cookie(self) -> str:
        """Return the cookie of the session."""
        found = self.client.get_cookie(COOKIE)
        assert found
        return found.value

    def take(self, cookie: str) -> None:
        """Take a copy of the cookie of somebody else."""
        self.client.set_cookie(COOKIE, cookie)

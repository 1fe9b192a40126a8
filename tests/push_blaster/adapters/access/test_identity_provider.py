"""What an identity provider publishes: it is used only if it is safe and whole."""

import json
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import trustme

from chassis.clock import utc_now
from push_blaster.adapters.access.identity_provider import (
    Grant,
    IdentityProvider,
    IdentityRefusedError,
)
from push_blaster.adapters.access.provider_http import IdentityProviderAwayError
from push_blaster.domain.access.sign_in_attempt import SignInAttempt
from tests.fakes.identity_provider import FakeProvider, run_identity_provider
from tests.push_blaster.web.access.people_support import identity_settings

DISCOVERY = "/.well-known/openid-configuration"
ATTEMPT = SignInAttempt("secret")


@pytest.fixture
def fake() -> Iterator[FakeProvider]:
    with run_identity_provider() as fake:
        yield fake


@pytest.fixture
def provider(fake: FakeProvider) -> IdentityProvider:
    return IdentityProvider(identity_settings(fake.url).client)


def publish(fake: FakeProvider, **changes: Any) -> None:
    """Let the provider publish this instead."""
    found = {**fake.discovery(), **changes}
    kept = {name: value for name, value in found.items() if value is not None}
    fake.answers[DISCOVERY] = (200, json.dumps(kept).encode())


def exchange(provider: IdentityProvider, **also: str) -> Grant:
    """Go to the provider and back; return what the code proves."""
    sent = requests.get(
        provider.authorization_url(ATTEMPT), allow_redirects=False, timeout=10
    ).headers["Location"]
    code = parse_qs(urlsplit(sent).query)["code"][0]
    return provider.exchange(code, also.get("iss"), ATTEMPT, utc_now())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"issuer": "https://evil.example"}, "PUSH_OIDC_ISSUER"),
        ({"issuer": None}, "PUSH_OIDC_ISSUER"),
        ({"token_endpoint": "http://login.example.com/token"}, "token_endpoint"),
        ({"userinfo_endpoint": "http://10.0.0.1/"}, "userinfo_endpoint"),
        ({"jwks_uri": "file:///etc/passwd"}, "jwks_uri"),
        ({"jwks_uri": ["https://login.example.com"]}, "jwks_uri"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "authorization_endpoint"),
        ({"authorization_endpoint": None, "token_endpoint": None}, "authorization_endpoint, token"),
    ],
)
def test_addresses_that_are_not_safe_are_not_used(
    fake: FakeProvider, provider: IdentityProvider, changes: dict[str, Any], reason: str
) -> None:
    publish(fake, **changes)

    with pytest.raises(IdentityProviderAwayError, match=reason):
        provider.authorization_url(ATTEMPT)


@pytest.mark.parametrize(
    "keys",
    [
        b"{}",
        b'{"keys": 7}',
        b'{"keys": []}',
        b'{"keys": [{"kty": "RSA", "n": "!", "e": []}]}',
        b"[",
    ],
)
def test_keys_that_cannot_be_read_prove_nothing(
    fake: FakeProvider, provider: IdentityProvider, keys: bytes
) -> None:
    fake.answers["/jwks"] = (200, keys)

    with pytest.raises(IdentityProviderAwayError):
        exchange(provider)


def test_addresses_and_keys_are_kept(fake: FakeProvider, provider: IdentityProvider) -> None:
    for _ in range(3):
        exchange(provider)

    assert fake.asked.count(DISCOVERY) == fake.asked.count("/jwks") == 1


def test_a_provider_that_names_itself_in_each_answer_has_to_do_so(
    fake: FakeProvider, provider: IdentityProvider
) -> None:
    publish(fake, authorization_response_iss_parameter_supported=True)

    with pytest.raises(IdentityRefusedError, match="another identity provider"):
        exchange(provider)
    assert exchange(provider, iss=fake.url).claims["sub"] == "a-1"


def test_a_provider_without_userinfo_tells_all_in_its_id_token(
    fake: FakeProvider, provider: IdentityProvider
) -> None:
    publish(fake, userinfo_endpoint=None)

    grant = exchange(provider)
    again = provider.ask_again("a-1", grant.tokens, utc_now())

    assert grant.claims["roles"] == again.claims["roles"] == ["team"]
    assert "/userinfo" not in fake.asked


def test_a_userinfo_about_another_person_proves_nothing(
    fake: FakeProvider, provider: IdentityProvider
) -> None:
    fake.answers["/userinfo"] = (200, b'{"sub": "b-1", "roles": ["admins"]}')

    with pytest.raises(IdentityRefusedError, match="another person"):
        exchange(provider)


@pytest.mark.parametrize("methods", [["client_secret_post"], ["client_secret_basic"], None])
def test_the_secret_goes_in_the_way_that_the_provider_takes(
    fake: FakeProvider, provider: IdentityProvider, methods: list[str] | None
) -> None:
    publish(fake, token_endpoint_auth_methods_supported=methods)

    assert exchange(provider).claims["sub"] == "a-1"


def test_a_public_client_proves_itself_by_pkce_alone(fake: FakeProvider) -> None:
    fake.is_public = True
    options = replace(identity_settings(fake.url).client, client_secret=None)

    assert exchange(IdentityProvider(options)).claims["sub"] == "a-1"


def test_a_certificate_that_nobody_vouches_for_proves_no_provider(tmp_path: Path) -> None:
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    with run_identity_provider(tls) as fake:
        stranger = identity_settings(fake.url).client
        known = replace(stranger, ca_file=tmp_path / "ca.pem")
        address = IdentityProvider(known).authorization_url(ATTEMPT)
        with pytest.raises(IdentityProviderAwayError, match="certificate"):
            IdentityProvider(stranger).authorization_url(ATTEMPT)

    assert address.startswith(f"{fake.url}/authorize?")

"""The settings of the identity provider: what fits, and what the message says if it does not."""

from pathlib import Path

import pytest

from chassis.bearer_auth import Role
from chassis.settings import SettingsError
from push_blaster.settings import PushSettings
from tests.push_blaster.settings import environ_for

GOOD = {
    "PUSH_PUBLIC_URL": "https://push.example.com/",
    "PUSH_OIDC_ISSUER": "https://login.example.com/realm",
    "PUSH_OIDC_CLIENT_ID": "push",
    "PUSH_OIDC_CLIENT_SECRET": "of the client",
    "PUSH_OIDC_ROLES": "CN=push,DC=x=admin, marketing = operator,everybody=viewer",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    required = environ_for("postgresql://a:b@127.0.0.1/x", tmp_path)
    for name, value in {**required, **GOOD}.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_the_settings_name_the_provider_the_way_back_and_the_roles(
    environment: pytest.MonkeyPatch,
) -> None:
    found = PushSettings.from_environ().identity

    assert found
    assert found.client.redirect_uri == "https://push.example.com/sign-in/return"
    assert found.client.scopes == ("openid", "profile", "email")
    assert found.rules.roles == {
        "CN=push,DC=x": "admin",
        "marketing": "operator",
        "everybody": "viewer",
    }
    assert "of the client" not in repr(found)


@pytest.mark.parametrize("scopes", ["openid groups,email", "groups email", "groups,openid,email"])
def test_scopes_are_parted_by_commas_or_spaces_and_openid_is_one(
    environment: pytest.MonkeyPatch, scopes: str
) -> None:
    environment.setenv("PUSH_OIDC_SCOPES", scopes)
    environment.setenv("PUSH_OIDC_ROLE_CLAIM", "")
    environment.setenv("PUSH_OIDC_DISPLAY_NAME", "")
    found = PushSettings.from_environ().identity

    assert found
    assert sorted(found.client.scopes) == ["email", "groups", "openid"]
    assert (found.rules.claim, found.display_name) == ("roles", "your organisation")


def test_without_an_issuer_nobody_signs_in_that_way(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("PUSH_OIDC_ISSUER")

    assert PushSettings.from_environ().identity is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PUSH_OIDC_ISSUER", "http://login.example.com"),
        ("PUSH_OIDC_ISSUER", "login.example.com"),
        ("PUSH_OIDC_ISSUER", "https://login.example.com?x=1"),
        ("PUSH_OIDC_ISSUER", "http://127.0.0.1.example.com"),
        ("PUSH_OIDC_ISSUER", "http://127.0.0.1@example.com"),
        ("PUSH_PUBLIC_URL", "http://push.example.com"),
        ("PUSH_PUBLIC_URL", None),
        ("PUSH_PUBLIC_URL", "push"),
        ("PUSH_OIDC_CLIENT_ID", None),
        ("PUSH_OIDC_ROLES", None),
        ("PUSH_OIDC_ROLES", "marketing"),
        ("PUSH_OIDC_ROLES", "marketing=root"),
        ("PUSH_OIDC_ROLES", "a=viewer,=admin"),
        ("PUSH_OIDC_ROLES", "a=viewer,b=Admin"),
        ("PUSH_OIDC_CLIENT_SECRET", "change-me"),
        ("PUSH_ADMIN_TOKEN_OWNER", "Anna\u200bBauer"),
        ("PUSH_ADMIN_TOKEN_OWNER", "x" * 81),
    ],
)
def test_a_setting_that_does_not_fit_is_named(
    environment: pytest.MonkeyPatch, name: str, value: str | None
) -> None:
    if value is None:
        environment.delenv(name)
    else:
        environment.setenv(name, value)

    with pytest.raises(SettingsError, match=name):
        PushSettings.from_environ()


@pytest.mark.parametrize("issuer", ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:1"])
def test_http_is_allowed_for_this_machine(environment: pytest.MonkeyPatch, issuer: str) -> None:
    environment.setenv("PUSH_OIDC_ISSUER", issuer)

    assert PushSettings.from_environ().identity


def test_tokens_of_the_environment_have_owners(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("PUSH_ADMIN_TOKEN_OWNER", "Anna Bauer")

    assert PushSettings.from_environ().token_owners == {Role.ADMIN: "Anna Bauer"}

"""The settings of signing in through an identity provider."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from environs import Env

from chassis.settings import SettingsError, SettingsReader, is_secure_url, read_secret
from push_blaster.adapters.access.provider_client import ClientOptions
from push_blaster.domain.access.person import RoleRules

#: The path of the page to which the identity provider leads back.
RETURN_PATH: Final = "/sign-in/return"
_ENTRY: Final = re.compile(r"\s*(.+?)\s*=\s*(admin|operator|viewer)\s*(?:,|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentitySettings:
    """An identity provider, who may do what by its word, and its name on the sign-in page."""

    client: ClientOptions
    rules: RoleRules
    display_name: str


def read_identity_settings(read: SettingsReader, public_url: str | None) -> IdentitySettings | None:
    """Read the settings; None without PUSH_OIDC_ISSUER. `read` notes each that does not fit."""
    if not read.env.str("PUSH_OIDC_ISSUER", None):
        return None
    scopes = " ".join(read.env.list("PUSH_OIDC_SCOPES", ["openid", "profile", "email"])).split()
    ca_file = read.env.str("PUSH_OIDC_CA_FILE", None)
    return IdentitySettings(
        client=ClientOptions(
            issuer=read(_secure_url, "PUSH_OIDC_ISSUER") or "",
            client_id=read(_require_text, "PUSH_OIDC_CLIENT_ID"),
            client_secret=read(read_secret, "PUSH_OIDC_CLIENT_SECRET"),
            redirect_uri=f"{read(_public_url, public_url)}{RETURN_PATH}",
            scopes=tuple(dict.fromkeys(["openid", *scopes])),
            ca_file=Path(ca_file) if ca_file else None,
        ),
        rules=RoleRules(
            claim=read.env.str("PUSH_OIDC_ROLE_CLAIM", None) or "roles",
            roles=read(_read_roles) or {},
        ),
        display_name=read.env.str("PUSH_OIDC_DISPLAY_NAME", None) or "your organisation",
    )


def read_public_url(env: Env) -> str | None:
    """Return the address of the pages as browsers see it, without a slash at its end."""
    url = env.str("PUSH_PUBLIC_URL", None) or None
    return _secure_url(env, "PUSH_PUBLIC_URL").rstrip("/") if url else None


def _public_url(_: Env, url: str | None) -> str:
    if url is None:
        raise SettingsError(
            "PUSH_PUBLIC_URL is not set. The identity provider leads browsers back to it: set it "
            "to the address of the pages, such as https://push.example.com."
        )
    return url


def _secure_url(env: Env, name: str) -> str:
    url = env.str(name)
    if not is_secure_url(url) or "?" in url or "#" in url or "@" in url:
        raise SettingsError(
            f"{name} is {url!r}; use a URL such as https://login.example.com (http is allowed only "
            "for this machine)."
        )
    return url


def _require_text(env: Env, name: str) -> str:
    value = env.str(name, None)
    if not value:
        raise SettingsError(f"{name} is not set. PUSH_OIDC_ISSUER is set, so set {name}, too.")
    return value


def _read_roles(env: Env) -> Mapping[str, str]:
    text = _require_text(env, "PUSH_OIDC_ROLES").strip()
    roles, at = {}, 0
    while at < len(text):
        entry = _ENTRY.match(text, at)
        if entry is None:
            raise SettingsError(
                f"PUSH_OIDC_ROLES has {text[at:]!r}; use VALUE=ROLE, separated by commas, such as "
                "push-admins=admin,marketing=operator. A role is viewer, operator or admin."
            )
        roles[entry[1]], at = entry[2], entry.end()
    return roles

"""The page about tokens."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from chassis.bearer_auth import Role, asks_for, caller_name
from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.adapters.access.token_table import select_tokens
from push_blaster.domain.access.token import Token
from push_blaster.use_cases.access.manage_tokens import (
    BadTokenError,
    TokenExistsError,
    create_token,
    find_mark,
    revoke_token,
    rotate_token,
)
from push_blaster.web.access.tokens import ROLES
from push_blaster.web.frame.frame import page_routes

#: How long the old secret stays valid beside a new one; the API takes any time.
OVERLAP: Final = timedelta(hours=1)
#: The choices of the form for how long a token is valid, in days; 0 means without an end.
DAYS: Final = {"90": "90 days", "365": "a year", "7": "a week", "0": "no expiry"}


def token_pages(database: Database) -> Blueprint:
    """Return the page about tokens."""
    pages = page_routes("tokens")

    @pages.get("/tokens")
    @asks_for(Role.ADMIN)
    def list_all() -> ResponseReturnValue:
        """List the tokens."""
        return _render_page(database)

    @pages.post("/tokens")
    def create() -> ResponseReturnValue:
        """Create a token, and show its secret once; a form sent twice is told so."""
        token = _read_token(request.form)
        try:
            secret = create_token(database, token)
        except TokenExistsError as error:
            fault = " ".join([str(error), *_remark_own(database, token)])
            return _render_page(database, fault=fault), 400
        except BadTokenError as error:
            return _render_page(database, fault=str(error)), 400
        flash(f"The token of {token.name} is created.", "success")
        return _render_page(database, secret=secret, secret_of=token.name)

    @pages.get("/tokens/<name>/<any(rotate,revoke):action>")
    @asks_for(Role.ADMIN)
    def confirm(name: str, action: str) -> ResponseReturnValue:
        """Ask for confirmation."""
        return render_template(
            "token_confirm.html",
            name=name,
            action=action,
            overlap=OVERLAP,
            mark=find_mark(database, name),
        )

    @pages.post("/tokens/<name>/rotate")
    def rotate(name: str) -> ResponseReturnValue:
        """Give the token a new secret, and show it once."""
        mark = request.form.get("mark")
        _, secret = rotate_token(database, name, OVERLAP, utc_now(), mark)
        return _render_page(database, secret=secret, secret_of=name)

    @pages.post("/tokens/<name>/revoke")
    def revoke(name: str) -> ResponseReturnValue:
        """Revoke the token."""
        revoke_token(database, name, utc_now())
        flash(f"{name} is revoked, and its sessions have ended.", "success")
        return redirect(url_for(".list_all"), 303)

    return pages


def _read_token(form: Mapping[str, str]) -> Token:
    now = utc_now()
    days = int(form["days"]) if form.get("days") in DAYS else 90
    return Token(
        name=form.get("name", "").strip(),
        role=form["role"] if form.get("role") in ROLES else "viewer",
        is_test="is_test" in form,
        created_at=now,
        created_by=caller_name(),
        expires_at=now + timedelta(days=days) if days else None,
        owner=form.get("owner", "").strip() or None,
    )


def _remark_own(database: Database, token: Token) -> list[str]:
    """Say that this person created such a token, which nobody has used yet; its secret is lost."""
    with database.transaction() as connection:
        (found,) = select_tokens(connection, token.name)
    is_own = found.created_by == token.created_by and found.role == token.role
    if not is_own or found.last_used_at or found.revoked_at:
        return []
    return [
        "You created this token, perhaps by sending this form twice, and nobody has used it yet. "
        "If its secret was not copied, choose Rotate… in its row for a new one."
    ]


def _render_page(database: Database, *, fault: str | None = None, **shown: str) -> str:
    with database.transaction() as connection:
        found = select_tokens(connection)
    now = utc_now()
    rows = [(token, token.state(now)) for token in found]
    return render_template(
        "tokens.html",
        rows=rows,
        fault=fault,
        given=request.form if fault else {},
        roles=ROLES,
        days=DAYS.items(),
        **shown,
    )

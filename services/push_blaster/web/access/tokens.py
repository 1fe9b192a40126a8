"""Routes about tokens: create, list, rotate, revoke."""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Final

from flask import jsonify
from flask.typing import ResponseReturnValue
from marshmallow import validate

from chassis.bearer_auth import Role, asks_for, caller_name
from chassis.clock import utc_now
from chassis.postgres import Database
from chassis.schemas import InstantField
from chassis.service import Routes
from chassis.typed_schemas import about, answer_schema, object_schema
from push_blaster.adapters.access.token_table import select_tokens
from push_blaster.domain.access.token import Token, TokenState
from push_blaster.use_cases.access.manage_tokens import (
    MAX_OVERLAP,
    create_token,
    revoke_token,
    rotate_token,
)
from push_blaster.web.frame.repeatable import refuse_repeat

#: The roles of people first.
ROLES: Final = tuple(role.name.lower() for role in sorted(Role, key=lambda role: role is Role.APP))
#: An answer that no cache keeps: its body, no status of its own, its headers.
_Uncached = tuple[dict[str, object], None, dict[str, str]]

MAX_OVERLAP_MINUTES: Final = int(MAX_OVERLAP.total_seconds() / 60)


#: The secret is in the answer that created it, and in no other.
TokenSchema = answer_schema(Token, state=TokenState, token=str)


def token_routes(database: Database) -> Routes:
    """Return the routes about tokens."""
    routes = Routes("tokens", __name__, description="Who may do what")
    one = "/api/tokens/<name>"

    @routes.route("/api/tokens", methods=["GET"])
    @asks_for(Role.ADMIN)
    @routes.response(200, object_schema("TokenList", tokens=(TokenSchema,)))
    def list_all() -> dict[str, object]:
        """List the tokens, without those of the environment."""
        with database.transaction() as connection:
            return {"tokens": [_show_token(token) for token in select_tokens(connection)]}

    @routes.route("/api/tokens", methods=["POST"])
    @routes.body("NewToken")
    @routes.response(201, TokenSchema)
    def create(
        *,
        name: str,
        role: str = about(validate=validate.OneOf(ROLES)),
        is_test: bool = False,
        expires_at: datetime | None = about(None, like=InstantField),
        owner: str | None = about(None, description="The person or the team that has the token."),
    ) -> _Uncached:
        """Create a token; only this answer has its secret."""
        refuse_repeat()
        token = Token(
            name=name,
            role=role,
            is_test=is_test,
            created_at=utc_now(),
            created_by=caller_name(),
            expires_at=expires_at,
            owner=owner,
        )
        return _show_secret(token, create_token(database, token))

    _add_changes(routes, database, one)
    return routes


def _add_changes(routes: Routes, database: Database, one: str) -> None:
    @routes.route(f"{one}/rotate", methods=["POST"])
    @routes.body("Rotate", required=False)
    @routes.response(200, TokenSchema)
    def rotate(
        name: str,
        *,
        overlap_minutes: float = about(
            60,
            validate=validate.Range(min=0, max=MAX_OVERLAP_MINUTES),
            description="How long the old secret stays valid beside the new one.",
        ),
    ) -> _Uncached:
        """Give a token a new secret; the old secret stays valid for `overlapMinutes`."""
        refuse_repeat()
        overlap = timedelta(minutes=overlap_minutes)
        return _show_secret(*rotate_token(database, name, overlap, utc_now()))

    @routes.route(one, methods=["DELETE"])
    @routes.alt_response(200)
    def delete(name: str) -> ResponseReturnValue:
        """Revoke a token at once, and end the sessions that began with it."""
        revoke_token(database, name, utc_now())
        return jsonify(success=True, message=f"{name!r} is revoked.")


def _show_token(token: Token) -> dict[str, object]:
    return {**asdict(token), "state": token.state(utc_now())}


def _show_secret(token: Token, secret: str) -> _Uncached:
    return {**_show_token(token), "token": secret}, None, {"Cache-Control": "no-store"}

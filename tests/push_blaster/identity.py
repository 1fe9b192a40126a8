"""Identity tokens, as the backend of a customer makes them."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import jwt
from flask import Flask
from flask.testing import FlaskClient

from chassis.clock import utc_now
from tests.push_blaster.settings import IDENTITY_KEY


def identity_token(user_id: UUID | str, *, key: str = IDENTITY_KEY, **claims: Any) -> str:
    """Return a token of a user, valid for ten minutes; a claim that is None is left out."""
    now = utc_now()
    usual = {"sub": str(user_id), "iat": now, "exp": now + timedelta(minutes=10)}
    given = {name: value for name, value in (usual | claims).items() if value is not None}
    return jwt.encode(given, key, "HS256")


def app_of(app: Flask, user_id: UUID) -> FlaskClient:
    """Return an app in the hands of a user."""
    return with_token(app, identity_token(user_id))


def with_token(app: Flask, token: str) -> FlaskClient:
    """Return a client that sends a token."""
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    return client

"""Small marks that a browser keeps for a person, such as what the person has seen."""

from datetime import timedelta
from typing import Final

from flask import Response, request

#: The mark of a browser that has shown the cadence rules.
SEEN_RULES: Final = "seen_cadence_rules"
_KEPT: Final = timedelta(days=365)


def keep_mark(response: Response, name: str) -> Response:
    """Let the browser keep a mark; a cookie that no script reads and no other site sends."""
    response.set_cookie(
        name, "1", max_age=_KEPT, httponly=True, samesite="Lax", secure=request.is_secure
    )
    return response


def read_marks() -> frozenset[str]:
    """Return the marks that the browser keeps, among its other cookies."""
    return frozenset(request.cookies)

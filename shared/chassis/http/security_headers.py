"""Security headers of every answer."""

from typing import Final

from flask import Flask, Response, request

#: Nothing may be loaded or framed; a page that loads something sets its own policy.
_NOTHING: Final = "default-src 'none'; frame-ancestors 'none'"
_A_YEAR: Final = "max-age=31536000"


def install_security_headers(app: Flask) -> None:
    """Give each answer its headers, unless its view has set stricter ones."""

    @app.after_request
    def guard(response: Response) -> Response:
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers.setdefault("Content-Security-Policy", _NOTHING)
        # Files of style and script set what fits them; all else may be private.
        response.headers.setdefault("Cache-Control", "no-store")
        if request.is_secure:
            response.headers["Strict-Transport-Security"] = _A_YEAR
        return response

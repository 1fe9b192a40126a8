"""Routes of the web client: two scripts for sites, and the key by which browsers subscribe."""

from datetime import timedelta
from pathlib import Path
from typing import Final

from flask import Response, request
from werkzeug.exceptions import NotFound

from chassis.bearer_auth import needs_no_token
from chassis.http.request_classes import RequestClass, of_class
from chassis.service import Routes
from chassis.typed_schemas import object_schema

_FOLDER: Final = Path(__file__).parents[1] / "static" / "client"
#: How long a browser uses a file without asking; an upgrade reaches every site within this time.
_FRESH: Final = timedelta(hours=1)
_SCRIPT: Final = "text/javascript"
#: What any site may do with the files. A site whose proxy serves the worker as its own gives it all
#: of its pages, and lets it report.
_FOR_SITES: Final = {
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Service-Worker-Allowed": "/",
    "Content-Security-Policy": "default-src 'none'; connect-src *; frame-ancestors 'none'",
}


def web_client_routes(public_key: str | None) -> Routes:
    """Return the routes; `public_key` is None if Web Push is not set up."""
    routes = Routes("web_client", __name__, description="Web Push in the pages of a site")
    files = {path.name: path.read_bytes() for path in _FOLDER.glob("*.js")}

    @routes.after_request
    def open_to_sites(response: Response) -> Response:
        response.headers.update(_FOR_SITES)
        return _let_keep(response) if response.status_code == 200 else response

    @routes.route("/client/<any('push.js','push-worker.js'):name>")
    @needs_no_token
    @of_class(RequestClass.FILES)
    @routes.doc(security=[])
    @routes.answers(content_type=_SCRIPT)
    def show_file(name: str) -> Response:
        """Answer a script of the web client, for pages of any site."""
        return Response(files[name], mimetype=_SCRIPT)

    @routes.route("/api/web-push", methods=["GET"])
    @needs_no_token
    @of_class(RequestClass.FILES)
    @routes.doc(security=[])
    @routes.response(200, object_schema("WebPush", public_key=str))
    def show_key() -> dict[str, str]:
        """Show the public key by which a browser subscribes (VAPID); 404 if there is none."""
        if public_key is None:
            raise NotFound("Web Push is not set up here. Set WEBPUSH_PRIVATE_KEY.")
        return {"public_key": public_key}

    return routes


def _let_keep(response: Response) -> Response:
    """Let browsers and caches keep an answer, and ask by its hash whether it has changed."""
    response.cache_control.public = True
    response.cache_control.max_age = int(_FRESH.total_seconds())
    response.add_etag()
    response.make_conditional(request)
    return response

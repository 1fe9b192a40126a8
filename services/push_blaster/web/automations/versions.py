"""Versions of documents in HTTP: ETag of answers, If-Match of requests."""

from collections.abc import Mapping
from typing import Any

from flask import Response, request
from werkzeug.exceptions import PreconditionFailed

from push_blaster.adapters.automations.document_files import DocumentFiles


def check_if_match(files: DocumentFiles, document_id: str) -> int | None:
    """Return the version that If-Match asks for; None without If-Match; 412 if it is stale."""
    if not request.if_match:
        return None
    current = files.load(document_id)["version"]
    if not request.if_match.contains(str(current)):
        raise PreconditionFailed(
            f"{document_id!r} is at version {current}; read it again, and repeat the change."
        )
    return int(current)


def tag(response: Response, document: Mapping[str, Any]) -> Response:
    """Return `response` with the document's version as its ETag."""
    response.set_etag(str(document["version"]))
    return response

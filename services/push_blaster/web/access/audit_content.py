"""The content of a request for the audit log: query, body, files, and what the request changed."""

from collections.abc import Mapping
from contextlib import suppress
from hashlib import file_digest, sha256
from io import RawIOBase
from os import SEEK_END
from typing import IO, Any, Final

from flask import has_request_context, request, session

from push_blaster.adapters.automations.document_files import DocumentChange
from push_blaster.web.frame.document_paths import find_differences

_FORM: Final = "application/x-www-form-urlencoded"
_FILES: Final = "multipart/form-data"
_UPLOAD: Final = "push_blaster.audit_upload"
_CHANGED: Final = "push_blaster.audit_changed"
_SAID_BEFORE: Final = "push_blaster.audit_said_before"
#: Names by which callers say who they are; only the token proves it.
_CLAIMS: Final = ("by", "changedBy")


def note_change(
    name: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> None:
    """Note for the audit log which fields of a document this request changed, and how."""
    if not has_request_context():
        return
    differences = find_differences(before or {}, after or {})
    changed = {one.path: {"before": one.mine, "after": one.theirs} for one in differences}
    request.environ.setdefault(_CHANGED, {})[name] = changed


def note_document(change: DocumentChange) -> None:
    """Note a change of a document."""
    note_change(change.place, change.before, change.after)


def read_content() -> dict[str, object]:
    """Return query and body; the body of an upload is hashed while the view reads it."""
    request.environ[_SAID_BEFORE] = len(_list_complaints())
    said: dict[str, object] = {"query": request.args.to_dict()} if request.args else {}
    if request.is_json:
        said |= _set_claims_apart("body", request.get_json(silent=True))
    elif request.mimetype == _FORM:
        said |= _set_claims_apart("form", request.form.to_dict())
    elif request.content_length:
        said["upload"] = {"type": request.mimetype, "bytes": request.content_length}
    if not request.is_json and request.mimetype not in {_FORM, _FILES}:
        environ = request.environ
        environ["wsgi.input"] = environ[_UPLOAD] = _Hashed(environ["wsgi.input"])
    return said


def hash_body() -> str | None:
    """Return the SHA-256 of a body that is read as a whole; None for an upload, or no body."""
    body = request.get_data() if request.is_json or request.mimetype == _FORM else b""
    return sha256(body).hexdigest() if body else None


def read_detail() -> dict[str, object]:
    """Return the content after the change: the changes, and the fields and files of the request.

    Shape: a refusal that a page shows as a message comes first.
    """
    detail: dict[str, object] = {}
    if refusal := _list_complaints()[request.environ.get(_SAID_BEFORE, 0) :]:
        detail["refused"] = refusal
    if _CHANGED in request.environ:
        detail["changed"] = request.environ[_CHANGED]
    upload: _Hashed | None = request.environ.get(_UPLOAD)
    if upload and upload.size:
        detail["upload"] = {"sha256": upload.digest.hexdigest(), "bytes": upload.size}
    if (
        "files" in vars(request) and request.mimetype == _FILES
    ):  # the view has read a multipart body
        detail |= _set_claims_apart("fields", request.form.to_dict())
        detail["files"] = [
            {"field": field, "name": upload.filename, **_measure(upload.stream)}
            for field, upload in request.files.items(multi=True)
        ]
    return detail


class _Hashed(RawIOBase):
    """The body of an upload, as far as it was read, with its size and its SHA-256."""

    def __init__(self, body: IO[bytes]) -> None:
        self._body = body
        self.size = 0
        self.digest = sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._body.read(len(buffer))
        buffer[: len(piece)] = piece
        self.size += len(piece)
        self.digest.update(piece)
        return len(piece)


def _list_complaints() -> list[str]:
    """Return the errors that pages have yet to show to the caller of this session."""
    if not (request.blueprint or "").startswith("pages_"):
        return []
    return [text for kind, text in session.get("_flashes", []) if kind == "error"]


def _set_claims_apart(name: str, body: object) -> dict[str, object]:
    if not isinstance(body, dict):
        return {name: body}
    claimed = {claim: body[claim] for claim in _CLAIMS if body.get(claim)}
    rest = {field: value for field, value in body.items() if field not in claimed}
    return {name: rest, "claimed": claimed} if claimed else {name: rest}


def _measure(stream: Any) -> dict[str, object]:
    with suppress(ValueError, OSError):  # the view has closed the file
        stream.seek(0)
        digest = file_digest(stream, "sha256").hexdigest()
        return {"sha256": digest, "bytes": stream.seek(0, SEEK_END)}
    return {}

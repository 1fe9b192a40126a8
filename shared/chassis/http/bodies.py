"""Bodies of requests: how large they may be, before and after it is known who sends them."""

import gzip
import zlib
from collections.abc import Callable
from io import RawIOBase
from typing import IO, Any, Final, TypeVar

from flask import Flask, Request, request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import (
    BadRequest,
    LengthRequired,
    RequestEntityTooLarge,
    UnsupportedMediaType,
)
from werkzeug.formparser import FormDataParser
from werkzeug.wsgi import get_input_stream

_View = TypeVar("_View", bound=Callable[..., object])

#: What somebody may send who is not known yet: a form with a token.
MAX_OF_STRANGERS: Final = 8 * 1024
#: A body may always unpack to this size in bytes, and beyond it to this multiple of its own size.
MIN_UNPACKED: Final = 1024 * 1024
UNPACKS_TO: Final = 32


def limit_strangers(app: Flask, is_open: Callable[[str], bool]) -> None:
    """Refuse large, packed or endless bodies of requests that need no token; call this first.

    Shape: `is_open` says of an endpoint whether it needs no token.
    """

    @app.before_request
    def limit() -> None:
        if request.endpoint is not None and not is_open(request.endpoint):
            return
        view = app.view_functions.get(request.endpoint or "")
        _limit_to(getattr(view, "max_body", MAX_OF_STRANGERS))


def limit_users(app: Flask, is_user: Callable[[], bool]) -> None:
    """Refuse the same bodies of apps in the hands of users; call this after authentication."""

    @app.before_request
    def limit() -> None:
        if is_user():
            _limit_to(MAX_OF_STRANGERS)


def _limit_to(most: int) -> None:
    request.max_content_length = most
    if _is_packed():
        raise UnsupportedMediaType("Send this body without Content-Encoding.")
    if "Transfer-Encoding" in request.headers:
        raise LengthRequired("Send this body with its Content-Length.")
    if (request.content_length or 0) > most:
        raise RequestEntityTooLarge(f"At most {most} bytes may be sent here.")


def takes_of_strangers(most: int) -> Callable[[_View], _View]:
    """Mark a view that needs no token with the size in bytes of what anybody may send there."""

    def mark(view: _View) -> _View:
        view.max_body = most  # type: ignore[attr-defined]  # read by limit_strangers() above
        return view

    return mark


class NamedFields(FormDataParser):
    """A reader of forms in which each field has a name: that of a part without a name is empty.

    Werkzeug names such a part None, which can be neither sorted nor written as JSON.
    """

    def parse(self, *args: Any, **kwargs: Any) -> tuple[IO[bytes], Any, Any]:
        """Return what stays of the body, its fields, and its files."""
        body, fields, files = super().parse(*args, **kwargs)
        return body, self._name(fields), self._name(files)

    def _name(self, parts: MultiDict[str, Any]) -> MultiDict[str, Any]:
        return self.cls((name or "", value) for name, value in parts.items(multi=True))


class RequestOfNamedFields(Request):
    """A request whose form is read by NamedFields."""

    form_data_parser_class = NamedFields


def unpack_bodies(app: Flask, is_known: Callable[[], bool]) -> None:
    """Unpack bodies in gzip as they are read, of known callers; call this after authentication."""

    @app.before_request
    def unpack() -> None:
        if _is_packed() and is_known():
            environ = request.environ
            packed = get_input_stream(environ)
            environ["wsgi.input"] = _Unpacked(packed, request.max_content_length or 0)
            environ["wsgi.input_terminated"] = True
            environ.pop("CONTENT_LENGTH", None)


def _is_packed() -> bool:
    return request.headers.get("Content-Encoding", "").strip().lower() == "gzip"


class _Counted(RawIOBase):
    """A body that knows how much of it was read."""

    def __init__(self, body: IO[bytes]) -> None:
        self._body = body
        self.size = 0

    def read(self, size: int = -1) -> bytes:
        piece = self._body.read(size)
        self.size += len(piece)
        return piece


class _Unpacked(RawIOBase):
    """An unpacked body; BadRequest if it is no whole gzip, RequestEntityTooLarge."""

    def __init__(self, packed: IO[bytes], limit: int) -> None:
        self._packed = _Counted(packed)
        self._file = gzip.GzipFile(fileobj=self._packed)
        self._limit = limit
        self._size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            size = self._file.readinto(buffer)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise BadRequest(f"The body is not whole and valid gzip: {error}") from error
        self._size += size
        most = min(self._limit, MIN_UNPACKED + UNPACKS_TO * self._packed.size)
        if self._size > most:
            raise RequestEntityTooLarge("The body is too large once it is unpacked.")
        return size

"""Request bodies in gzip, unpacked as they are read."""

import gzip
import zlib
from collections.abc import Iterable
from io import RawIOBase
from typing import IO, TYPE_CHECKING, Any

from werkzeug.exceptions import BadRequest, RequestEntityTooLarge
from werkzeug.wsgi import get_input_stream

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class GzipBodies:
    """WSGI middleware that unpacks request bodies, up to a limit in bytes."""

    def __init__(self, app: "WSGIApplication", limit: int) -> None:
        """Take the app, and the limit of an unpacked body in bytes."""
        self._app = app
        self._limit = limit

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Hand the request on."""
        if environ.get("HTTP_CONTENT_ENCODING", "").strip().lower() == "gzip":
            packed = get_input_stream(environ)
            unpacked = _Unpacked(packed, self._limit)
            environ = environ | {"wsgi.input": unpacked, "wsgi.input_terminated": True}
            environ.pop("CONTENT_LENGTH", None)
            environ.pop("HTTP_CONTENT_ENCODING")
        return self._app(environ, start_response)


class _Unpacked(RawIOBase):
    """An unpacked body; BadRequest if it is not a whole gzip file, RequestEntityTooLarge."""

    def __init__(self, packed: IO[bytes], limit: int) -> None:
        self._file = gzip.GzipFile(fileobj=packed)
        self._left = limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            size = self._file.readinto(buffer)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise BadRequest(f"The body is not whole and valid gzip: {error}") from error
        self._left -= size
        if self._left <= 0:
            raise RequestEntityTooLarge("The body is too large once it is unpacked.")
        return size

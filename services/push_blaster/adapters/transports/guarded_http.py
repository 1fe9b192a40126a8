"""Posts by libcurl, many at once, to allowed addresses only, without following redirects."""

import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import pycurl

from push_blaster.adapters.transports.answers import MAX_BODY
from push_blaster.domain.devices.device import Network, may_reach

#: Connections to one host.
CONNECTIONS: Final = 8
LOOK_S: Final = 0.05
#: The headers of an answer that are read.
HEADERS: Final = frozenset({"location", "retry-after"})
#: How much of an answer's body is read, so that the connection can be used again.
MAX_ANSWER: Final = 65_536

#: What a post carries, for whoever began it.
Carried = TypeVar("Carried")


@dataclass(frozen=True, slots=True, kw_only=True)
class PostOptions:
    """The private networks that are allowed, a private CA, and how long an answer may take."""

    private_networks: Sequence[Network] = ()
    ca_file: Path | None = None
    answer_timeout: timedelta = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Post:
    """The request for one message."""

    url: str
    headers: Sequence[str]
    body: bytes


@dataclass(slots=True)
class Attempt(Generic[Carried]):
    """A post in flight, and its result.

    Shape: `status` is 0 if no answer came; then `fault` says why, and `has_begun` whether a part of
    the post may have left. `refused` is the address that is not allowed. `body` is the beginning of
    the answer's body.
    """

    message: Carried
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    fault: str = ""
    has_begun: bool = False
    refused: str | None = None
    _answer_size: int = 0

    def read_header(self, line: bytes) -> None:
        """Take one header line; an interim answer (1xx) leaves no headers to the final one."""
        name, _, value = line.decode("latin-1").partition(":")
        if name.startswith("HTTP/"):
            self.headers.clear()
        elif (name := name.strip().lower()) in HEADERS:
            self.headers[name] = value.strip()

    def read_body(self, part: bytes) -> int | None:
        """Take a part of the answer's body; a result other than None ends the answer."""
        self.body += part[: MAX_BODY - len(self.body)]
        self._answer_size += len(part)
        return None if self._answer_size <= MAX_ANSWER else 0


class _LentSocket(socket.socket):
    """A socket that libcurl duplicates; this copy closes when it is not used any more."""

    def __del__(self) -> None:
        self.close()


class GuardedHttpPool(Generic[Carried]):
    """Connections that stay open between sends, for one thread at a time.

    The pool uses no proxy. It checks an address when it connects, not when it looks up the name, so
    that a name that changes its address between the two is no way around the check.
    """

    def __init__(self, options: PostOptions) -> None:
        """Take the timeout, and the networks that are allowed."""
        self._options = options
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        self._multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, CONNECTIONS)
        self._spare: list[Any] = []
        self._in_flight: dict[Any, Attempt[Carried]] = {}

    def __len__(self) -> int:
        """Return how many posts are in flight."""
        return len(self._in_flight)

    def begin(self, post: Post, message: Carried) -> None:
        """Begin a post without waiting for its answer."""
        attempt = Attempt(message)
        handle = self._spare.pop() if self._spare else pycurl.Curl()
        self._set_up(handle, post, attempt)
        self._in_flight[handle] = attempt
        self._multi.add_handle(handle)

    def collect(self) -> Iterator[Attempt[Carried]]:
        """Let libcurl work for a moment, and yield the attempts that have ended."""
        self._multi.perform()
        _, done, failed = self._multi.info_read()
        for handle in done:
            yield self._end(handle)
        for handle, _, text in failed:
            yield self._end(handle, text)
        if not done and not failed:
            self._multi.select(LOOK_S)

    def abandon(self) -> list[Attempt[Carried]]:
        """Break off every attempt in flight, and return it."""
        return [self._end(handle, "broken off") for handle in list(self._in_flight)]

    def close(self) -> None:
        """Close every connection."""
        self._multi.close()

    def _end(self, handle: Any, fault: str = "") -> Attempt[Carried]:
        attempt = self._in_flight.pop(handle)
        attempt.status = handle.getinfo(pycurl.RESPONSE_CODE)
        attempt.fault = fault
        # The receiver cannot have the message before a part of the body has left.
        attempt.has_begun = handle.getinfo(pycurl.SIZE_UPLOAD_T) > 0
        self._multi.remove_handle(handle)
        handle.reset()
        self._spare.append(handle)
        return attempt

    def _set_up(self, handle: Any, post: Post, attempt: Attempt[Carried]) -> None:
        handle.setopt(pycurl.URL, post.url)
        handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
        # Without TLS, only the first answer shows whether a connection takes several requests.
        handle.setopt(pycurl.PIPEWAIT, post.url.lower().startswith("https:"))
        handle.setopt(pycurl.NOSIGNAL, 1)
        handle.setopt(pycurl.PROXY, "")
        handle.setopt(pycurl.FOLLOWLOCATION, 0)
        handle.setopt(pycurl.TIMEOUT_MS, int(self._options.answer_timeout.total_seconds() * 1000))
        handle.setopt(pycurl.HTTPHEADER, list(post.headers))
        handle.setopt(pycurl.POST, 1)
        handle.setopt(pycurl.POSTFIELDS, post.body)
        handle.setopt(pycurl.WRITEFUNCTION, attempt.read_body)
        handle.setopt(pycurl.HEADERFUNCTION, attempt.read_header)
        handle.setopt(pycurl.OPENSOCKETFUNCTION, self._opener(attempt))
        if self._options.ca_file:
            handle.setopt(pycurl.CAINFO, str(self._options.ca_file))

    def _opener(self, attempt: Attempt[Carried]) -> Callable[[int, Any], Any]:
        """Return the function that opens a socket if the address is allowed."""
        allowed = self._options.private_networks

        def open_socket(_: int, to: Any) -> Any:
            if not may_reach(to.addr[0], allowed):
                attempt.refused = to.addr[0]
                return pycurl.SOCKET_BAD
            return _LentSocket(to.family, to.socktype, to.protocol)

        return open_socket


def post_once(post: Post, options: PostOptions) -> Attempt[None]:
    """Post, and wait for the answer as long as the options say."""
    pool: GuardedHttpPool[None] = GuardedHttpPool(options)
    try:
        pool.begin(post, None)
        while not (ended := list(pool.collect())):
            pass  # it waits a moment each time, and libcurl ends the attempt in time
        return ended[0]
    finally:
        pool.close()

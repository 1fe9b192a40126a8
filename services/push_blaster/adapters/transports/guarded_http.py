"""Posts by libcurl: many at once, followed nowhere, and to no address that may not be reached."""

import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pycurl

from push_blaster.domain.delivery.message import Message
from push_blaster.domain.devices.device import Network, may_reach

#: Connections to one host.
CONNECTIONS: Final = 8
LOOK_S: Final = 0.05
#: An answer's body is read so far, and thrown away: the next post may use its connection.
MAX_ANSWER: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class PostOptions:
    """Which private networks may be reached, which authority vouches, how long an answer takes."""

    private_networks: Sequence[Network] = ()
    ca_file: Path | None = None
    answer_timeout: timedelta = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Post:
    """What is posted where for one message."""

    url: str
    headers: Sequence[str]
    body: bytes


@dataclass(slots=True)
class Attempt:
    """A post under way, and what came of it.

    Shape: `status` is 0 where no answer came; then `fault` says why, and `has_begun` whether any
    of the post may have left. `refused` is an address that may not be reached.
    """

    message: Message
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    fault: str = ""
    has_begun: bool = False
    refused: str | None = None
    _answer_size: int = 0

    def read_header(self, line: bytes) -> None:
        """Take a line of the answer's head."""
        name, _, value = line.decode("latin-1").partition(":")
        self.headers[name.strip().lower()] = value.strip()

    def skip_body(self, part: bytes) -> int | None:
        """Take a part of the answer's body; anything but None ends the answer."""
        self._answer_size += len(part)
        return None if self._answer_size <= MAX_ANSWER else 0


class _LentSocket(socket.socket):
    """A socket that libcurl makes its own copy of; ours ends with the look at it."""

    def __del__(self) -> None:
        self.close()


class Lane:
    """Connections kept open between sends, for one thread at a time.

    No proxy is used. An address is judged when it is connected to, not when its name is looked up:
    a name that changes its mind in between gains nothing.
    """

    def __init__(self, options: PostOptions) -> None:
        """Take how patient to be, and where posts may go."""
        self._options = options
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        self._multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, CONNECTIONS)
        self._spare: list[Any] = []
        self._in_flight: dict[Any, Attempt] = {}

    def __len__(self) -> int:
        """Return how many posts are in flight."""
        return len(self._in_flight)

    def begin(self, post: Post, message: Message) -> None:
        """Post, without waiting for the answer."""
        attempt = Attempt(message)
        handle = self._spare.pop() if self._spare else pycurl.Curl()
        self._set_up(handle, post, attempt)
        self._in_flight[handle] = attempt
        self._multi.add_handle(handle)

    def collect(self) -> Iterator[Attempt]:
        """Let libcurl work for a moment, and yield what has ended."""
        self._multi.perform()
        _, done, failed = self._multi.info_read()
        for handle in done:
            yield self._end(handle)
        for handle, _, text in failed:
            yield self._end(handle, text)
        if not done and not failed:
            self._multi.select(LOOK_S)

    def abandon(self) -> list[Attempt]:
        """Break off everything in flight, and return it."""
        return [self._end(handle, "broken off") for handle in list(self._in_flight)]

    def close(self) -> None:
        """Close every connection."""
        self._multi.close()

    def _end(self, handle: Any, fault: str = "") -> Attempt:
        attempt = self._in_flight.pop(handle)
        attempt.status = handle.getinfo(pycurl.RESPONSE_CODE)
        attempt.fault = fault
        # Before anything of the body has left, nobody can have taken the message.
        attempt.has_begun = handle.getinfo(pycurl.SIZE_UPLOAD_T) > 0
        self._multi.remove_handle(handle)
        handle.reset()
        self._spare.append(handle)
        return attempt

    def _set_up(self, handle: Any, post: Post, attempt: Attempt) -> None:
        handle.setopt(pycurl.URL, post.url)
        handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
        # A connection without TLS says only with its first answer that it takes one at a time.
        handle.setopt(pycurl.PIPEWAIT, post.url.lower().startswith("https:"))
        handle.setopt(pycurl.NOSIGNAL, 1)
        handle.setopt(pycurl.PROXY, "")
        handle.setopt(pycurl.FOLLOWLOCATION, 0)
        handle.setopt(pycurl.TIMEOUT_MS, int(self._options.answer_timeout.total_seconds() * 1000))
        handle.setopt(pycurl.HTTPHEADER, list(post.headers))
        handle.setopt(pycurl.POST, 1)
        handle.setopt(pycurl.POSTFIELDS, post.body)
        handle.setopt(pycurl.WRITEFUNCTION, attempt.skip_body)
        handle.setopt(pycurl.HEADERFUNCTION, attempt.read_header)
        handle.setopt(pycurl.OPENSOCKETFUNCTION, self._opener(attempt))
        if self._options.ca_file:
            handle.setopt(pycurl.CAINFO, str(self._options.ca_file))

    def _opener(self, attempt: Attempt) -> Callable[[int, Any], Any]:
        """Return what opens a socket for the attempt, if the address may be reached."""
        allowed = self._options.private_networks

        def open_socket(_: int, to: Any) -> Any:
            if not may_reach(to.addr[0], allowed):
                attempt.refused = to.addr[0]
                return pycurl.SOCKET_BAD
            return _LentSocket(to.family, to.socktype, to.protocol)

        return open_socket

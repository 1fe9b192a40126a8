"""HTTP/2 requests, many on each of a few connections, in one thread of libcurl for all callers.

The thread only moves bytes; the calling threads write the messages and interpret the answers.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final

import pycurl

from chassis.http.retry_after import MAX_PAUSE_S

CONNECTIONS: Final = 16
STREAMS: Final = 100
#: How many requests may be in flight; the others wait until a stream is free.
WINDOW: Final = CONNECTIONS * STREAMS
CONNECT_TIMEOUT_S: Final = 10
#: An answer with a longer body, in bytes, is broken off.
MAX_ANSWER: Final = 65_536
#: How long answers gather before they are read: a thread woken for each would cost four times more.
TICK_S: Final = 0.005
#: How long an idle thread waits for work before it checks whether it should end.
IDLE_S: Final = 0.5


@dataclass(slots=True, eq=False)
class Answer:
    """The answer to a request, or the fault in its place.

    Shape: `fault` is libcurl's code; then `has_begun` says whether a part of the request may have
    left, and `status` is 0 unless the answer broke off after its status. `is_cut_off` says that the
    caller had stopped waiting. `named` is the value of the header that the multiplexer looks for.
    Units: `retry_after_s` is 0 if the answer has no `Retry-After`.
    """

    request: "Request"
    status: int = 0
    body: bytes = b""
    retry_after_s: float = 0.0
    fault: int = 0
    text: str = ""
    has_begun: bool = True
    is_cut_off: bool = False
    named: str = ""


@dataclass(slots=True, eq=False)
class Request:
    """A request: the message that it is `about`, its headers, and its body.

    Shape: without a `url` it goes to that of the multiplexer. `token` is the credential in the
    headers.
    """

    about: Any
    headers: Sequence[str]
    body: bytes
    token: str = ""
    url: str | None = None
    tries: int = 0


@dataclass(slots=True, eq=False)
class Call:
    """The requests of one caller: how many are open, and the queue of their answers."""

    open: int = 0
    answers: SimpleQueue[list[Answer]] = field(default_factory=SimpleQueue)
    #: If set, no request begins any more, and requests in flight are cut off at this time.
    stops_at: float | None = None

    def stop(self, drain_s: float) -> None:
        """Begin no more requests, and cut off those without an answer after `drain_s`."""
        if self.stops_at is None:
            self.stops_at = time.monotonic() + drain_s


class Multiplexer:
    """Posts to one URL, or to those of the requests; any number of threads may submit requests."""

    def __init__(
        self, url: str, answer_timeout_s: float, ca_file: Path | None, *, header: str = ""
    ) -> None:
        """Take the URL, how long an answer may take, and the file of a private CA.

        Shape: `header` is the name of the header of an answer that the caller wants.
        """
        self._url = url
        self._header = header.lower().encode()
        self._timeout_ms = int(answer_timeout_s * 1_000)
        self._ca_file = ca_file
        self._submitted: SimpleQueue[tuple[Call, Sequence[Request]]] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_closing = False

    def submit(self, call: Call, requests: Sequence[Request]) -> None:
        """Send `requests`; each gets one answer in `call.answers`."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="multiplexer", daemon=True)
                self._thread.start()
        self._submitted.put((call, requests))

    def close(self) -> None:
        """Close every connection; requests in flight are cut off."""
        self._is_closing = True
        if self._thread:
            self._thread.join()

    def _run(self) -> None:
        loop = _Loop(self._new_handle)
        while not self._is_closing:
            wait_s = None if loop.is_busy else IDLE_S
            with suppress(Empty):
                while True:
                    loop.take(*self._submitted.get(wait_s is not None, wait_s))
                    wait_s = None
            loop.turn()
            if loop.is_busy:
                time.sleep(TICK_S)
        loop.close()

    def _new_handle(self, flight: "_Flight") -> Any:
        handle = pycurl.Curl()
        handle.setopt(pycurl.URL, self._url)
        handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
        handle.setopt(pycurl.PIPEWAIT, 1)
        handle.setopt(pycurl.NOSIGNAL, 1)
        handle.setopt(pycurl.FOLLOWLOCATION, 0)
        handle.setopt(pycurl.CONNECTTIMEOUT, CONNECT_TIMEOUT_S)
        handle.setopt(pycurl.TIMEOUT_MS, self._timeout_ms)
        handle.setopt(pycurl.POST, 1)
        # A read function cannot go back to the start. Otherwise libcurl would send a message again
        # by itself if the connection broke before the answer.
        handle.setopt(pycurl.READFUNCTION, flight.read)
        handle.setopt(pycurl.WRITEFUNCTION, flight.pieces.append)
        handle.setopt(pycurl.MAXFILESIZE, MAX_ANSWER)
        if self._header:
            handle.setopt(pycurl.HEADERFUNCTION, flight.look_for(self._header))
        if self._ca_file:
            handle.setopt(pycurl.CAINFO, str(self._ca_file))
        return handle


class _Flight:
    """One reusable handle of libcurl, and the request that it carries."""

    __slots__ = ("call", "handle", "has_begun", "headers", "named", "pieces", "request", "url")

    def __init__(self) -> None:
        self.handle: Any = None
        self.call: Call
        self.request: Request
        self.pieces: list[bytes] = []
        self.headers: Sequence[str] | None = None
        self.url: str | None = None
        self.named = ""
        self.has_begun = False

    def load(self, call: Call, request: Request) -> None:
        self.call, self.request, self.has_begun = call, request, False
        self.pieces.clear()
        self.named = ""
        request.tries += 1
        if request.url is not self.url:
            self.url = request.url
            self.handle.setopt(pycurl.URL, request.url)
        self.handle.setopt(pycurl.POSTFIELDSIZE, len(request.body))
        if request.headers is not self.headers:
            self.headers = request.headers
            self.handle.setopt(pycurl.HTTPHEADER, request.headers)

    def read(self, _size: int) -> bytes:
        """Return the whole body, which fits libcurl's buffer."""
        self.has_begun = True
        return self.request.body

    def look_for(self, header: bytes) -> Callable[[bytes], None]:
        """Return what reads each line of an answer's head, and keeps the value of `header`."""

        def read_line(line: bytes) -> None:
            name, _, value = line.partition(b":")
            if name.lower() == header:
                self.named = value.strip().decode("latin-1")

        return read_line


class _Loop:
    """The state of the thread: waiting requests, requests in flight, and spare handles."""

    def __init__(self, new_handle: Any) -> None:
        self._new_handle = new_handle
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        self._multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, CONNECTIONS)
        self._multi.setopt(pycurl.M_MAX_CONCURRENT_STREAMS, STREAMS)
        self._waiting: deque[tuple[Call, Request]] = deque()
        self._spare: list[_Flight] = []
        self._flights: dict[Any, _Flight] = {}
        self._calls: set[Call] = set()

    @property
    def is_busy(self) -> bool:
        return bool(self._waiting or self._flights)

    def take(self, call: Call, requests: Sequence[Request]) -> None:
        self._calls.add(call)
        call.open += len(requests)
        self._waiting.extend((call, request) for request in requests)

    def turn(self) -> None:
        """Begin requests while there is room, and give answers that arrived to their callers.

        A stopped call comes first, so that nothing of it begins, not even a late request.
        """
        for call in [call for call in self._calls if call.stops_at is not None]:
            self._stop(call, call.stops_at or 0.0)
        while self._waiting and len(self._flights) < WINDOW:
            self._begin(*self._waiting.popleft())
        self._multi.perform()
        self._give_answers(self._collect())
        self._calls = {call for call in self._calls if call.open}

    def close(self) -> None:
        for call in self._calls:
            self._stop(call, 0.0)
        self._multi.close()

    def _begin(self, call: Call, request: Request) -> None:
        flight = self._spare.pop() if self._spare else _Flight()
        if flight.handle is None:
            flight.handle = self._new_handle(flight)
        flight.load(call, request)
        self._flights[flight.handle] = flight
        self._multi.add_handle(flight.handle)

    def _end(self, handle: Any) -> _Flight:
        self._multi.remove_handle(handle)
        flight = self._flights.pop(handle)
        self._spare.append(flight)
        return flight

    def _collect(self) -> list[tuple[Call, Answer]]:
        found: list[tuple[Call, Answer]] = []
        left = 1
        while left:
            left, done, failed = self._multi.info_read(WINDOW)
            found.extend(self._read_answer(handle) for handle in done)
            for handle, fault, text in failed:
                call, answer = self._read_answer(handle)
                answer.fault, answer.text = fault, text
                found.append((call, answer))
        return found

    def _read_answer(self, handle: Any) -> tuple[Call, Answer]:
        status = handle.getinfo(pycurl.RESPONSE_CODE)
        pause = 0.0 if status == 200 else min(handle.getinfo(pycurl.RETRY_AFTER), MAX_PAUSE_S)
        flight = self._end(handle)
        body = b"".join(flight.pieces)
        answer = Answer(flight.request, status, body, pause, has_begun=flight.has_begun)
        answer.named = flight.named
        return flight.call, answer

    def _give_answers(self, found: list[tuple[Call, Answer]]) -> None:
        by_call: dict[Call, list[Answer]] = {}
        for call, answer in found:
            by_call.setdefault(call, []).append(answer)
        for call, answers in by_call.items():
            call.open -= len(answers)
            call.answers.put(answers)

    def _stop(self, call: Call, cut_off_at: float) -> None:
        """Give back the requests that did not begin and, after `cut_off_at`, those in flight."""
        if not call.open:
            return
        left: list[tuple[Call, Answer]] = []
        if any(waiting is call for waiting, _ in self._waiting):
            mine = [request for waiting, request in self._waiting if waiting is call]
            self._waiting = deque(pair for pair in self._waiting if pair[0] is not call)
            left += [(call, Answer(r, has_begun=False, is_cut_off=True)) for r in mine]
        if time.monotonic() >= cut_off_at:
            handles = [handle for handle, f in self._flights.items() if f.call is call]
            for flight in map(self._end, handles):
                answer = Answer(flight.request, has_begun=flight.has_begun, is_cut_off=True)
                left.append((call, answer))
        self._give_answers(left)

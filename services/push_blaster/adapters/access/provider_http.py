"""HTTP to the identity provider: limited in time and size, and without redirects."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import pycurl
from requests import PreparedRequest, RequestException, Response, Session
from requests.adapters import BaseAdapter

#: How long an answer may take in all, and how long it may be, in bytes.
TIMEOUT_MS: Final = 5_000
MAX_ANSWER: Final = 512 * 1024
#: How long the provider is not asked again after it gave no answer.
AWAY_PAUSE_S: Final = 10.0


class IdentityProviderAwayError(Exception):
    """The identity provider gives no answer that can be used at present; the message says why."""


class ProviderHttp:
    """Requests to the identity provider; while it is away, they fail at once."""

    def __init__(self, ca_file: Path | None) -> None:
        """Take the file of the certificate authority; None for those of the system."""
        self._adapter = LimitedAdapter(ca_file)
        self._away_until = 0.0
        self._has_failed = False
        self._trial = threading.Lock()  # after a failure, one thread tries and no other waits

    @property
    def is_away(self) -> bool:
        """Whether the provider gave no answer a moment ago; it is not asked meanwhile."""
        return time.monotonic() < self._away_until

    def mount(self, session: Session) -> Session:
        """Let the session send its requests in this way, and take nothing from the environment."""
        session.trust_env = False
        session.mount("https://", self._adapter)
        session.mount("http://", self._adapter)
        return session

    @contextmanager
    def reaching(self) -> Iterator[None]:
        """Let a request fail with IdentityProviderAwayError, if the provider does not answer."""
        is_trial = self._has_failed and self._trial.acquire(blocking=False)
        try:
            if self.is_away or (self._has_failed and not is_trial):
                raise IdentityProviderAwayError("it gave no answer a moment ago")
            yield
            self._has_failed = False
        except RequestException as error:
            self._has_failed, self._away_until = True, time.monotonic() + AWAY_PAUSE_S
            raise IdentityProviderAwayError(str(error)) from error
        finally:
            if is_trial:
                self._trial.release()

    def read(self, url: str, token: str | None = None) -> Response:
        """Return the answer of an address; with a `token`, in the name of its owner."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        with self.reaching(), self.mount(Session()) as session:
            answer = session.get(url, headers={"Accept": "application/json", **headers})
            if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                answer.raise_for_status()
            return answer


def read_object(answer: Response) -> Mapping[str, Any]:
    """Return the object of JSON of an answer; IdentityProviderAwayError if it is none."""
    try:
        found = answer.json()
    except (ValueError, RecursionError):
        found = None
    if answer.status_code != HTTPStatus.OK or not isinstance(found, dict):
        raise IdentityProviderAwayError(
            f"{answer.url} answered {answer.status_code}, and no object of JSON"
        )
    return found


class LimitedAdapter(BaseAdapter):
    """Sends requests of the library `requests`; whatever the provider does, an answer comes soon.

    An answer that leads elsewhere is an answer, and nobody follows it.
    """

    def __init__(self, ca_file: Path | None) -> None:
        """Take the file of the certificate authority; None for those of the system."""
        super().__init__()
        self._ca_file = ca_file

    def send(self, request: PreparedRequest, *_: Any, **__: Any) -> Response:
        """Return the whole answer; RequestException if there is none, or if it is too long."""
        content = bytearray()
        handle = self._prepare(request, content)
        try:
            handle.perform()
            status = handle.getinfo(pycurl.RESPONSE_CODE)
        except pycurl.error as error:
            raise RequestException(_name_fault(error, content)) from error
        finally:
            handle.close()
        return _make_response(request, status, bytes(content))

    def close(self) -> None:
        """Close nothing: each request has a connection of its own."""

    def _prepare(self, request: PreparedRequest, content: bytearray) -> pycurl.Curl:
        def read(part: bytes) -> int:
            content.extend(part)
            return len(part) if len(content) <= MAX_ANSWER else 0

        handle = pycurl.Curl()
        handle.setopt(pycurl.URL, str(request.url))
        handle.setopt(pycurl.CUSTOMREQUEST, str(request.method))
        handle.setopt(pycurl.NOSIGNAL, 1)
        handle.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        handle.setopt(pycurl.FOLLOWLOCATION, 0)
        handle.setopt(pycurl.TIMEOUT_MS, TIMEOUT_MS)
        handle.setopt(pycurl.HTTPHEADER, _list_headers(request.headers))
        if request.body:
            handle.setopt(pycurl.POSTFIELDS, request.body)
        handle.setopt(pycurl.WRITEFUNCTION, read)
        if self._ca_file:
            handle.setopt(pycurl.CAINFO, str(self._ca_file))
        return handle


def _list_headers(headers: Mapping[str, str]) -> list[str]:
    """Return the headers for curl; nothing is packed, so that the limit counts what is read."""
    named = {**headers, "Accept-Encoding": "identity", "Expect": ""}
    return [f"{name}: {value}" for name, value in named.items() if name != "Content-Length"]


def _name_fault(error: pycurl.error, content: bytearray) -> str:
    is_too_long = len(content) > MAX_ANSWER
    return f"the answer has more than {MAX_ANSWER} bytes" if is_too_long else str(error.args[-1])


def _make_response(request: PreparedRequest, status: int, content: bytes) -> Response:
    response = Response()
    response.status_code = status
    response.reason = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Unknown"
    response.url = str(request.url)
    response.request = request
    response.encoding = "utf-8"
    response._content = content
    return response

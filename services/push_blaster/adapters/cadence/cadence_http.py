"""Requests to the cadence service, for sends and for people."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import orjson
import requests
import urllib3

from chassis.clock import utc_now
from chassis.http.correlation import correlation_headers
from chassis.http.guesses import TOO_MANY
from chassis.http.retry_after import read_retry_after
from push_blaster.domain.error_words import spell_name

#: How long a connection may take where an answer may take longer.
CONNECT: Final = timedelta(seconds=10)
#: What a person has to correct while the service does not accept our token.
NOT_ACCEPTED: Final = (
    "it does not accept our token. Give us its token (CADENCE_API_TOKEN), or the address of the "
    "right service (CADENCE_SERVICE_URL)"
)


class CadenceUnavailableError(Exception):
    """The cadence service is away, slow, or answers nonsense; the message says which."""


class CadenceUnauthorizedError(CadenceUnavailableError):
    """The cadence service does not accept our token; a person has to correct the settings."""

    def __init__(self, said: str) -> None:
        """Take how it said so."""
        super().__init__(f"the cadence service {said}: {NOT_ACCEPTED}")


class CadenceBusyError(CadenceUnavailableError):
    """The cadence service has too much to do at present, and asks for a later request.

    Units: `pause_s` is the pause that it asks for.
    """

    def __init__(self, message: str, pause_s: float) -> None:
        """Take what it said, and the pause."""
        super().__init__(message)
        self.pause_s = pause_s


@dataclass(frozen=True, slots=True)
class CadenceAnswer:
    """The status and the whole body of an answer, and the pause that the service asks for.

    Units: `retry_after_s` is None if the answer asks for no pause.
    """

    status: int
    body: bytes
    retry_after_s: float | None = None

    def read_object(self) -> Mapping[str, Any]:
        """Return the object of JSON that was answered; an empty one if it was none."""
        try:
            found = orjson.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def refuses_token(self) -> bool:
        """Return whether the service refuses our token; a 429 of a proxy does not say so."""
        is_guess = self.status == 429 and self.read_object().get("detail") == TOO_MANY
        return self.status == 401 or is_guess


class CadenceHttp:
    """Sends requests to the cadence service; each thread has a session of its own."""

    def __init__(self, base_url: str, token: str) -> None:
        """Take the address of the service, and the token for it."""
        self._base_url = base_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"}
        self._local = threading.local()

    def request(
        self,
        method: str,
        path: str,
        timeout: timedelta,
        *,
        headers: Mapping[str, str] | None = None,
        **content: Any,
    ) -> CadenceAnswer:
        """Return the answer to one request; a redirect is an answer, and is not followed.

        Shape: `content` is the body and the query, as requests takes them.
        Raises: CadenceUnavailableError; CadenceUnauthorizedError.
        """
        seconds = timeout.total_seconds()
        try:
            with self._session().request(
                method,
                self._base_url + path,
                headers={**self._headers, **correlation_headers(), **(headers or {})},
                timeout=(min(CONNECT.total_seconds(), seconds), seconds),
                allow_redirects=False,
                stream=True,
                **content,
            ) as response:
                body = _read_until(response, time.monotonic() + seconds)
                pause_s = read_retry_after(response.headers.get("Retry-After", ""), utc_now())
                answer = CadenceAnswer(response.status_code, body, pause_s)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise CadenceUnavailableError(
                f"the cadence service did not answer ({spell_name(error)})"
            ) from error
        if answer.refuses_token():
            raise CadenceUnauthorizedError(f"answered {answer.status}")
        return answer

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
        session: requests.Session = self._local.session
        return session


def _read_until(response: requests.Response, give_up_at: float) -> bytes:
    """Return the whole body; requests sets no limit for a body that arrives slowly."""
    pieces: list[bytes] = []
    while piece := response.raw.read1(65_536, decode_content=True):
        pieces.append(piece)
        if time.monotonic() > give_up_at:
            raise CadenceUnavailableError("the cadence service did not answer in time")
    response.raw.release_conn()  # the next request uses the same connection
    return b"".join(pieces)

"""Access tokens for FCM, requested in one place and renewed before they expire."""

import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any, Final

import pycurl
from google.oauth2 import service_account

from chassis.clock import machine_now, utc_now
from push_blaster.domain.delivery.message import ProviderAwayError, TransportUnavailableError

SCOPE: Final = "https://www.googleapis.com/auth/firebase.messaging"
#: How long an assertion is valid; Google takes no longer ones.
ASSERTED_FOR: Final = timedelta(hours=1)
RENEW_BEFORE: Final = timedelta(minutes=5)
#: A token that lasts longer than this is used while Google is away.
USABLE: Final = timedelta(minutes=1)
#: How long one request for a token may take, from the name to the last byte.
TIMEOUT_S: Final = 10.0
#: How long a thread waits for the request of another thread.
WAIT_S: Final = TIMEOUT_S + 5
#: How long Google is not asked again while the token is still usable.
PAUSE_S: Final = 15.0
#: The largest answer that is read, in bytes.
MAX_ANSWER: Final = 65_536


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    ends_at: float  # in monotonic time

    def lasts(self, time_left: timedelta) -> bool:
        return self.ends_at - time.monotonic() > time_left.total_seconds()


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer in the form that google-auth reads."""

    status: int
    data: bytes
    headers: Mapping[str, str]


class GoogleTokens:
    """The access token of one service account, for all threads.

    One thread at a time asks Google; the others wait for its answer, and no lock is held meanwhile.
    """

    def __init__(self, account: Mapping[str, str], ca_file: Path | None) -> None:
        """Take the service account, and the CA file if the token server has a private CA."""
        try:
            self._credentials: Any = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]  # ships no types
                account, scopes=[SCOPE]
            )
        except ValueError as error:
            raise TransportUnavailableError(
                f"Our key for FCM (FIREBASE_PRIVATE_KEY) is no key: {error}"
            ) from error
        self._ca_file = ca_file
        self._lock = threading.Lock()
        self._token: _Token | None = None
        self._request: Future[_Token] | None = None
        self._ask_again_at = 0.0

    def get(self) -> str:
        """Return a token that is valid for the next minutes, or for one minute if Google is away.

        Raises: ProviderAwayError if Google cannot be asked; TransportUnavailableError if Google
        refuses our account.
        """
        token = self._token
        if token and token.lasts(RENEW_BEFORE):
            return token.text
        is_usable = token is not None and token.lasts(USABLE)
        if token and is_usable and time.monotonic() < self._ask_again_at:
            return token.text
        try:
            return self._replace(token).text
        except ProviderAwayError:
            self._ask_again_at = time.monotonic() + PAUSE_S
            if token and is_usable:
                return token.text
            raise

    def renew(self, refused: str) -> None:
        """Replace the token `refused`, unless another thread has done so."""
        token = self._token
        if token and token.text == refused:
            self._replace(token)

    def _replace(self, old: _Token | None) -> _Token:
        """Return the token after `old`; the first thread that needs it asks Google for it."""
        with self._lock:
            if self._token is not None and self._token is not old:
                return self._token
            is_mine = self._request is None
            request = self._request = self._request or Future()
        if is_mine:
            self._fulfil(request)
        try:
            return request.result(WAIT_S)
        except TimeoutError as error:
            reason = "No access token for FCM: the request of another thread takes too long"
            raise ProviderAwayError(reason) from error

    def _fulfil(self, request: "Future[_Token]") -> None:
        try:
            token = self._ask()
        except BaseException as error:  # noqa: BLE001 - raised again in every thread that waits
            self._request = None
            request.set_exception(error)
            return
        with self._lock:
            self._token, self._request = token, None
        request.set_result(token)

    def _ask(self) -> _Token:
        asking, now = _Asking(self._ca_file), utc_now()
        # Google refuses an assertion by a clock that is off; the library goes by the machine's.
        claims = {"iat": int(now.timestamp()), "exp": int((now + ASSERTED_FOR).timestamp())}
        credentials = self._credentials.with_claims(claims)
        try:
            credentials.refresh(asking.post)
            return _read_token(credentials)
        except Exception as error:
            reason = f"No access token for FCM: {error}"
            if asking.is_refused and not getattr(error, "retryable", False):
                raise TransportUnavailableError(reason) from error
            raise ProviderAwayError(reason) from error


class _Asking:
    """One exchange with the token server, whose whole time is limited."""

    def __init__(self, ca_file: Path | None) -> None:
        self._ca_file = ca_file
        self._ends_at = time.monotonic() + TIMEOUT_S
        self.is_refused = False

    def post(self, url: str, headers: Mapping[str, str], body: bytes, **_: Any) -> _Answer:
        """Return the answer; ProviderAwayError if there is none, or if it asks for a later try."""
        content = bytearray()
        handle = self._prepare(url, headers, body, content)
        try:
            handle.perform()
            status = handle.getinfo(pycurl.RESPONSE_CODE)
        except pycurl.error as error:
            raise ProviderAwayError(str(error.args[-1])) from error
        finally:
            handle.close()
        self.is_refused = 400 <= status < 500 and status not in {408, 429}
        if status != 200 and not self.is_refused:
            raise ProviderAwayError(f"the token server answered {status}")
        return _Answer(status, bytes(content), {})

    def _prepare(
        self, url: str, headers: Mapping[str, str], body: bytes, content: bytearray
    ) -> pycurl.Curl:
        def read(part: bytes) -> int:
            content.extend(part)
            return len(part) if len(content) <= MAX_ANSWER else 0

        handle = pycurl.Curl()
        handle.setopt(pycurl.URL, url)
        handle.setopt(pycurl.NOSIGNAL, 1)
        handle.setopt(pycurl.FOLLOWLOCATION, 0)
        left_ms = int((self._ends_at - time.monotonic()) * 1_000)
        handle.setopt(pycurl.TIMEOUT_MS, max(1, left_ms))
        handle.setopt(pycurl.HTTPHEADER, [f"{name}: {value}" for name, value in headers.items()])
        handle.setopt(pycurl.POSTFIELDS, body)
        handle.setopt(pycurl.WRITEFUNCTION, read)
        if self._ca_file:
            handle.setopt(pycurl.CAINFO, str(self._ca_file))
        return handle


def _read_token(credentials: Any) -> _Token:
    """Return the token that Google gave; ValueError if it fits no header."""
    text, expiry = credentials.token, credentials.expiry
    if not isinstance(text, str) or not text.isascii() or not text.isprintable() or not text:
        raise ValueError("the answer has no access token")
    # A token whose end is not told is asked for anew each time. The library works the end out by
    # the clock of the machine, which somebody may set later.
    lasts = expiry.replace(tzinfo=UTC) - machine_now() if expiry else timedelta(0)
    return _Token(text, time.monotonic() + lasts.total_seconds())

"""Access tokens for FCM, requested in one place and renewed before they expire."""

import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import requests
from google.auth.exceptions import TransportError
from google.auth.transport.requests import Request
from google.oauth2 import service_account

from chassis.clock import utc_now
from push_blaster.domain.delivery.message import ProviderAwayError, TransportUnavailableError

SCOPE: Final = "https://www.googleapis.com/auth/firebase.messaging"
RENEW_BEFORE: Final = timedelta(minutes=5)
TIMEOUT_S: Final = 10


class GoogleTokens:
    """The access token of one service account, for all threads."""

    def __init__(self, account: Mapping[str, str], ca_file: Path | None) -> None:
        """Take the service account, and the CA file if the token server has a private CA."""
        try:
            self._credentials: Any = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]  # ships no types
                account, scopes=[SCOPE]
            )
        except ValueError as error:
            raise TransportUnavailableError(f"FIREBASE_PRIVATE_KEY is no key: {error}") from error
        session = requests.Session()
        session.verify = str(ca_file) if ca_file else True
        self._http: Any = Request(session)
        self._status = 0
        self._lock = threading.Lock()

    def get(self) -> str:
        """Return a token that is valid for the next minutes.

        Raises: ProviderAwayError if Google cannot be asked; TransportUnavailableError if Google
        refuses our account.
        """
        with self._lock:
            if self._ends_soon():
                self._refresh()
            return str(self._credentials.token)

    def renew(self, refused: str) -> None:
        """Replace the token `refused`, unless another thread has done so."""
        with self._lock:
            if self._credentials.token == refused:
                self._refresh()

    def _ends_soon(self) -> bool:
        expiry: datetime | None = self._credentials.expiry
        return expiry is None or expiry.replace(tzinfo=UTC) - utc_now() < RENEW_BEFORE

    def _refresh(self) -> None:
        self._status = 0
        try:
            self._credentials.refresh(self._ask)
        except Exception as error:
            reason = f"No access token for FCM: {error}"
            if isinstance(error, TransportError) or self._is_away():
                raise ProviderAwayError(reason) from error
            raise TransportUnavailableError(reason) from error

    def _ask(self, *args: Any, **options: Any) -> Any:
        response = self._http(*args, **{**options, "timeout": TIMEOUT_S})
        self._status = response.status
        return response

    def _is_away(self) -> bool:
        """Return whether the last answer is not an answer of Google about our account."""
        refuses = 400 <= self._status < 500 and self._status not in {408, 429}
        return self._status > 0 and not refuses

"""The webhook that gets alerts, in a form that Slack understands."""

from collections.abc import Mapping

import orjson
import requests


class WebhookUnavailableError(Exception):
    """The webhook did not accept the alert; the message says why."""


class AlertWebhook:
    """Posts JSON to one URL, without following redirects."""

    def __init__(self, url: str, timeout_s: float = 5) -> None:
        """Take the URL, and how long an answer may take."""
        self._url = url
        self._timeout_s = timeout_s

    def post(self, body: Mapping[str, object]) -> None:
        """Post `body`; WebhookUnavailableError unless the answer is a 2xx."""
        try:
            with requests.post(
                self._url,
                data=orjson.dumps(body),
                headers={"Content-Type": "application/json"},
                timeout=self._timeout_s,
                allow_redirects=False,
                stream=True,  # the body of the answer is not needed
            ) as response:
                status = response.status_code
        except requests.RequestException as error:
            raise WebhookUnavailableError(f"no answer ({type(error).__name__})") from error
        if not 200 <= status < 300:
            raise WebhookUnavailableError(f"it answered {status}")

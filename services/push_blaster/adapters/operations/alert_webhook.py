"""The webhook of a setting that gets alerts, in a form that Slack understands."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import orjson
import requests

from chassis.clock import utc_now
from push_blaster.adapters.transports.webhook_transport import sign
from push_blaster.domain.operations.destination import show_host


class NotTakenError(Exception):
    """A destination did not take the alert; the message says why."""


class WebhookUnavailableError(NotTakenError):
    """The webhook did not accept the alert; the message says why."""


class AlertWebhook:
    """Posts JSON to one URL, without following redirects; signed if there is a key."""

    def __init__(self, url: str, timeout_s: float = 5, keys: Sequence[bytes] = ()) -> None:
        """Take the URL, how long an answer may take, and the keys that sign."""
        self.url = url
        self._timeout_s = timeout_s
        self.keys = keys

    def post(self, body: Mapping[str, object], message_id: str = "") -> str:
        """Post `body`, and return what was answered; WebhookUnavailableError unless it is a 2xx."""
        data = orjson.dumps(body)
        signature = sign(self.keys, message_id, data, utc_now()) if message_id else {}
        try:
            with requests.post(
                self.url,
                data=data,
                headers={"Content-Type": "application/json", **signature},
                timeout=self._timeout_s,
                allow_redirects=False,
                stream=True,  # the body of the answer is not needed
            ) as response:
                status = response.status_code
        except requests.RequestException as error:
            raise WebhookUnavailableError(f"no answer ({type(error).__name__})") from error
        if not 200 <= status < 300:
            raise WebhookUnavailableError(f"it answered {status}")
        return f"it answered {status}"


@dataclass(frozen=True, slots=True)
class EnvironmentWebhook:
    """A webhook that a setting names, and what it gets: events of executions in some modes."""

    setting: str
    webhook: AlertWebhook
    events: Collection[str]
    modes: Collection[str]

    @property
    def fingerprint(self) -> str:
        """Return by what the URL is known again without being kept."""
        return sha256(self.webhook.url.encode()).hexdigest()

    def describe(self) -> Mapping[str, object]:
        """Return the columns of the destination that stands for the setting."""
        return {
            "name": self.setting,
            "fingerprint": self.fingerprint,
            "address": show_host(self.webhook.url),
            "events": sorted(self.events),
            "modes": sorted(self.modes),
        }

"""Sends an alert to a destination of any kind."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import orjson

from push_blaster.adapters.operations.alert_mail import MailServer, send_mail
from push_blaster.adapters.operations.alert_webhook import EnvironmentWebhook, NotTakenError
from push_blaster.adapters.transports.guarded_http import Post, PostOptions, post_once
from push_blaster.adapters.transports.webhook_transport import (
    read_secret_key,
    sign,
    write_headers,
)
from push_blaster.domain.devices.device import find_url_fault
from push_blaster.domain.operations.destination import Destination, DestinationKind

#: What a try may take beside the time limit of its request, such as looking up a name.
SLACK: Final = timedelta(seconds=30)

_SLACK_MARKS: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSender:
    """What the settings say about sending alerts.

    Shape: `public_url` is where people open the pages; None if nobody said.
    """

    posts: PostOptions = PostOptions()  # noqa: RUF009 - it is frozen
    schemes: Sequence[str] = ("https",)
    mail: MailServer | None = None
    environment: Collection[EnvironmentWebhook] = ()
    public_url: str | None = None

    def longest_try(self, to: Destination) -> timedelta:
        """Return how long one alert to the destination may take at the most."""
        mail = self.mail if to.kind is DestinationKind.EMAIL else None
        return (mail.time_limit if mail else self.posts.answer_timeout) + SLACK

    def send(
        self, to: Destination, message_id: str, body: Mapping[str, object], now: datetime
    ) -> str:
        """Send the alert, and return what was answered; NotTakenError if it was not taken."""
        if to.environment:
            webhooks = {one.fingerprint: one.webhook for one in self.environment}
            return webhooks[to.fingerprint or ""].post(body, message_id)
        if to.kind is DestinationKind.EMAIL:
            return self._mail(to, message_id, body, now)
        return self._post(to, message_id, body, now)

    def _mail(
        self, to: Destination, message_id: str, body: Mapping[str, object], now: datetime
    ) -> str:
        if self.mail is None:
            raise NotTakenError("no mail server is set up (PUSH_SMTP_HOST, PUSH_SMTP_FROM)")
        return send_mail(self.mail, to.address.split(","), message_id, str(body["text"]), now)

    def _post(
        self, to: Destination, message_id: str, body: Mapping[str, object], now: datetime
    ) -> str:
        if fault := find_url_fault(to.address, self.schemes):
            raise NotTakenError(f"its URL {fault}")
        is_slack = to.kind is DestinationKind.SLACK
        data = orjson.dumps({"text": _mark_up(body)} if is_slack else body)
        keys = [read_secret_key(secret) for secret in to.secrets(now)]
        headers = {} if is_slack else sign(keys, message_id, data, now)
        attempt = post_once(Post(to.address, write_headers(headers), data), self.posts)
        if attempt.refused:
            raise NotTakenError(
                f"it leads to {attempt.refused}, in no network that is allowed "
                "(PUSH_PRIVATE_NETWORKS)"
            )
        if not attempt.status:
            raise NotTakenError(f"no answer: {attempt.fault}")
        text = " ".join(attempt.body.decode(errors="replace").split())[:300]
        answer = f"it answered {attempt.status}" + (f": {text}" if text else "")
        if not 200 <= attempt.status < 300:
            raise NotTakenError(answer)
        return answer


def _mark_up(body: Mapping[str, object]) -> str:
    """Return the text as Slack reads it: with a link in the place of a URL."""
    text, url = str(body["text"]), body.get("executionUrl")
    if url:
        text = text.removesuffix(f" {url}")
    for character, mark in _SLACK_MARKS.items():
        text = text.replace(character, mark)
    return f"{text} <{url}|Open the execution>" if url else text

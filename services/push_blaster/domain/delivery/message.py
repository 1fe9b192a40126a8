"""A message: one push, personalised for one user, for one device; and its outcome."""

import hashlib
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from push_blaster.domain.automations.content import PLAIN, Content, find_app_data
from push_blaster.domain.base64url import write_base64url
from push_blaster.domain.devices.device import Address, DeadDevice

TAG_LENGTH: Final = 22
#: The part of a provider's words that is kept.
MAX_REASON: Final = 500


class Message(NamedTuple):
    """One push for one user's device, with its placeholders filled in.

    Shape: `other_devices` are the user's further devices, if the message is for all of them. A
    `fault` says why the devices could not be read; a later try may help. `variant` is the wording
    of the push, if there are several. The app reports events of the message by its `receipt`.
    """

    user_id: UUID
    device_token: str
    title: str
    body: str
    deep_link: str
    display_tag: str
    device_kind: str = "fcm"
    device_keys: str = ""
    other_devices: tuple[Address, ...] = ()
    fault: str | None = None
    variant: str | None = None
    receipt: str = ""
    content: Content = PLAIN

    @property
    def data(self) -> dict[str, str]:
        """Return the data that an app or page reads: target, receipt, and the push's own data."""
        link, content = self.deep_link, self.content
        data = {"click_action": link, "url": link} if link else {}
        if self.receipt:
            data["receipt"] = self.receipt
        if content.data or content.actions:
            return {**find_app_data(content), **data}
        return data


class Outcome(StrEnum):
    """The outcome of a message."""

    SENT = "sent"
    TOKEN_DEAD = "token_dead"  # noqa: S105 - no password
    FAILED = "failed"
    IN_DOUBT = "in_doubt"
    NOT_SENT = "not_sent"
    DEFERRED = "deferred"
    DRY_RUN = "dry_run"


#: The outcomes after which a message is not sent again.
FINAL: Final = frozenset({Outcome.SENT, Outcome.TOKEN_DEAD, Outcome.FAILED, Outcome.DRY_RUN})


class Delivery(NamedTuple):
    """The outcome of one message, the provider's id of it when sent, the reason when not.

    `NOT_SENT` means that the send never began (a stop came first), so the claim may be given back;
    `IN_DOUBT`, that the send began and its answer never came; `DRY_RUN`, that the message was only
    tried out; `DEFERRED`, that the provider surely did not take it, and that it will be tried
    again. A user with several devices may have dead ones among them, whatever the outcome. A device
    that is dead may be so since an instant that the provider names.
    Units: `retry_after_s` is the pause that the provider asks for; `is_over_quota` means that the
    provider refused because it gets too many messages.
    """

    user_id: UUID
    outcome: Outcome
    provider_id: str | None = None
    reason: str | None = None
    retry_after_s: float | None = None
    is_over_quota: bool = False
    dead_devices: tuple[DeadDevice, ...] = ()
    dead_since: datetime | None = None


def with_storable_texts(delivery: Delivery) -> Delivery:
    """Return the outcome with the provider's words in a form that every store accepts."""
    if _is_storable(delivery.provider_id) and _is_storable(delivery.reason):
        return delivery
    return delivery._replace(
        provider_id=storable(delivery.provider_id),
        reason=storable(delivery.reason),
    )


def storable(text: str | None) -> str | None:
    """Return a text without NUL and without lone surrogates.

    Units: at most 500 characters.
    """
    if _is_storable(text) or text is None:
        return text
    whole = text[:MAX_REASON].encode("utf-8", "replace").decode()
    return whole.replace("\x00", "\N{REPLACEMENT CHARACTER}")


def _is_storable(text: str | None) -> bool:
    return text is None or (len(text) <= MAX_REASON and text.isascii() and "\0" not in text)


def display_tag(execution_id: str, push_id: str, user_id: UUID) -> str:
    """Return the tag under which a device shows this message: sent twice, it replaces itself.

    Shape: `TAG_LENGTH` characters of base64url, well under the 64 bytes that APNs allows.
    """
    return display_tags(execution_id, push_id)(user_id)


def display_tags(execution_id: str, push_id: str) -> Callable[[UUID], str]:
    """Return what makes the display tags of the messages of a push, by the user."""
    of_push = hashlib.sha256(f"{execution_id}\n{push_id}\n".encode())

    def make(user_id: UUID) -> str:
        digits = user_id.hex  # as str(user_id), in half the time
        groups = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
        (seed := of_push.copy()).update("-".join(groups).encode())
        return write_base64url(seed.digest())[:TAG_LENGTH]

    return make


class TransportUnavailableError(Exception):
    """No message can be sent at present, and the reason is not a device."""


class ProviderAwayError(TransportUnavailableError):
    """The provider is away, as in an outage: a later attempt may succeed."""

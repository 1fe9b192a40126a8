"""The size of a message, and its maximum for each kind of device that has one."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from push_blaster.adapters.transports.apns_payload import MAX_PAYLOAD, encode_payload
from push_blaster.adapters.transports.fcm_payload import MAX_BYTES, encode_message
from push_blaster.adapters.transports.webpush_payload import MAX_PLAIN, encode_notification
from push_blaster.domain.automations.content import Content, once_per_content
from push_blaster.domain.delivery.message import TAG_LENGTH, Message
from push_blaster.domain.devices.device import DeviceKind
from push_blaster.domain.engagement.receipt import RECEIPT_LENGTH

#: Units: bytes. Other kinds of device have no maximum.
MAX_MESSAGE_BYTES: Final[Mapping[str, int]] = {
    DeviceKind.FCM: MAX_BYTES,
    DeviceKind.APNS: MAX_PAYLOAD,
    DeviceKind.WEBPUSH: MAX_PLAIN,
}
#: Kinds of device that get the message of another kind.
_AS: Final[Mapping[str, str]] = {
    DeviceKind.FID: DeviceKind.FCM.value,
    DeviceKind.APNS_SANDBOX: DeviceKind.APNS.value,
}
#: No character of a text takes more bytes; a link is written twice.
_MAX_CHARACTER_BYTES: Final = 6
#: Any instant with as many digits as those of this century.
_SOME_INSTANT_S: Final = 2_000_000_000
_SHORT_BYTES: Final = min(MAX_MESSAGE_BYTES.values())


def measure(message: Message) -> dict[str, int]:
    """Return how many bytes the message has, by the kind of device that it would be for."""
    return {
        DeviceKind.FCM.value: len(encode_message(message, _SOME_INSTANT_S)),
        DeviceKind.APNS.value: len(encode_payload(message)),
        DeviceKind.WEBPUSH.value: len(encode_notification(message)),
    }


def find_excess(message: Message) -> str | None:
    """Return why the message is too long for its device; None if it fits."""
    if _is_surely_short(message):
        return None
    kind = _AS.get(message.device_kind, message.device_kind)
    maximum = MAX_MESSAGE_BYTES.get(kind)
    if maximum is None:
        return None
    size = measure(message)[kind]
    return f"{size} bytes, and {kind} takes {maximum}" if size > maximum else None


def _is_surely_short(message: Message) -> bool:
    """Return whether the message fits every kind of device, without encoding it."""
    if message.content.platforms:  # a link may be written more often
        return False
    characters = len(message.title) + len(message.body) + 2 * len(message.deep_link)
    characters += len(message.device_token)
    whole = characters * _MAX_CHARACTER_BYTES + _count_other_bytes(message.content)
    return whole <= _SHORT_BYTES


@once_per_content
def _count_other_bytes(content: Content) -> int:
    """Return the bytes of a message besides its texts and its token."""
    return max(measure(_message_around(content)).values())


def _message_around(content: Content) -> Message:
    return Message(
        user_id=UUID(int=0),
        device_token="",
        title="",
        body="",
        deep_link="x",
        display_tag="0" * TAG_LENGTH,
        receipt="0" * RECEIPT_LENGTH,
        content=content,
    )

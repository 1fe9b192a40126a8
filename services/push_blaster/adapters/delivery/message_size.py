"""How many bytes a message has, for each kind of device that limits them, and how many it may."""

from collections.abc import Mapping
from typing import Final

from push_blaster.adapters.transports.fcm_payload import MAX_BYTES, encode_message
from push_blaster.adapters.transports.webpush_encryption import MAX_PLAIN
from push_blaster.adapters.transports.webpush_transport import encode_notification
from push_blaster.domain.delivery.message import Message
from push_blaster.domain.devices.device import DeviceKind

#: Units: bytes. Other kinds take whatever there is.
MOST_BYTES: Final[Mapping[str, int]] = {
    DeviceKind.FCM: MAX_BYTES,
    DeviceKind.WEBPUSH: MAX_PLAIN,
}
#: No character of a text takes up more; a link is written twice.
_MOST_OF_A_CHARACTER: Final = 6
#: What is in a message besides its texts and its token.
_AROUND: Final = 600


def measure(message: Message) -> dict[str, int]:
    """Return how many bytes the message has, by the kind of device that it would be for."""
    return {
        DeviceKind.FCM.value: len(encode_message(message)),
        DeviceKind.WEBPUSH.value: len(encode_notification(message)),
    }


def find_excess(message: Message) -> str | None:
    """Return in what way the message is too long for its device; None if it is not."""
    kind = DeviceKind.FCM.value if message.device_kind == DeviceKind.FID else message.device_kind
    most = MOST_BYTES.get(kind)
    if most is None or _is_surely_short(message):
        return None
    size = measure(message)[kind]
    return f"{size} bytes, and {kind} takes {most}" if size > most else None


def _is_surely_short(message: Message) -> bool:
    """Return whether the message is within every limit, without writing it down."""
    characters = len(message.title) + len(message.body) + 2 * len(message.deep_link)
    whole = characters * _MOST_OF_A_CHARACTER + len(message.device_token) + _AROUND
    return whole <= min(MOST_BYTES.values())

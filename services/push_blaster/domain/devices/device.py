"""The addresses of devices, and which addresses we may connect to."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

from push_blaster.domain.devices.special_networks import find_meant, is_special

Network = IPv4Network | IPv6Network

#: A URL that all parsers read in the same way: no user, no backslash, only ASCII.
_URL: Final = re.compile(
    r"https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?(/[!-\[\]-~]*)?", re.IGNORECASE
)


#: What stands in the place of a token.
HIDDEN: Final = "…"


class DeviceKind(StrEnum):
    """The way in which a device is reached."""

    FCM = "fcm"  # by a registration token of Firebase
    FID = "fid"  # by an installation id of Firebase
    APNS = "apns"  # by a device token of Apple, in the environment of the settings
    APNS_SANDBOX = "apns_sandbox"  # by a device token of an app that Xcode installed
    WEBPUSH = "webpush"  # by a browser's subscription: its endpoint, and two keys
    WEBHOOK = "webhook"  # by a URL that takes the message as JSON
    FILE = "file"  # by a line of the file of sent messages


class Address(NamedTuple):
    """The address of one device.

    Shape: `keys` are a web push subscription's: p256dh, a full stop, auth.
    """

    token: str
    kind: str = DeviceKind.FCM
    keys: str = ""


@dataclass(frozen=True, slots=True)
class DeadDevice:
    """A device that its provider reported as dead, why, and since when, if the provider says it."""

    user_id: UUID
    address: Address
    reason: str
    since: datetime | None = None


#: The error code of a device that registered with another project at its provider.
OF_OTHER_PROJECT: Final = "SENDER_ID_MISMATCH"
#: What Apple says of a device token that belongs to another app.
OF_OTHER_TOPIC: Final = "DeviceTokenNotForTopic"
#: How the reason of a token that Apple does not know begins, if Apple knows hardly any of them.
OF_OTHER_ENVIRONMENT: Final = "BadDeviceToken of most devices"
#: The errors of a device that registered elsewhere; its provider may still reach it.
MISPLACED: Final = (OF_OTHER_PROJECT, OF_OTHER_TOPIC, OF_OTHER_ENVIRONMENT)


def is_of_other_project(reason: str | None) -> bool:
    """Return whether a message failed because its device registered with another project.

    Another app or another environment of Apple is the same. That is a fault of the set-up, so
    nobody but an operator calls the device dead.

    Shape: the reason begins with an HTTP status and the provider's code.
    """
    return (reason or "").partition(" ")[2].startswith(MISPLACED)


def hide_token(token: str) -> str:
    """Return the part of a token that may be shown to people who may not use it: a URL's host."""
    scheme, is_url, rest = token.partition("://")
    host = re.split(r"[/?#\\]", rest, maxsplit=1)[0].rpartition("@")[2]
    return f"{scheme}://{host}/{HIDDEN}" if is_url else HIDDEN


def find_url_fault(url: str, schemes: Sequence[str]) -> str | None:
    """Return why a message may not be posted to `url`, or None."""
    if not _URL.fullmatch(url) or not _has_address(url):
        return "is no plain URL (https://host/path)"
    scheme = urlsplit(url).scheme
    return None if scheme in schemes else f"has the scheme {scheme}; use {' or '.join(schemes)}"


def _has_address(url: str) -> bool:
    """Return whether the port, and a host in brackets, can be addresses at all."""
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def find_push_host_fault(url: str, hosts: Sequence[str]) -> str | None:
    """Return why `url` is not an endpoint of an allowed push service, or None.

    Shape: `hosts` are names; `*.example.com` stands for every name below example.com.
    """
    host = (urlsplit(url).hostname or "").lower()
    if any(host.endswith(h[1:]) if h.startswith("*.") else host == h for h in hosts):
        return None
    return f"leads to {host or 'no host'}, which is none of the push services (WEBPUSH_HOSTS)"


def may_reach(address: str, allowed: Sequence[Network]) -> bool:
    """Return whether `address` is public, or lies in one of the `allowed` networks."""
    return all(
        not is_special(one) or any(one in network for network in allowed)
        for one in find_meant(ip_address(address.partition("%")[0]))
    )

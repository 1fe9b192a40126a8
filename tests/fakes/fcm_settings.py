"""The settings that let the real processes send to a local server instead of FCM."""

from pathlib import Path
from typing import Protocol


class Server(Protocol):
    """A server that answers as FCM does: its address, and whose word proves that it is that."""

    @property
    def url(self) -> str: ...

    @property
    def ca_file(self) -> Path: ...


def fcm_settings(fcm: Server, token_uri: str, private_key: str) -> dict[str, str]:
    """Return them; Shape: `private_key` in PEM, as Google hands it out."""
    return {
        "PUSH_TRANSPORT": "fcm",
        "FIREBASE_PROJECT_ID": "garden",
        "FIREBASE_CLIENT_EMAIL": "push@garden.test",
        "FIREBASE_PRIVATE_KEY": private_key.replace("\n", "\\n"),
        "FCM_BASE_URL": fcm.url,
        "FCM_TOKEN_URI": token_uri,
        "FCM_CA_FILE": str(fcm.ca_file),
    }

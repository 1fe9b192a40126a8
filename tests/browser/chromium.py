"""The system's Chromium, and how the tests start it."""

import shutil

#: Without the network that a browser of its own accord looks for.
QUIET = (
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find_chromium() -> str | None:
    """Return the system's Chromium, or None."""
    return shutil.which("chromium") or shutil.which("google-chrome")

"""Health: every part has a ping, and the route calls all of them."""

from collections.abc import Callable, Mapping

Ping = Callable[[], None]


def check_parts(pings: Mapping[str, Ping]) -> dict[str, str]:
    """Return per part "ok", or the error that its ping raised."""
    return {name: _check(ping) for name, ping in pings.items()}


def _check(ping: Ping) -> str:
    try:
        ping()
    except Exception as error:  # noqa: BLE001 - health reports every error, and goes on
        return str(error) or type(error).__name__
    return "ok"

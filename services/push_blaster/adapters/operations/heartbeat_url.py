"""A URL that gets a request while the engine works, for a monitor that alarms when they stop."""

import requests
import structlog

log = structlog.get_logger()


def ping_heartbeat(url: str, timeout_s: float = 5) -> bool:
    """Request `url`; return False if it did not answer with a 2xx."""
    try:
        with requests.get(url, timeout=timeout_s, allow_redirects=False, stream=True) as answer:
            status = answer.status_code
    except requests.RequestException as error:
        log.warning("heartbeat_not_taken", reason=type(error).__name__)
        return False
    if not 200 <= status < 300:
        log.warning("heartbeat_not_taken", reason=f"it answered {status}")
        return False
    return True

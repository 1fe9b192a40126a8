"""Where a redirect may lead: to a path of this service, built anew from its parts."""

import re
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlencode

#: What browsers remove, or read as the beginning of a host, in a path.
_MISLEADING: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\\]|//")
#: A path that is encoded more often than this leads nowhere.
_MAX_ENCODINGS: Final = 3
HOME: Final = "/"


def own_path(wanted: str) -> str:
    """Return `wanted` as a path with its query, if it is a path of this service; else HOME."""
    path, _, query = wanted.partition("#")[0].partition("?")
    if not path.startswith("/") or _misleads(path):
        return HOME
    pairs = parse_qsl(query, keep_blank_values=True)
    rebuilt = quote(unquote(path), safe="/:@!$&'()*+,;=~")
    return f"{rebuilt}?{urlencode(pairs)}" if pairs else rebuilt


def _misleads(path: str) -> bool:
    """Return whether the path, decoded as often as it is encoded, could lead to another site."""
    for _ in range(_MAX_ENCODINGS):
        decoded = unquote(path)
        if _MISLEADING.search(decoded):
            return True
        if decoded == path:
            return False
        path = decoded
    return True

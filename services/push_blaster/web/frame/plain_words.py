"""Messages on pages, without the names of settings and fields that only engineers know.

A message names its setting or field in brackets, for the API, the log and the engineers:
`stopped after 4 h (PUSH_TIME_LIMIT_SECONDS)`. A page leaves the brackets out.
"""

import re
from typing import Final

_SETTING: Final = r"\b(?:PUSH|CADENCE|FCM|APNS|FIREBASE|WEBHOOK|WEBPUSH|LOG|METRICS)_[A-Z0-9_]+\b"
_FIELD: Final = (
    r"\b(?:settings|schedule|audienceCriteria|safeguards|pushSequence)(?:\.\w+|\[\d+\])+"
)
_NAME: Final = re.compile(_SETTING)
_IN_BRACKETS: Final = re.compile(rf"\s*\((?:{_SETTING}|{_FIELD})(?:, (?:{_SETTING}|{_FIELD}))*\)")


def leave_out_names(message: str | None) -> str:
    """Return a message of ours as a page shows it; None is no message."""
    return _NAME.sub("a setting of the installation", _IN_BRACKETS.sub("", message or ""))

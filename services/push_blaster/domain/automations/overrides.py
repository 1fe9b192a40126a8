"""Overrides: fields of a provider for which a push has no field of its own.

They are merged last into what the provider gets; the types of the provider's fields are checked.
"""

import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, Final, NamedTuple


class Form(NamedTuple):
    """What a text must look like; `says` ends the sentence that refuses another text."""

    says: str
    pattern: re.Pattern[str]

    def fits(self, value: object) -> bool:
        """Return whether a value has the form; a placeholder is filled in later."""
        return isinstance(value, str) and ("[[" in value or bool(self.pattern.fullmatch(value)))


#: The types of fields: a name of JSON, a form, a list of one type, or the fields of an object.
Type = str | Form | list[Any] | dict[str, Any]


def _one_of(*values: str) -> Form:
    pattern = "|".join(re.escape(value) for value in values)
    return Form(f"is none of {', '.join(values)}", re.compile(pattern, re.IGNORECASE))


_DURATION: Final = Form("is no duration such as 3600s", re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?s"))
_TEXT, _NUMBER, _WHOLE, _TRUTH = "text", "number", "whole number", "true or false"
_TEXTS: Final[Type] = {"*": _TEXT}
_ANYTHING: Final[Type] = {"*": "anything"}
_COLOR: Final[Type] = {"red": _NUMBER, "green": _NUMBER, "blue": _NUMBER, "alpha": _NUMBER}
_ANALYTICS: Final[Mapping[str, Type]] = {
    "analytics_label": Form(
        "is no label of 1 to 50 letters of ASCII, digits and -_.~%",
        re.compile("[A-Za-z0-9_.~%-]{1,50}"),
    )
}
_ANDROID_TEXTS: Final = (
    *("title", "body", "icon", "sound", "tag", "click_action", "body_loc_key"),
    *("title_loc_key", "channel_id", "ticker", "image"),
)
_ANDROID_FORMS: Final[Mapping[str, Type]] = {
    "color": Form("is no color such as #2060ff", re.compile("#[0-9A-Fa-f]{6}")),
    "event_time": Form(
        "is no instant such as 2030-01-31T09:00:00Z",
        re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,18}(Z|[+-][0-9]{2}:[0-9]{2})"),
    ),
    "notification_priority": _one_of(
        *("PRIORITY_MIN", "PRIORITY_LOW", "PRIORITY_DEFAULT", "PRIORITY_HIGH", "PRIORITY_MAX")
    ),
    "visibility": _one_of("PRIVATE", "PUBLIC", "SECRET"),
    "proxy": _one_of("ALLOW", "DENY", "IF_PRIORITY_LOWERED"),
}
_ANDROID_TICKS: Final = (
    *("sticky", "local_only", "default_sound", "default_vibrate_timings"),
    *("default_light_settings", "bypass_proxy_notification"),
)
_ANDROID_NOTIFICATION: Final[Type] = {
    **dict.fromkeys(_ANDROID_TEXTS, _TEXT),
    **_ANDROID_FORMS,
    **dict.fromkeys(_ANDROID_TICKS, _TRUTH),
    "body_loc_args": [_TEXT],
    "title_loc_args": [_TEXT],
    "vibrate_timings": [_DURATION],
    "notification_count": _WHOLE,
    "light_settings": {
        "color": _COLOR,
        "light_on_duration": _DURATION,
        "light_off_duration": _DURATION,
    },
}
#: The fields by platform, as FCM v1 has them; `*` stands for every other name.
FIELDS: Final[Mapping[str, Type]] = {
    "android": {
        "collapse_key": _TEXT,
        "priority": _one_of("NORMAL", "HIGH"),
        "ttl": _DURATION,
        "restricted_package_name": _TEXT,
        "direct_boot_ok": _TRUTH,
        "bandwidth_constrained_ok": _TRUTH,
        "restricted_satellite_ok": _TRUTH,
        "data": _TEXTS,
        "notification": _ANDROID_NOTIFICATION,
        "fcm_options": dict(_ANALYTICS),
    },
    "apns": {
        "headers": _TEXTS,
        "live_activity_token": _TEXT,
        "fcm_options": {**_ANALYTICS, "image": _TEXT},
        "payload": {
            "aps": {
                "badge": _WHOLE,
                "category": _TEXT,
                "thread-id": _TEXT,
                "interruption-level": _one_of("active", "passive", "time-sensitive", "critical"),
                "target-content-id": _TEXT,
                "filter-criteria": _TEXT,
                "content-available": _WHOLE,
                "mutable-content": _WHOLE,
                "relevance-score": _NUMBER,
                "*": "anything",
            },
            "*": "anything",
        },
    },
    "webpush": {
        "headers": _TEXTS,
        "data": _TEXTS,
        "fcm_options": {**_ANALYTICS, "link": Form("is no https URL", re.compile(r"https://\S+"))},
        "notification": {
            **dict.fromkeys(("title", "body", "icon", "image", "lang", "tag"), _TEXT),
            "dir": _one_of("auto", "ltr", "rtl"),
            **dict.fromkeys(("renotify", "requireInteraction", "silent"), _TRUTH),
            "actions": [_ANYTHING],
            "*": "anything",
        },
    },
}


def find_type_faults(value: object, wanted: Type, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield path and fault of every part of an override that breaks its type."""
    if isinstance(wanted, dict):
        yield from _find_object_faults(value, wanted, path)
    elif isinstance(wanted, list):
        yield from _find_list_faults(value, wanted[0], path)
    elif isinstance(wanted, Form):
        if not wanted.fits(value):
            yield path, wanted.says
    elif not _FITS[wanted](value):
        yield path, f"is no {wanted}"


def merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> MutableMapping[str, Any]:
    """Return `under` with what `over` says; null leaves a field out (RFC 7396)."""
    merged = dict(under)
    for name, value in over.items():
        below = merged.get(name)
        if isinstance(value, Mapping):
            merged[name] = merge(below if isinstance(below, Mapping) else {}, value)
        elif value is None:
            merged.pop(name, None)
        else:
            merged[name] = value
    return merged


def merge_part(under: Mapping[str, Any], over: Mapping[str, Any]) -> MutableMapping[str, Any]:
    """Return a provider's part with what `over` says; a header has one name in any case."""
    spelling = {name.casefold(): name for name in under.get("headers") or {}}
    headers = {
        spelling.get(name.casefold(), name): value
        for name, value in (over.get("headers") or {}).items()
    }
    return merge(under, {**over, "headers": headers} if headers else over)


_FITS: Final[Mapping[str, Callable[[object], bool]]] = {
    _TEXT: lambda value: isinstance(value, str),
    _TRUTH: lambda value: isinstance(value, bool),
    _WHOLE: lambda value: isinstance(value, int) and not isinstance(value, bool),
    _NUMBER: lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "anything": lambda _: True,
}


def _find_list_faults(value: object, wanted: Type, path: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, list):
        yield path, "is no list"
        return
    for at, item in enumerate(value):
        yield from find_type_faults(item, wanted, f"{path}[{at}]")


def _find_object_faults(
    value: object, wanted: Mapping[str, Any], path: str
) -> Iterator[tuple[str, str]]:
    """Yield the faults of the parts of an object; a part that is null is left out."""
    if not isinstance(value, Mapping):
        yield path, "is no object"
        return
    for name, part in value.items():
        below = f"{path}.{name}" if path else name
        kind = wanted.get(name, wanted.get("*"))
        if kind is None:
            yield below, f"is not known; known: {', '.join(wanted)}"
        elif part is not None:
            yield from find_type_faults(part, kind, below)

"""The content of a message besides its title, its text and its link."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final, TypeVar

#: How long a provider keeps a message for a device that is offline, if the push does not say.
USUAL_TTL: Final = timedelta(minutes=1_440)
#: For how many contents `once_per_content` keeps what it made.
_KEPT: Final = 64

_EMPTY: Final[tuple[object, ...]] = ("", None, (), [], {})

Made = TypeVar("Made")


class Priority(StrEnum):
    """Whether a message wakes a sleeping phone, or may wait until the phone wakes."""

    HIGH = "high"
    NORMAL = "normal"


class InterruptionLevel(StrEnum):
    """How much a message disturbs the user of an iPhone."""

    ACTIVE = "active"
    PASSIVE = "passive"
    TIME_SENSITIVE = "time-sensitive"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A button of a message; without a link of its own it leads where the message leads."""

    id: str
    title: str
    deep_link: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The content of a message; an empty value leaves the choice to the phone.

    Shape: `thread_id` groups messages, `category` names actions that the app declares, both on iOS.
    `data` is for the app alone; nobody sees it. Of a `silent` message, people see nothing at all.
    `platforms` overrides the provider's own fields.
    Units: a provider drops a message that it could not deliver within `ttl`.
    """

    image_url: str = ""
    sound: str = ""
    badge: int | None = None
    ttl: timedelta = USUAL_TTL
    priority: Priority = Priority.HIGH
    android_channel_id: str = ""
    interruption_level: InterruptionLevel | None = None
    thread_id: str = ""
    category: str = ""
    actions: tuple[Action, ...] = ()
    silent: bool = False
    data: Mapping[str, str] = field(default_factory=dict)
    platforms: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def ttl_s(self) -> int:
        """Return the time to live in seconds."""
        return int(self.ttl.total_seconds())


#: The content of a push that says nothing about it.
PLAIN: Final = Content()


def given(**values: object) -> Mapping[str, Any]:
    """Return the values that are given: nothing empty, no None."""
    return {name: value for name, value in values.items() if value not in _EMPTY}


def once_per_content(make: Callable[[Content], Made]) -> Callable[[Content], Made]:
    """Return `make` so that it works once for each object: the messages of a push share theirs."""
    kept: dict[int, tuple[Content, Made]] = {}

    def find(content: Content) -> Made:
        found = kept.get(id(content))
        if found and found[0] is content:
            return found[1]
        if len(kept) >= _KEPT:
            kept.clear()
        made = make(content)
        kept[id(content)] = (content, made)
        return made

    return find


def describe_action(action: Action) -> Mapping[str, Any]:
    """Return an action under its names in JSON."""
    return given(id=action.id, title=action.title, deepLink=action.deep_link)


@once_per_content
def find_app_data(content: Content) -> Mapping[str, str]:
    """Return what the app reads besides link and receipt; the actions are one text in JSON."""
    if not content.actions:
        return content.data
    actions = [describe_action(action) for action in content.actions]
    return {**content.data, "actions": json.dumps(actions, ensure_ascii=False)}

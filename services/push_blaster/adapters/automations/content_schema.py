"""The content of a push besides its texts, in its document."""

from collections.abc import Mapping
from dataclasses import fields as dataclass_fields
from datetime import timedelta
from typing import Any, Final

from marshmallow import ValidationError, fields, validate

from push_blaster.adapters.automations.field_checks import worded
from push_blaster.adapters.automations.field_declaration import (
    FormField,
    KeptSchema,
    declare,
    one_of,
    optional,
    read_values,
    tick,
)
from push_blaster.domain.automations.content import (
    PLAIN,
    Action,
    Content,
    InterruptionLevel,
    Priority,
)
from push_blaster.domain.automations.overrides import FIELDS, find_type_faults
from push_blaster.domain.delivery.deep_link import IMAGES

#: Four weeks: no provider keeps a message longer.
MAX_TTL_MINUTES: Final = 28 * 24 * 60
MAX_ACTIONS: Final = 4
#: Keys of data that this system writes.
_OUR_KEYS: Final = frozenset({"receipt", "url", "click_action", "actions"})
_NAME: Final = validate.Length(max=200)


def is_image_url(value: str) -> None:
    """Refuse an image that phones would not load; filled-in ones are checked for each user."""
    fault = IMAGES.find_fault_as_written(value)
    if fault:
        raise ValidationError(f"The image URL {fault}.")


IMAGE_URL: Final = (validate.Length(max=2_000), is_image_url)


def _is_own_key(key: str) -> None:
    """Refuse a key of data that a provider or this system uses."""
    if not 1 <= len(key) <= 100 or not key.isprintable():
        raise ValidationError("Use 1 to 100 printable characters.")
    if key.casefold() in _OUR_KEYS or _is_of_fcm(key):
        raise ValidationError(f"{key!r} is reserved; choose another key.")


def _is_of_fcm(key: str) -> bool:
    name = key.casefold()
    return name in {"from", "message_type"} or name.startswith(("google", "gcm"))


class ActionSchema(KeptSchema):
    """A button of a message."""

    id = declare(
        fields.String(
            required=True,
            validate=validate.Regexp(
                r"[A-Za-z0-9_.-]{1,64}\Z",
                error="Give 1 to 64 letters of ASCII, digits, '_', '.' and '-'.",
            ),
        )
    )
    title = declare(fields.String(required=True, validate=worded(100)))
    deep_link = declare(optional(fields.String, validate=validate.Length(max=2_000)))


_ACTION: Final[KeptSchema] = ActionSchema()


def _have_ids(actions: list[Mapping[str, Any]]) -> None:
    ids = [action["id"] for action in actions]
    if len(set(ids)) < len(ids):
        raise ValidationError("Each action of a push has an id of its own.")


def _fits_its_providers(platforms: Mapping[str, Any]) -> None:
    faults = dict(find_type_faults(platforms, dict(FIELDS)))
    for name in FIELDS.keys() & platforms.keys() if not faults else ():
        keys = ((platforms[name] or {}).get("data") or {}).keys()
        faults |= {f"{name}.data.{key}": "is reserved by FCM" for key in keys if _is_of_fcm(key)}
    if faults:
        complaint = "; ".join(f"{path} {fault}" for path, fault in faults.items())
        raise ValidationError(f"{complaint}.")


class ContentFields:
    """What a message has besides its texts and its link; a part of several schemas."""

    image_url = declare(
        optional(fields.String, validate=IMAGE_URL),
        FormField("Image", "push more", "https://…. Phones and browsers show it in the message"),
    )
    ttl_minutes = declare(
        optional(fields.Integer, strict=True, validate=validate.Range(min=1, max=MAX_TTL_MINUTES)),
        FormField(
            "Expires after",
            "push more",
            "Minutes. A device that is offline for longer never gets the message",
            usual=1_440,
        ),
        gives="ttl",
        read=lambda minutes: timedelta(minutes=minutes),
    )
    priority = one_of(
        Priority,
        FormField(
            "Priority",
            "push more",
            choices={"high": "high: wakes the phone", "normal": "normal: waits until it wakes"},
        ),
    )
    badge = declare(
        optional(fields.Integer, strict=True, validate=validate.Range(min=0, max=99_999)),
        FormField("Badge", "push more", "The number on the icon of the app; 0 removes it"),
    )
    sound = declare(
        optional(fields.String, validate=_NAME),
        FormField("Sound", "push more", "default, or the name of a sound in the app"),
    )
    android_channel_id = declare(
        optional(fields.String, validate=_NAME),
        FormField("Android channel", "push more", "The id of a channel that the app made"),
    )
    interruption_level = one_of(
        InterruptionLevel,
        FormField(
            "Interruption on iOS",
            "push more",
            choices={
                "active": "active",
                "passive": "passive: no sound, screen stays dark",
                "time-sensitive": "time-sensitive: also in a focus",
                "critical": "critical: also if muted; Apple has to allow it",
            },
        ),
    )
    thread_id = declare(
        optional(fields.String, validate=_NAME),
        FormField("Thread on iOS", "push more", "Messages of one thread are grouped"),
    )
    category = declare(
        optional(fields.String, validate=_NAME),
        FormField("Category on iOS", "push more", "Names the buttons that the app declared"),
    )
    actions = declare(
        optional(
            fields.List,
            cls_or_instance=fields.Nested(ActionSchema),
            validate=[
                validate.Length(
                    max=MAX_ACTIONS, error="Give at most {max} actions: no phone shows more."
                ),
                _have_ids,
            ],
        ),
        FormField("Buttons", "push more", "One per line: id | title | link", widget="actions"),
        read=lambda actions: tuple(Action(**read_values(_ACTION, one)) for one in actions),
    )
    silent = tick(
        FormField(
            "Silent",
            "push more",
            "Only the app gets it, as data; nothing is shown, and title and text stay here",
        )
    )
    data = declare(
        optional(
            fields.Dict,
            keys=fields.String(validate=_is_own_key),
            values=fields.String(validate=validate.Length(max=4_000)),
            validate=validate.Length(max=50),
        ),
        FormField("Data for the app", "push more", "One per line: key = value", widget="pairs"),
    )
    platforms = declare(
        optional(fields.Dict, keys=fields.String(), validate=_fits_its_providers),
        FormField(
            "Fields of the providers",
            "push more",
            'JSON with android, apns or webpush, such as {"android": {"collapse_key": "news"}}',
            widget="json",
            rows=5,
        ),
        read=lambda platforms: {name: over for name, over in platforms.items() if over},
    )


class ContentSchema(ContentFields, KeptSchema):
    """The content of a push alone."""


_CONTENT: Final[KeptSchema] = ContentSchema()
CONTENT_ATTRIBUTES: Final = frozenset(one.name for one in dataclass_fields(Content))
#: The fields by their names in Python, with their names in documents.
CONTENT_FIELDS: Final = {name: str(field.data_key) for name, field in _CONTENT.fields.items()}
_EMPTY: Final[tuple[object, ...]] = (None, "", [], {})


def read_content(push: Mapping[str, Any]) -> Content:
    """Return the typed content of a push."""
    values = read_values(_CONTENT, push)
    return Content(**values) if values else PLAIN


def read_valid_content(push: Mapping[str, Any]) -> Content:
    """Return the typed content of a draft; the usual content as long as a field is not valid."""
    try:
        return read_content(_CONTENT.load(pick_content(push)))
    except ValidationError:
        return PLAIN


def pick_content(push: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a push, as its document has it."""
    found = {name: push.get(name) for name in CONTENT_FIELDS.values()}
    return {name: v for name, v in found.items() if v is not False and v not in _EMPTY}


def split_content(body: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a loaded body without the content, and the content under its names in documents."""
    rest = {name: value for name, value in body.items() if name not in CONTENT_FIELDS}
    return rest, {CONTENT_FIELDS[name]: body[name] for name in body.keys() - rest.keys()}

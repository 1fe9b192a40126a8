"""Check an ad hoc push, field by field in the order of the form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import IO, Any, Final

from chassis.csv_reader import CsvError
from push_blaster.adapters.audiences.uploads import read_columns
from push_blaster.adapters.automations.content_schema import read_content
from push_blaster.domain.audiences.audience import read_user_ids
from push_blaster.domain.automations.automation import Push
from push_blaster.domain.delivery.push_template import compile_push, find_faults_as_written
from push_blaster.domain.delivery.template import MalformedPlaceholderError
from push_blaster.domain.delivery.value_template import compile_value
from push_blaster.domain.executions.limits import Limits

LAYERS: Final = range(1, 6)


class BadAdHocPushError(Exception):
    """The push cannot be sent; the message names the field, and the fix.

    Shape: `details` has the placeholders that no column fills, and the malformed ones.
    """

    def __init__(self, field: str, text: str, details: Mapping[str, Any] | None = None) -> None:
        """Take the field, the message, and perhaps details."""
        super().__init__(f"{field}: {text}")
        self.field = field
        self.text = text
        self.details = details


@dataclass(frozen=True, slots=True)
class AudienceUpload:
    """An uploaded CSV."""

    name: str
    content: IO[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdHocRequest:
    """An ad hoc push that is not checked yet.

    Shape: `message` has further fields of the push, as its document has them.
    """

    title: str
    body: str
    deep_link: str
    layer_id: int | None
    user_ids: Sequence[str]
    file: AudienceUpload | None
    message: Mapping[str, Any] = field(default_factory=dict)
    audience_description: str = ""
    window: timedelta = timedelta(0)


def check_ad_hoc(asked: AdHocRequest, limits: Limits) -> int:
    """Return the layer of a push that can be sent; BadAdHocPushError names the first fault."""
    for name, text in (("title", asked.title), ("body", asked.body)):
        if not text.strip():
            raise BadAdHocPushError(name, "is missing; write the text of the message.")
    for name, fault in find_faults_as_written(limits.links, _push_of(asked)):
        raise BadAdHocPushError(name, f"{fault}.")
    if asked.layer_id is None or asked.layer_id not in LAYERS:
        raise BadAdHocPushError("layerId", "is missing, or is not a layer from 1 to 5.")
    _check_source(asked, limits)
    _check_placeholders(asked, _read_columns(asked))
    return asked.layer_id


def _check_source(asked: AdHocRequest, limits: Limits) -> None:
    if asked.file is None and not asked.user_ids:
        raise BadAdHocPushError(
            "file", "is missing: upload a CSV of users, or name some in userIds."
        )
    if asked.file and asked.user_ids:
        raise BadAdHocPushError("userIds", "comes beside a file; leave out one of the two.")
    if len(set(asked.user_ids)) > limits.max_manual_users:
        raise BadAdHocPushError(
            "userIds",
            f"names {len(set(asked.user_ids))} users, and {limits.max_manual_users} is the most "
            "(PUSH_MAX_MANUAL_USER_IDS); upload more of them as a CSV.",
        )
    _, strange = read_user_ids(asked.user_ids)
    if strange:
        raise BadAdHocPushError("userIds", f"{strange[0]!r} is no user id; ids are UUIDs.")


def _read_columns(asked: AdHocRequest) -> tuple[str, ...]:
    if asked.file is None:
        return ()
    try:
        return read_columns(asked.file.content, asked.file.name)
    except CsvError as error:
        raise BadAdHocPushError("file", str(error)) from error


def _check_placeholders(asked: AdHocRequest, columns: Sequence[str]) -> None:
    push = _push_of(asked)
    malformed = _find_malformed(push)
    missing = [] if malformed else compile_push(push).find_unknown(columns)
    if malformed or missing:
        text = malformed[0] if malformed else _describe_missing(missing, columns)
        details = {"missingColumns": missing, "malformedVariables": malformed}
        raise BadAdHocPushError("variables", text, details)


def _push_of(asked: AdHocRequest) -> Push:
    return Push(
        id="",
        title=asked.title,
        body=asked.body,
        deep_link=asked.deep_link,
        content=read_content(asked.message),
    )


def _describe_missing(missing: Sequence[str], columns: Sequence[str]) -> str:
    names = ", ".join(f"[[var:{name}]]" for name in missing)
    there = f"Its columns: {', '.join(columns)}" if columns else "It has none"
    return f"{names}: the audience has no such column. {there}; a CSV brings columns of its own."


def _find_malformed(push: Push) -> list[str]:
    parts = (("title", push.title), ("body", push.body), ("deepLink", push.deep_link))
    faults = []
    for name, value in (*parts, ("", push.content)):
        try:
            compile_value(name, value)
        except MalformedPlaceholderError as error:
            faults.append(str(error))
    return faults

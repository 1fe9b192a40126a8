"""Check an ad hoc push, field by field in the order of the form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import IO, Any, Final

from chassis.csv_reader import CsvError
from push_blaster.adapters.audiences.uploads import read_columns
from push_blaster.domain.audiences.audience import read_user_ids
from push_blaster.domain.automations.automation import Push
from push_blaster.domain.delivery.push_template import compile_push
from push_blaster.domain.delivery.template import MalformedPlaceholderError, compile_template
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
    """An ad hoc push that is not checked yet."""

    title: str
    body: str
    deep_link: str
    layer_id: int | None
    user_ids: Sequence[str]
    file: AudienceUpload | None
    audience_description: str = ""
    window: timedelta = timedelta(0)


def check_ad_hoc(asked: AdHocRequest, limits: Limits) -> int:
    """Return the layer of a push that can be sent; BadAdHocPushError names the first fault."""
    for name, text in (("title", asked.title), ("body", asked.body)):
        if not text.strip():
            raise BadAdHocPushError(name, "is missing; write the text of the message.")
    fault = limits.links.find_fault_as_written(asked.deep_link)
    if fault:
        raise BadAdHocPushError("deepLink", f"{fault}.")
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
    push = Push(id="", title=asked.title, body=asked.body, deep_link=asked.deep_link)
    malformed = _find_malformed(push)
    missing = [] if malformed else compile_push(push).find_unknown(columns)
    if malformed or missing:
        text = malformed[0] if malformed else _describe_missing(missing, columns)
        details = {"missingColumns": missing, "malformedVariables": malformed}
        raise BadAdHocPushError("variables", text, details)


def _describe_missing(missing: Sequence[str], columns: Sequence[str]) -> str:
    names = ", ".join(f"[[var:{name}]]" for name in missing)
    there = f"Its columns: {', '.join(columns)}" if columns else "It has none"
    return f"{names}: the audience has no such column. {there}; a CSV brings columns of its own."


def _find_malformed(push: Push) -> list[str]:
    faults = []
    for name, text in (("title", push.title), ("body", push.body), ("deepLink", push.deep_link)):
        try:
            compile_template(text)
        except MalformedPlaceholderError as error:
            faults.append(f"{name}: {error}")
    return faults

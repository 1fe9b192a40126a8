"""The pages about the versions of an automation: the list, a comparison, the restore."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, Final, NamedTuple

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from marshmallow import ValidationError

from chassis.clock import utc_now
from chassis.problems import flatten_messages
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.automations.document_files import (
    BrokenDocumentError,
    DocumentNotFoundError,
    StaleVersionError,
)
from push_blaster.adapters.automations.version_table import (
    select_version_before,
    select_versions,
)
from push_blaster.domain.automations.version import Version, VersionKind
from push_blaster.use_cases.automations.restore_version import (
    VersionNotFoundError,
    find_version,
    restore_version,
)
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.schedule.refuse_activation import WillFailError
from push_blaster.web.automations.automation_fields import describe, find_changes
from push_blaster.web.automations.recipes import judge_activation
from push_blaster.web.frame.frame import page_routes

#: How a version came to be, in words.
KINDS: Final[Mapping[VersionKind, str]] = {
    VersionKind.CREATED: "Created",
    VersionKind.SAVED: "Saved",
    VersionKind.FOUND: "Edited in its file",
    VersionKind.DELETED: "Deleted",
    VersionKind.GONE: "Its file was removed",
}
#: How many changed fields a line of the list names.
NAMED: Final = 3


class _Line(NamedTuple):
    """A version in the list, and what it changed."""

    version: Version
    changed: str


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why a version was not restored."""

    status: int = 200
    reasons: Sequence[str] = field(default_factory=tuple)


def version_pages(context: WebContext) -> Blueprint:
    """Return the pages about versions."""
    pages = page_routes("versions")

    @pages.get("/automations/<automation_id>/versions")
    def list_all(automation_id: str) -> ResponseReturnValue:
        """List the versions of an automation, even if it is deleted."""
        with context.database.transaction() as connection:
            found = select_versions(connection, automation_id)
        present, fault = _look_at_present(context.files, automation_id)
        if not (found or present or fault):
            raise VersionNotFoundError(f"There is no automation {automation_id!r}.")
        return render_template(
            "versions.html",
            automation_id=automation_id,
            name=_name_of(automation_id, present, found),
            present=present,
            fault=fault,
            lines=[_Line(*pair) for pair in _describe_changes(found)],
            kinds=KINDS,
        )

    @pages.get("/automations/<automation_id>/versions/<int:version_id>")
    def compare(automation_id: str, version_id: int) -> ResponseReturnValue:
        """Show what a version changed, or how it differs from the present automation."""
        version = find_version(context.database, automation_id, version_id)
        return _show_comparison(context, version, _Refusal())

    @pages.post("/automations/<automation_id>/versions/<int:version_id>/restore")
    def restore(automation_id: str, version_id: int) -> ResponseReturnValue:
        """Restore a version; what forbids it stands on the page of the comparison."""
        version = find_version(context.database, automation_id, version_id)
        expected = request.form.get("version", 0, type=int)
        try:
            judge = judge_activation(context)
            change = restore_version(
                context.files, context.database, version, expected, judge, utc_now()
            )
        except (StaleVersionError, WillFailError, ValidationError) as error:
            return _show_comparison(context, version, _refuse(error))
        flash(_describe_restore(version, change.document, expected), "success")
        return redirect(url_for("pages_automations.show", automation_id=automation_id), 303)

    return pages


def _show_comparison(context: WebContext, version: Version, refusal: _Refusal) -> tuple[str, int]:
    present, fault = _look_at_present(context.files, version.automation_id)
    before = _find_before(context, version)
    is_against_before = before is not None and request.args.get("against") == "before"
    old, new = version.document, present or version.document
    if before and is_against_before:
        old, new = before.document, version.document
    page = render_template(
        "version.html",
        version=version,
        before=before,
        present=present,
        fault=fault,
        is_against_before=is_against_before,
        differences=find_changes(old, new),
        describe=describe,
        kinds=KINDS,
        reasons=refusal.reasons,
    )
    return page, refusal.status


def _describe_restore(version: Version, document: Mapping[str, Any], before: int) -> str:
    if not before:
        return (
            f"Version {version.version} is restored. What could not be read is kept; its name "
            "stands under Versions."
        )
    if document["version"] == before:
        return f"The content is that of version {version.version} already, so nothing was saved."
    return f"Version {version.version} is restored, as a new version."


def _refuse(error: Exception) -> _Refusal:
    if isinstance(error, WillFailError):
        first = "It is not restored, because the automation is on and would surely fail."
        last = "Pause the automation first; then the version can be restored and mended."
        return _Refusal(409, [first, *(finding.message for finding in error.findings), last])
    if isinstance(error, ValidationError):
        first = "It is not restored, because it does not fit the fields of today."
        return _Refusal(400, [first, *flatten_messages(error.messages)])
    text = "Nothing is restored: somebody saved the automation meanwhile. Compare once more."
    return _Refusal(409, [text])


def _name_of(
    automation_id: str, present: Mapping[str, Any] | None, found: Sequence[Version]
) -> str:
    document = present or (found[0].document if found else {"name": automation_id})
    return str(document["name"])


def _look_at_present(
    files: AutomationFiles, automation_id: str
) -> tuple[Mapping[str, Any] | None, str | None]:
    """Return the present document, or why its file cannot be read; neither if it is deleted."""
    try:
        return files.load(automation_id), None
    except BrokenDocumentError as error:
        return None, str(error)
    except DocumentNotFoundError:
        return None, None


def _find_before(context: WebContext, version: Version) -> Version | None:
    with context.database.transaction() as connection:
        return select_version_before(connection, version)


def _describe_changes(found: Sequence[Version]) -> list[tuple[Version, str]]:
    return [
        (version, _name_changes(before, version) if before else "")
        for version, before in zip_longest(found, found[1:])
        if version
    ]


def _name_changes(before: Version, version: Version) -> str:
    """Return the fields that a version changed, the first ones by name."""
    if version.is_removal or before.is_removal:
        return ""
    labels = list(
        dict.fromkeys(describe(d.path) for d in find_changes(before.document, version.document))
    )
    others = len(labels) - NAMED
    named = ", ".join(labels[:NAMED]) or "nothing that a person sees"
    return f"{named} and {others} more" if others > 0 else named

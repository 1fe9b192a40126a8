"""Routes about the versions of automations: list, read, compare, restore."""

from itertools import zip_longest
from typing import Any, Final

from flask.typing import ResponseReturnValue

from chassis.clock import utc_now
from chassis.service import Routes
from chassis.typed_schemas import about, answer_schema, object_schema
from push_blaster.adapters.automations.version_table import select_versions
from push_blaster.domain.automations.version import Version
from push_blaster.use_cases.automations.restore_version import find_version, restore_version
from push_blaster.use_cases.context import WebContext
from push_blaster.web.automations.automation_fields import describe, find_changes
from push_blaster.web.automations.recipes import (
    ActivationQuery,
    ActivationSchema,
    RecipeAnswerSchema,
    answer_change,
    judge_activation,
)
from push_blaster.web.automations.versions import check_if_match

VersionLineSchema = answer_schema(Version, "VersionLine", without=("document",), changed=list[str])
VersionListSchema = object_schema("VersionList", versions=(VersionLineSchema,))
DifferenceSchema = object_schema(
    "VersionDifference", path=str, field=str, before=object, after=object
)
DifferencesSchema = object_schema("VersionDifferences", differences=(DifferenceSchema,))
OTHER: Final[Any] = about(
    None, data_key="with", description="the id of the other version; default: the present document"
)

_ALL: Final = "/api/automation/recipes/<automation_id>/versions"
_ONE: Final = f"{_ALL}/<int:version_id>"


def version_routes(context: WebContext) -> Routes:
    """Return the routes about versions."""
    routes = Routes("automation_versions", __name__, description="Versions of automations")
    _add_reads(routes, context)
    _add_restore(routes, context)
    return routes


def _add_reads(routes: Routes, context: WebContext) -> None:
    @routes.route(_ALL, methods=["GET"])
    @routes.response(200, VersionListSchema)
    def list_all(automation_id: str) -> dict[str, object]:
        """List the versions of an automation, newest first, even if it is deleted."""
        with context.database.transaction() as connection:
            found = select_versions(connection, automation_id)
        if not found:  # no engine has seen its file yet, or there is no such automation
            context.files.load(automation_id)
        return {"versions": [_line(*pair) for pair in zip_longest(found, found[1:])]}

    @routes.route(_ONE, methods=["GET"])
    @routes.response(200, answer_schema(Version))
    def read_one(automation_id: str, version_id: int) -> Version:
        """Read one version with its whole document."""
        return find_version(context.database, automation_id, version_id)

    @routes.route(f"{_ONE}/differences", methods=["GET"])
    @routes.query
    @routes.response(200, DifferencesSchema)
    def compare(
        automation_id: str, version_id: int, *, other: int | None = OTHER
    ) -> dict[str, object]:
        """Compare a version with another one, or with the present document, field by field."""
        before = find_version(context.database, automation_id, version_id).document
        after = (
            context.files.load(automation_id)
            if other is None
            else find_version(context.database, automation_id, other).document
        )
        differences = [
            {"path": path, "field": describe(path), "before": old, "after": new}
            for path, old, new in find_changes(before, after)
        ]
        return {"differences": differences}


def _add_restore(routes: Routes, context: WebContext) -> None:
    @routes.route(f"{_ONE}/restore", methods=["POST"])
    @routes.arguments(ActivationSchema, location="query")
    @routes.alt_response(200, schema=RecipeAnswerSchema)
    def restore(query: ActivationQuery, automation_id: str, version_id: int) -> ResponseReturnValue:
        """Restore the content of a version, as a new version; whether it is on stays as it is."""
        version = find_version(context.database, automation_id, version_id)
        expected = check_if_match(context.files, automation_id)
        judge = judge_activation(context, query)
        change = restore_version(
            context.files, context.database, version, expected, judge, utc_now()
        )
        return answer_change(change, "restored")


def _line(version: Version, before: Version | None) -> dict[str, object]:
    names = ("id", "automation_id", "version", "kind", "author", "reason", "saved_at", "generation")
    changes = find_changes(before.document, version.document) if before else []
    line: dict[str, object] = {name: getattr(version, name) for name in names}
    return {**line, "changed": [difference.path for difference in changes]}

"""Routes about layers and rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import Response, jsonify, request
from flask.typing import ResponseReturnValue
from marshmallow import ValidationError, fields, validate
from werkzeug.exceptions import PreconditionFailed

from cadence_contract import MAX_RULES, RuleSchema, RuleSetSchema, RulesSchema
from cadence_service.adapters.rule_changes import RuleChange, select_changes
from cadence_service.adapters.rule_table import Layer, RuleSet, select_layers, select_rule_set
from cadence_service.domain.cadence import read_rule
from cadence_service.use_cases.change_rules import (
    Author,
    RuleNotFoundError,
    add_rule,
    change_layer,
    change_rule,
    remove_rule,
    replace_rules,
)
from chassis.bearer_auth import caller_name
from chassis.postgres import BulkConnection, BulkDatabase
from chassis.schemas import CamelSchema, JsonBoolean
from chassis.service import Routes
from chassis.typed_schemas import about, answer_schema, object_schema, request_schema


@dataclass(frozen=True, slots=True)
class Signature:
    """Query of every change: who makes it, and why; both go into the audit trail."""

    changed_by: str = about("", validate=validate.Length(max=200))
    note: str = about("", validate=validate.Length(max=1_000))


def _is_plain_name(name: str) -> None:
    if not name.isprintable() or name != name.strip():
        raise ValidationError("A name has no blanks around it and no line breaks; leave them out.")


class LayerChangeSchema(CamelSchema):
    """Body of PUT /layers/<id>: what is given replaces what was."""

    name = fields.String(validate=[validate.Length(min=1, max=100), _is_plain_name])
    description = fields.String(validate=validate.Length(max=1_000))
    is_exempt = JsonBoolean()


class RuleChangeBodySchema(RuleSchema):
    """Body of PUT /rules/<name>: the whole rule, with or without its name."""

    name = fields.String()


def rule_routes(database: BulkDatabase) -> Routes:
    """Return the routes about layers and rules."""
    routes = Routes("rules", __name__, description="Layers and cadence rules")
    _add_layers(routes, database)
    _add_rule_set(routes, database)
    _add_single_rules(routes, database)
    return routes


def _add_layers(routes: Routes, database: BulkDatabase) -> None:
    @routes.route("/layers", methods=["GET"])
    @routes.response(200, object_schema("Layers", layers=list[Layer]))
    def list_layers() -> dict[str, list[Layer]]:
        """List the layers."""
        with database.transaction() as connection:
            return {"layers": select_layers(connection)}

    @routes.route("/layers/<int:layer_id>", methods=["PUT"])
    @routes.arguments(LayerChangeSchema)
    @routes.arguments(request_schema(Signature), location="query")
    @routes.response(200, answer_schema(Layer))
    def edit_layer(changes: dict[str, str | bool], by: Signature, layer_id: int) -> Layer:
        """Change a layer: its name, its description, whether it is exempt from every rule."""
        with database.transaction() as connection:
            return change_layer(connection, layer_id, _find_author(connection, by), **changes)


def _add_rule_set(routes: Routes, database: BulkDatabase) -> None:
    @routes.route("/rules", methods=["GET"])
    @routes.query
    @routes.alt_response(200, schema=RuleSetSchema)
    def list_rules(
        *,
        version: int | None = about(
            None,
            validate=validate.Range(min=1),
            description="An earlier set; default: the one in force.",
        ),
    ) -> ResponseReturnValue:
        """List the rules in force, or an earlier set, in order of precedence."""
        with database.transaction() as connection:
            return _answer_rules(_read_rule_set(connection, version))

    @routes.route("/rules", methods=["PUT"])
    @routes.arguments(RulesSchema)
    @routes.arguments(request_schema(Signature), location="query")
    @routes.alt_response(200, schema=RuleSetSchema)
    def replace_all(body: Mapping[str, Any], by: Signature) -> ResponseReturnValue:
        """Replace the whole set of rules; it is in force at once, and old sets are kept."""
        with database.transaction() as connection:
            rules = [read_rule(**rule) for rule in body["rules"]]
            return _answer_rules(replace_rules(connection, rules, _find_author(connection, by)))

    @routes.route("/rules", methods=["POST"])
    @routes.arguments(RuleSchema)
    @routes.arguments(request_schema(Signature), location="query")
    @routes.alt_response(201, schema=RuleSetSchema)
    def add(rule: Mapping[str, Any], by: Signature) -> ResponseReturnValue:
        """Add a rule, last in the order of precedence."""
        with database.transaction() as connection:
            author = _find_author(connection, by)
            return _answer_rules(add_rule(connection, read_rule(**rule), author, MAX_RULES), 201)

    @routes.route("/rules/history", methods=["GET"])
    @routes.query
    @routes.response(
        200, object_schema("History", changes=(answer_schema(RuleChange, changed_at=datetime),))
    )
    def list_history(
        *,
        before: int | None = about(None, validate=validate.Range(min=1)),
        limit: int = about(50, validate=validate.Range(min=1, max=500)),
    ) -> dict[str, list[RuleChange]]:
        """List what was changed about rules and layers, newest first."""
        with database.transaction() as connection:
            return {"changes": select_changes(connection, before, limit)}


def _add_single_rules(routes: Routes, database: BulkDatabase) -> None:
    @routes.route("/rules/<name>", methods=["GET"])
    @routes.response(200, RuleSchema)
    def read_one_rule(name: str) -> dict[str, object]:
        """Read one rule."""
        with database.transaction() as connection:
            rules = _read_rule_set(connection, None).rules
        found = next((rule for rule in rules if rule.name == name), None)
        if found is None:
            raise RuleNotFoundError(f"There is no rule {name!r}.")
        return found.to_document()

    @routes.route("/rules/<name>", methods=["PUT"])
    @routes.arguments(RuleChangeBodySchema)
    @routes.arguments(request_schema(Signature), location="query")
    @routes.alt_response(200, schema=RuleSetSchema)
    def edit(rule: Mapping[str, Any], by: Signature, name: str) -> ResponseReturnValue:
        """Change a rule in its place; If-Match with the version loses no update."""
        if rule.get("name", name) != name:
            raise ValidationError({"name": ["A rule keeps its name; add a new one instead."]})
        with database.transaction() as connection:
            author = _find_author(connection, by)
            changed = read_rule(**{**rule, "name": name})
            return _answer_rules(change_rule(connection, changed, author))

    @routes.route("/rules/<name>", methods=["DELETE"])
    @routes.arguments(request_schema(Signature), location="query")
    @routes.alt_response(200, schema=RuleSetSchema)
    def remove(by: Signature, name: str) -> ResponseReturnValue:
        """Remove a rule; a layer without any rule fails open."""
        with database.transaction() as connection:
            return _answer_rules(remove_rule(connection, name, _find_author(connection, by)))


def _read_rule_set(connection: BulkConnection, version: int | None) -> RuleSet:
    rule_set = select_rule_set(connection, version)
    if rule_set is None and version is not None:
        raise RuleNotFoundError(f"There is no version {version} of the rules.")
    return rule_set or RuleSet(0, datetime.min.replace(tzinfo=UTC), ())


def _find_author(connection: BulkConnection, by: Signature) -> Author:
    """Return who changes the rules, and the version that If-Match names."""
    expected: int | None = None
    if request.if_match:
        expected = _read_rule_set(connection, None).version
        if not request.if_match.contains(str(expected)):
            raise PreconditionFailed(
                f"The rules are at version {expected}; read them again, and repeat the change."
            )
    return Author(by.changed_by, by.note, expected, caller_name())


def _answer_rules(rule_set: RuleSet, status: int = 200) -> Response:
    shown = {
        "version": rule_set.version,
        "rules": [rule.to_document() for rule in rule_set.rules],
        **({"created_at": rule_set.created_at} if rule_set.version else {}),
    }
    response = jsonify(RuleSetSchema().dump(shown))
    response.status_code = status
    response.set_etag(str(rule_set.version))
    return response

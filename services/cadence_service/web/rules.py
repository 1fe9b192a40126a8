"""Routes about layers and rules."""

from datetime import UTC, datetime, timedelta
from typing import Any

from marshmallow import Schema, fields
from werkzeug.exceptions import NotFound

from cadence_contract import RuleSchema, RuleSetSchema, RulesSchema
from cadence_service.adapters.rule_table import (
    RuleSet,
    insert_rule_set,
    select_layers,
    select_rule_set,
)
from cadence_service.domain.cadence import CadenceRule
from chassis.postgres import Database
from chassis.service import Routes


class LayerSchema(Schema):
    """A layer of notifications."""

    id = fields.Integer()
    name = fields.String()
    description = fields.String()
    is_exempt = fields.Boolean(data_key="isExempt")


class LayersSchema(Schema):
    """Every layer."""

    layers = fields.List(fields.Nested(LayerSchema))


def rule_routes(database: Database) -> Routes:
    """Return the routes about layers and rules."""
    routes = Routes("rules", __name__, description="Layers and cadence rules")

    @routes.route("/layers", methods=["GET"])
    @routes.response(200, LayersSchema)
    def list_layers() -> dict[str, Any]:
        """List the layers."""
        with database.transaction() as connection:
            return {"layers": select_layers(connection)}

    @routes.route("/rules", methods=["GET"])
    @routes.response(200, RuleSetSchema)
    def list_rules() -> dict[str, Any]:
        """List the rules in force, in order of precedence."""
        return _show(_read(database))

    @routes.route("/rules", methods=["PUT"])
    @routes.arguments(RulesSchema)
    @routes.response(200, RuleSetSchema)
    def replace_rules(body: dict[str, Any]) -> dict[str, Any]:
        """Replace the whole set of rules; it is in force at once, and old sets are kept."""
        rules = [_rule(sent) for sent in body["rules"]]
        with database.transaction() as connection:
            insert_rule_set(connection, rules)
        return _show(_read(database))

    @routes.route("/rules/<name>", methods=["GET"])
    @routes.response(200, RuleSchema)
    def read_rule(name: str) -> dict[str, Any]:
        """Read one rule."""
        shown: list[dict[str, Any]] = _show(_read(database))["rules"]
        found = next((rule for rule in shown if rule["name"] == name), None)
        if found is None:
            raise NotFound(f"There is no rule {name!r}.")
        return found

    return routes


def _read(database: Database) -> RuleSet:
    with database.transaction() as connection:
        rule_set = select_rule_set(connection)
    return rule_set or RuleSet(0, datetime.min.replace(tzinfo=UTC), ())


def _show(rule_set: RuleSet) -> dict[str, Any]:
    rules = [
        {
            "name": rule.name,
            "description": rule.description,
            "applies_to_layers": sorted(rule.applies_to_layers),
            "counted_layers": sorted(rule.counted_layers),
            "window_hours": rule.window / timedelta(hours=1),
            "max_count": rule.max_count,
            "is_active": rule.is_active,
        }
        for rule in rule_set.rules
    ]
    shown: dict[str, Any] = {"version": rule_set.version, "rules": rules}
    if rule_set.version:
        shown["created_at"] = rule_set.created_at
    return shown


def _rule(sent: dict[str, Any]) -> CadenceRule:
    return CadenceRule(
        name=sent["name"],
        description=sent["description"],
        applies_to_layers=frozenset(sent["applies_to_layers"]),
        counted_layers=frozenset(sent["counted_layers"]),
        window=timedelta(hours=sent["window_hours"]),
        max_count=sent["max_count"],
        is_active=sent["is_active"],
    )

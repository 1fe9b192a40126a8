"""Change rules and layers: one change at a time; it is in force at once, and recorded."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

from cadence_service.adapters.rule_changes import RuleChange, insert_change, lock_rules
from cadence_service.adapters.rule_table import (
    Layer,
    RuleSet,
    insert_rule_set,
    select_layers,
    select_rule_set,
    update_layer,
)
from cadence_service.domain.cadence import CadenceRule
from chassis.names import camel_case
from chassis.postgres import BulkConnection


class RuleExistsError(Exception):
    """There is a rule of that name already."""


class RuleNotFoundError(Exception):
    """There is no rule, set of rules or layer of that name."""


class TooManyRulesError(Exception):
    """The limit of rules in force is reached."""


class StaleRulesError(Exception):
    """The rules have changed since the version on which this change is based."""


@dataclass(frozen=True, slots=True)
class Author:
    """Who changes the rules, and why; `expected_version` None means whatever is in force."""

    changed_by: str = ""
    note: str = ""
    expected_version: int | None = None
    caller: str | None = None


def replace_rules(
    connection: BulkConnection, rules: Sequence[CadenceRule], author: Author
) -> RuleSet:
    """Put `rules` in force, in this order of precedence."""

    def edit(_: list[CadenceRule]) -> list[CadenceRule]:
        return list(rules)

    return _change(connection, "rules_replaced", "", edit, author)


def add_rule(
    connection: BulkConnection, rule: CadenceRule, author: Author, max_rules: int
) -> RuleSet:
    """Add a rule at the end of the order of precedence.

    Raises: RuleExistsError, TooManyRulesError, StaleRulesError.
    """

    def edit(present: list[CadenceRule]) -> list[CadenceRule]:
        if any(other.name == rule.name for other in present):
            raise RuleExistsError(f"There is a rule {rule.name!r} already; change it by PUT.")
        if len(present) >= max_rules:
            raise TooManyRulesError(
                f"There are {len(present)} rules, and at most {max_rules} may be in force; "
                "remove one first."
            )
        return [*present, rule]

    return _change(connection, "rule_added", rule.name, edit, author)


def change_rule(connection: BulkConnection, rule: CadenceRule, author: Author) -> RuleSet:
    """Change the rule of this name in its place; RuleNotFoundError, StaleRulesError."""

    def edit(present: list[CadenceRule]) -> list[CadenceRule]:
        _find(present, rule.name)
        return [rule if other.name == rule.name else other for other in present]

    return _change(connection, "rule_changed", rule.name, edit, author)


def remove_rule(connection: BulkConnection, name: str, author: Author) -> RuleSet:
    """Remove the rule of this name; RuleNotFoundError, StaleRulesError."""

    def edit(present: list[CadenceRule]) -> list[CadenceRule]:
        _find(present, name)
        return [other for other in present if other.name != name]

    return _change(connection, "rule_removed", name, edit, author)


def change_layer(
    connection: BulkConnection, layer_id: int, author: Author, **changes: str | bool
) -> Layer:
    """Change a layer's name, description or exemption; RuleNotFoundError."""
    lock_rules(connection)
    layers = {layer.id: layer for layer in select_layers(connection)}
    if layer_id not in layers:
        raise RuleNotFoundError(f"There is no layer {layer_id}.")
    before = layers[layer_id]
    after = replace(before, **changes)  # type: ignore[arg-type]  # LayerChangeSchema checked it
    if any(layer.name == after.name for layer in layers.values() if layer.id != layer_id):
        raise RuleExistsError(f"name: another layer is called {after.name!r} already.")
    update_layer(connection, after)
    change = RuleChange(
        action="layer_changed",
        subject=str(layer_id),
        version=None,
        changed_by=author.changed_by,
        caller=author.caller,
        note=author.note,
        before=asdict(before),
        after=asdict(after),
    )
    insert_change(connection, change)
    return after


def _change(
    connection: BulkConnection,
    action: str,
    subject: str,
    edit: Callable[[list[CadenceRule]], list[CadenceRule]],
    author: Author,
) -> RuleSet:
    lock_rules(connection)
    present = select_rule_set(connection)
    version = present.version if present else 0
    if author.expected_version not in {None, version}:
        raise StaleRulesError(
            f"The rules are at version {version}; read them again, and repeat the change."
        )
    old = list(present.rules) if present else []
    new = edit(old)
    made = insert_rule_set(connection, new)
    change = RuleChange(
        action=action,
        subject=subject,
        version=made,
        changed_by=author.changed_by,
        caller=author.caller,
        note=author.note,
        before=[_as_json(rule) for rule in old if subject in {"", rule.name}],
        after=[_as_json(rule) for rule in new if subject in {"", rule.name}],
    )
    insert_change(connection, change)
    in_force = select_rule_set(connection)
    if in_force is None:
        raise RuleNotFoundError("The rules that were just written are gone.")
    return in_force


def _find(rules: Sequence[CadenceRule], name: str) -> CadenceRule:
    found = next((rule for rule in rules if rule.name == name), None)
    if found is None:
        raise RuleNotFoundError(f"There is no rule {name!r}.")
    return found


def _as_json(rule: CadenceRule) -> dict[str, object]:
    shown = rule.to_document().items()
    return {camel_case(name): value for name, value in shown if name != "description"}

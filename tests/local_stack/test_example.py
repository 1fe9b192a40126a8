"""The example: a sequence that keeps to the rules that a new installation has."""

import json

from cadence_service.adapters.rule_table import select_layers, select_rule_set
from cadence_service.domain.cadence import Send, replay
from chassis.clock import utc_now
from chassis.postgres import BulkDatabase
from local_stack.example import SOURCE

EXAMPLE = SOURCE / "automations" / "garden-activity.json"


def test_its_pushes_do_not_use_up_one_anothers_cap(cadence_database: BulkDatabase) -> None:
    now = utc_now()
    sends = [Send(push["layerId"], now) for push in json.loads(EXAMPLE.read_text())["pushSequence"]]

    with cadence_database.transaction() as connection:
        rules = select_rule_set(connection)
        exempt = [layer.id for layer in select_layers(connection) if layer.is_exempt]

    assert rules is not None
    assert replay(rules.rules, exempt, [], sends) == [None, None, None]

"""The words for layers and cadence rules, for pages, messages and logs; the API keeps the names."""

import re
from collections.abc import Mapping
from typing import Final

LAYERS: Final[Mapping[int, str]] = {
    1: "Platform-wide moment",
    2: "Product or trend trigger",
    3: "Behaviour-responsive",
    4: "Test",
    5: "New-user series",
}

#: Rules that the cadence service brings along, and reasons that it gives in place of a rule.
_RULES: Final[Mapping[str, str]] = {
    "layer_3_cooldown_hours": "Pause between behaviour-responsive pushes",
    "combined_l2_l3_limit_hours": "Limit for layers 2 and 3 together",
    "layer_5_cooldown_hours": "Pause between pushes of the new-user series",
    "invalidUuid": "User id that is not valid",
    "cadence": "Cadence",
}
_PARTS: Final = re.compile(r"[_-]+|(?<=[a-z])(?=[A-Z])")


def name_layer(layer_id: int) -> str:
    """Return a layer with its meaning."""
    return f"{layer_id} · {LAYERS.get(layer_id, 'Unknown')}"


def name_rule(name: str) -> str:
    """Return a rule in words; a name that people wrote as words stays as they wrote it."""
    if name in _RULES:
        return _RULES[name]
    spelled = name if " " in name else _PARTS.sub(" ", name).strip() or name
    return spelled[:1].upper() + spelled[1:]


def count_by_rule(users: Mapping[str, int]) -> str:
    """Return how many users each rule caps, such as `Weekly limit: 3`."""
    return ", ".join(f"{name_rule(rule)}: {count}" for rule, count in users.items())

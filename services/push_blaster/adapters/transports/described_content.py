"""The content of a message under its JSON names, for whoever shows the message in another way."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from chassis.names import camel_case
from push_blaster.domain.automations.content import (
    Content,
    describe_action,
    given,
    once_per_content,
)

_WRITTEN_ELSEWHERE: Final = frozenset({"ttl", "actions", "data", "silent"})


@once_per_content
def describe_content(content: Content) -> Mapping[str, Any]:
    """Return the fields that are given, without `data`; time to live and priority always."""
    values = asdict(content)
    described = given(
        **{camel_case(n): v for n, v in values.items() if n not in _WRITTEN_ELSEWHERE}
    )
    actions = [describe_action(action) for action in content.actions]
    return {
        **described,
        **given(actions=actions, silent=content.silent or None),
        "ttlMinutes": content.ttl_s // 60,
    }

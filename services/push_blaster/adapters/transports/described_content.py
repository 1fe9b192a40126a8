"""The content of a message under its JSON names, for whoever shows the message in another way."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from push_blaster.domain.automations.content import Content, given, json_name, once_per_content


@once_per_content
def describe_content(content: Content) -> Mapping[str, Any]:
    """Return the fields of a push that are given, and its time to live and priority always."""
    values = asdict(content)
    described = given(**{json_name(name): value for name, value in values.items() if name != "ttl"})
    return {**described, "ttlMinutes": content.ttl_s // 60}

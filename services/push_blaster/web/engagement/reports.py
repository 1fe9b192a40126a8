"""What the routes for reports share: how a body is read, and what the metric counts."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final

import prometheus_client
from flask import request
from marshmallow import Schema, ValidationError, fields, validate
from werkzeug.exceptions import UnsupportedMediaType

from chassis.http.fast_json import read_json
from chassis.typed_schemas import object_schema
from push_blaster.domain.engagement.event import RefusedItem

REPORTS: Final = prometheus_client.Counter(
    "push_reports", "Events and conversions that came, by what became of them.", ("kind", "outcome")
)


def describe_report(
    items: str, item: type[Schema], most: int, kinds: Collection[str]
) -> dict[str, object]:
    """Return the body of a report for OpenAPI: an object with up to `most` items."""
    listed = fields.List(
        fields.Nested(item), required=True, validate=validate.Length(min=1, max=most)
    )
    schema = object_schema(f"{items.capitalize()}Report", **{items: listed})
    return {"required": True, "content": {kind: {"schema": schema} for kind in kinds}}


def read_report(items: str, most: int, kinds: Collection[str]) -> Sequence[object]:
    """Return the items of the body, each as it came."""
    if request.mimetype not in kinds:
        raise UnsupportedMediaType(f"Send JSON, with the Content-Type {' or '.join(kinds)}.")
    try:
        body = read_json(request.get_data())
    except ValueError as error:
        raise ValidationError({"json": [f"Invalid JSON body: {error}."]}) from error
    found = body.get(items) if isinstance(body, dict) else None
    if not isinstance(found, list) or not 1 <= len(found) <= most or len(body) > 1:
        text = f'Send an object {{"{items}": […]}} of 1 to {most} {items}, and nothing else.'
        raise ValidationError({items: [text]})
    return found


def count_report(
    kind: str, accepted: int, not_counted: int, problems: Sequence[RefusedItem]
) -> None:
    """Count for the metric what became of a report."""
    outcomes = Counter(str(problem.reason) for problem in problems)
    outcomes.update(counted=accepted - not_counted, not_counted=not_counted)
    for outcome, number in outcomes.items():
        REPORTS.labels(kind, outcome).inc(number)

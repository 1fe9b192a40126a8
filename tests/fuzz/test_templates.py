"""Texts with placeholders, and templates of automations: filled in, or refused with the reason."""

import json
import re
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient
from hypothesis import example, given
from hypothesis import strategies as st
from marshmallow import ValidationError

from push_blaster.adapters.automations.automation_document import complete_document, read_automation
from push_blaster.adapters.automations.template_files import SYSTEM_TEMPLATES
from push_blaster.adapters.automations.template_schema import complete_template
from push_blaster.adapters.transports.fcm_payload import encode_message
from push_blaster.domain.automations.automation_template import BadVariablesError
from push_blaster.domain.delivery.message import Message
from push_blaster.domain.delivery.push_template import compile_push
from push_blaster.domain.delivery.template import (
    MalformedPlaceholderError,
    MissingVariableError,
    compile_template,
)
from push_blaster.domain.executions.limits import Limits
from push_blaster.use_cases.automations.start_from_template import (
    LinkNotAllowedError,
    Start,
    draft_automation,
)
from tests.builders import NOON, a_push
from tests.fuzz.values import THOROUGH, anything, changed, json_values
from tests.people import ALICE

A_TEMPLATE = next(iter(SYSTEM_TEMPLATES.values()))
PATH = f"/api/automation/templates/{A_TEMPLATE['id']}"
#: What it asks for.
VARIABLES = {"feature_name": "Seeds", "target_segment": "all_users"}
#: Pieces of which placeholders are made, well or badly, nested, and of any alphabet.
pieces = st.sampled_from(
    [
        "[[",
        "]]",
        "[",
        "]",
        "var:",
        "[[var:",
        "[[var:name]]",
        "[[var:name|you]]",
        "|",
        "name",
        "ñ",
        "{{",
    ]
)
texts = st.lists(pieces | st.text(max_size=5), max_size=8).map("".join)
rows = st.dictionaries(st.sampled_from(["name", "ñ", "other"]), texts, max_size=3)


@THOROUGH
@given(text=texts, row=rows)
@example(text="[[var:name]]", row={"name": "[[var:name]]"})
@example(text="[[var:a[[var:name]]]]", row={})
def test_a_text_is_filled_in_or_named_as_malformed_or_lacking(
    text: str, row: dict[str, str]
) -> None:
    try:
        template = compile_template(text)
    except MalformedPlaceholderError:
        assert "[[" in text.replace("[[var:name]]", "")
        return
    needed = set(re.findall(r"\[\[var:([^\]|]+)\]\]", text))
    lacking = {name for name in needed if not row.get(name, "").strip()}
    if lacking:
        with pytest.raises(MissingVariableError):
            template.render(row)
        return
    rendered = template.render(row)
    literals = re.split(r"\[\[var:[^\]]*\]\]", text)
    assert rendered.startswith(literals[0])
    assert rendered.endswith(literals[-1])
    if not template.is_personal:
        assert rendered == text


@THOROUGH
@given(title=texts, body=texts, link=texts, row=rows)
def test_what_is_filled_in_can_be_sent(
    title: str, body: str, link: str, row: dict[str, str]
) -> None:
    try:
        filled = compile_push(a_push(title=title, body=body, deep_link=link)).render(row)
    except (MalformedPlaceholderError, MissingVariableError):
        return
    message = Message(ALICE, "token", filled.title, filled.body, filled.deep_link, "tag")

    sent = orjson.loads(encode_message(message, 0))["message"]

    assert sent["notification"] == {"title": filled.title, "body": filled.body}


@THOROUGH
@given(template=changed(A_TEMPLATE), more=st.dictionaries(anything, json_values, max_size=1))
def test_a_template_makes_an_automation_or_says_why_not(
    template: dict[str, Any], more: dict[str, Any]
) -> None:
    try:
        complete = complete_template(template)
        start = Start(template=complete, variables={**VARIABLES, **more}, overrides={})
        draft = draft_automation(start, Limits(), NOON)
    except (ValidationError, BadVariablesError, LinkNotAllowedError):
        return
    assert complete_document(draft) == draft
    assert read_automation(draft).status == "draft"
    assert orjson.dumps(draft)


@THOROUGH
@given(
    overrides=st.dictionaries(
        st.sampled_from(["name", "schedule", "settings", "audienceCriteria"]) | anything,
        json_values | st.dictionaries(anything, json_values, max_size=2),
        max_size=3,
    )
)
@example(overrides={})
@example(overrides={"settings": {"maxAudienceSize": 10**25}})
@example(overrides={"settings": 5, "schedule": "x", "audienceCriteria": [1]})
def test_whatever_overrides_a_template_the_answer_is_an_automation_or_a_reason(
    client: FlaskClient, overrides: dict[str, Any]
) -> None:
    body = json.dumps({"variables": VARIABLES, "overrides": overrides, "preview": True})

    answer = client.post(PATH, data=body, content_type="application/json")

    assert answer.status_code == 200 if overrides == {} else answer.status_code in {200, 400, 422}
    assert ("automation" in (answer.get_json().get("data") or {})) == (answer.status_code == 200)

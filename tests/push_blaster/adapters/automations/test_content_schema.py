"""The content of a push in its document: what is taken, and what is refused by name."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from push_blaster.adapters.automations.automation_document import (
    complete_document,
    complete_or_why,
    read_automation,
)
from push_blaster.adapters.engagement.result_push_table import digest_texts
from push_blaster.domain.audiences.audience import AudienceRow
from push_blaster.domain.automations.automation import Push
from push_blaster.domain.automations.content import (
    PLAIN,
    Action,
    Content,
    InterruptionLevel,
    Priority,
)
from push_blaster.domain.delivery.deep_link import LinkPolicy
from push_blaster.domain.delivery.ledger import Refusal
from push_blaster.domain.delivery.push_template import (
    Wordings,
    compile_push,
    find_faults_as_written,
    render_row,
)
from tests.builders import a_document

CONTENT = {
    "imageUrl": "https://cdn.example/[[var:plant]].png",
    "ttlMinutes": 90,
    "priority": "normal",
    "badge": 0,
    "sound": "chime",
    "androidChannelId": "offers",
    "interruptionLevel": "time-sensitive",
    "threadId": "[[var:thread|news]]",
    "category": "OFFER",
    "silent": True,
    "actions": [
        {"id": "see", "title": "See [[var:plant]]", "deepLink": "https://x.example/[[var:plant]]"},
        {"id": "later", "title": "Later"},
    ],
    "data": {"imageUrl": "[[var:plant]]", "screen": "shop"},
    "platforms": {"apns": {"payload": {"plants": ["[[var:plant]]"]}}, "webpush": None},
}


def read(**fields: Any) -> Push:
    document = a_document(pushSequence=[{"title": "T", "body": "B", **fields}])
    return read_automation(complete_document(document)).pushes[0]


def complaint(**fields: Any) -> str | None:
    return complete_or_why(a_document(pushSequence=[{"title": "T", "body": "B", **fields}]))[1]


def test_every_field_is_read() -> None:
    assert read(**CONTENT).content == Content(
        image_url="https://cdn.example/[[var:plant]].png",
        ttl=timedelta(minutes=90),
        priority=Priority.NORMAL,
        badge=0,
        sound="chime",
        android_channel_id="offers",
        interruption_level=InterruptionLevel.TIME_SENSITIVE,
        thread_id="[[var:thread|news]]",
        category="OFFER",
        silent=True,
        actions=(
            Action(
                id="see",
                title="See [[var:plant]]",
                deep_link="https://x.example/[[var:plant]]",
            ),
            Action(id="later", title="Later"),
        ),
        data={"imageUrl": "[[var:plant]]", "screen": "shop"},
        platforms={"apns": {"payload": {"plants": ["[[var:plant]]"]}}},
    )


def test_a_push_that_says_nothing_has_the_usual_content_and_expires_after_a_day() -> None:
    push = read(imageUrl=None, ttlMinutes=None, badge=None, silent=None)

    assert push.content is PLAIN
    assert push.content.ttl == timedelta(hours=24)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("imageUrl", "http://cdn.example/a.png"),
        ("imageUrl", "//cdn.example/a.png"),
        ("imageUrl", "javascript:alert(1)"),
        ("imageUrl", "http://cdn.example/[[var:a]].png"),
        ("imageUrl", "http://[[var:host]]/a.png"),
        ("imageUrl", "https://"),
        ("imageUrl", "https://me@cdn.example/a.png"),
        ("imageUrl", "data:image/png;base64,AAAA"),
        ("imageUrl", 7),
        ("silent", "loud"),
        ("silent", 2),
        ("ttlMinutes", 0),
        ("ttlMinutes", -5),
        ("ttlMinutes", 100 * 365 * 24 * 60),
        ("ttlMinutes", 1.5),
        ("ttlMinutes", "90"),
        ("ttlMinutes", True),
        ("badge", -1),
        ("badge", 1e9),
        ("badge", True),
        ("priority", "urgent"),
        ("interruptionLevel", "loud"),
        ("sound", "x" * 201),
        ("sound", {"name": "x"}),
        ("threadId", ["a"]),
        ("actions", [{"id": f"a{n}", "title": "A"} for n in range(20)]),
        ("actions", [{"id": "a", "title": "A"}, {"id": "a", "title": "B"}]),
        ("actions", {"id": "a"}),
        ("data", ["a"]),
        ("data", {f"k{n}": "" for n in range(51)}),
    ],
)
def test_a_value_that_no_provider_takes_is_refused_by_name(field: str, value: object) -> None:
    said = complaint(**{field: value})

    assert said is not None
    assert said.startswith(f"pushSequence[0].{field}: ")


@pytest.mark.parametrize(
    "key",
    [
        "from",
        "From",
        "google.x",
        "google",
        "gcm.notification.title",
        "gcm_x",
        "message_type",
        "receipt",
        "url",
        "click_action",
        "actions",
        "",
        "a\nb",
    ],
)
def test_a_key_of_data_that_is_not_the_apps_own_is_refused(key: str) -> None:
    assert (complaint(data={key: "x"}) or "").startswith("pushSequence[0].data")


@pytest.mark.parametrize("value", [1, None, True, {"a": "b"}])
def test_data_is_text(value: object) -> None:
    assert (complaint(data={"screen": value}) or "").startswith("pushSequence[0].data")


@pytest.mark.parametrize("action", [{"title": "A"}, {"id": "a"}, {"id": "a b", "title": "A"}])
def test_a_button_has_an_id_and_a_title(action: dict[str, str]) -> None:
    assert (complaint(actions=[action]) or "").startswith("pushSequence[0].actions[0].")


@pytest.mark.parametrize(
    ("link", "fault"),
    [("http://x.example/", "scheme 'http'"), ("https://evil.example/a", "leads to 'evil.example'")],
)
def test_a_button_leads_only_where_messages_may(link: str, fault: str) -> None:
    links = LinkPolicy(hosts=frozenset({"x.example"}))
    push = read(actions=[{"id": "a", "title": "A", "deepLink": link}])
    row = AudienceRow(UUID(int=1), {})

    ((name, written),) = find_faults_as_written(links, push)
    refused = render_row(links, compile_push(push), row)

    assert name == "actions[0].deepLink"
    assert fault in written
    assert isinstance(refused, Refusal)
    assert f"the link actions[0].deepLink has the {fault}" in refused.reason or (
        f"the link actions[0].deepLink {fault}" in refused.reason
    )


def test_an_override_may_leave_fields_out() -> None:
    assert complaint(platforms={"android": None, "webpush": {"data": None, "headers": {}}}) is None
    assert complaint(platforms={"android": {"data": {"receipt": "theirs"}}}) is None


@pytest.mark.parametrize(
    "platforms",
    [
        [],
        "android",
        {"andriod": {}},
        {"android": []},
        {"android": {"ttl": 60}},
        {"android": {"notification": "loud"}},
        {"android": {"notification": {"channelId": "offers"}}},
        {"android": {"notification": {"sticky": "yes"}}},
        {"android": {"data": {"a": 1}}},
        {"apns": {"headers": {"apns-priority": 10}}},
        {"apns": {"payload": {"aps": "x"}}},
        {"apns": {"payload": {"aps": {"badge": "3"}}}},
        {"apns": {"payload": []}},
        {"webpush": {"notification": 3}},
        {"webpush": {"notification": {"actions": {}}}},
        {"webpush": {"headers": {"TTL": 60}}},
        {"webpush": {"data": {"a": {"b": "c"}}}},
        {"webpush": {"data": {"gcm.notification.title": "x"}}},
        {"android": {"data": {"from": "x"}}},
    ],
)
def test_an_override_that_breaks_the_payload_is_refused(platforms: object) -> None:
    assert (complaint(platforms=platforms) or "").startswith("pushSequence[0].platforms")


def test_a_variant_has_its_own_image_or_none() -> None:
    push = read(imageUrl="https://a.example/a", variants=[{"id": "b", "imageUrl": ""}, {"id": "c"}])

    images = [push.worded(variant).content.image_url for variant in push.variants]

    assert images == ["", "https://a.example/a"]
    assert complaint(variants=[{"id": "b", "imageUrl": "ftp://x"}]) is not None


def test_placeholders_are_filled_in_in_every_text_and_encoded_in_links() -> None:
    wordings = Wordings("news", read(**CONTENT))
    _, template = wordings.choose(UUID(int=1))

    content = template.render({"plant": "../ü b", "thread": ""}).content

    assert content.image_url == "https://cdn.example/..%2F%C3%BC%20b.png"
    assert content.thread_id == "news"
    assert content.actions[0].title == "See ../ü b"
    assert content.actions[0].deep_link == "https://x.example/..%2F%C3%BC%20b"
    assert content.data == {"imageUrl": "../ü b", "screen": "shop"}
    assert content.platforms == {"apns": {"payload": {"plants": ["../ü b"]}}}
    assert wordings.find_unknown(["thread"]) == ["plant"]
    assert wordings.find_used(["plant", "thread", "else"]) == ["plant", "thread"]


def test_messages_without_placeholders_in_their_content_share_it() -> None:
    push = read(badge=3, title="Hi [[var:name]]")
    _, template = Wordings("news", push).choose(UUID(int=1))

    contents = {id(template.render({"name": name}).content) for name in ("Ada", "Bob")}

    assert contents == {id(push.content)}


def test_new_content_begins_comparisons_anew_and_none_leaves_them() -> None:
    digests = [digest_texts(read(**fields)) for fields in ({}, {"badge": None}, {"badge": 1})]

    assert digests[0] == digests[1] != digests[2]

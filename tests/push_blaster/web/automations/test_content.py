"""The content of a push over HTTP: form, preview, templates, one-off sends, and what is sent."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.builders import a_document
from tests.page_reader import form_values
from tests.people import ALICE
from tests.push_blaster.bench import Bench, messages
from tests.push_blaster.web.one_off import scheduled_pushes
from tests.push_blaster.web.one_off.ad_hoc_pushes import SEND_PUSH, a_push, post, register
from tests.push_blaster.web.page_support import Visitor
from tests.push_blaster.web.recipes import RECIPES, a_template

IMAGE = "https://cdn.example/seeds.png"
EDIT = "/automations/news/edit"
FIRST = "pushSequence.0."


def saved_push(client: FlaskClient) -> dict[str, Any]:
    push: dict[str, Any] = client.get(f"{RECIPES}/news").get_json()["data"]["pushSequence"][0]
    return push


def test_the_form_saves_the_content_and_shows_it_in_the_preview(
    client: FlaskClient, admin: Visitor
) -> None:
    client.post(RECIPES, json=a_document())

    saved = admin.save(
        EDIT, **{f"{FIRST}imageUrl": IMAGE, f"{FIRST}badge": "0", f"{FIRST}ttlMinutes": "90"}
    )

    assert saved.status_code == 303
    push = saved_push(client)
    assert (push["imageUrl"], push["badge"], push["ttlMinutes"]) == (IMAGE, 0, 90)
    page = admin.get(EDIT)
    assert page.count(f'<span class="picture">{IMAGE}</span>') == 3
    assert "Image, Expires after, Badge" in " ".join(page.split())
    assert "Expires after: 90" in page
    admin.save(EDIT, **{f"{FIRST}badge": ""})
    assert saved_push(client).get("badge") is None


def test_buttons_and_data_are_lines_of_the_form(client: FlaskClient, admin: Visitor) -> None:
    see = {"id": "see", "title": "See", "deepLink": "https://x.example/a|b", "icon": "eye"}
    push = {"title": "T", "body": "B", "actions": [see], "data": {"screen": "shop"}}
    client.post(RECIPES, json=a_document(pushSequence=[push]))

    admin.save(EDIT, **{f"{FIRST}title": "Other"})
    untouched = saved_push(client)
    admin.save(
        EDIT,
        **{
            f"{FIRST}actions": "see | See it\n\nno|No|https://x.example/",
            f"{FIRST}data": "screen = a = b\nempty =",
        },
    )
    refused = admin.save(EDIT, **{f"{FIRST}data": "no pair", f"{FIRST}actions": "only-an-id"})

    assert (untouched["title"], untouched["actions"]) == ("Other", [see])
    changed = saved_push(client)
    assert changed["actions"] == [
        {"id": "see", "title": "See it", "icon": "eye"},
        {"id": "no", "title": "No", "deepLink": "https://x.example/"},
    ]
    assert changed["data"] == {"screen": "a = b", "empty": ""}
    assert ">no pair</textarea>" in refused.text
    assert f'href="#{FIRST}actions">Push 1: Buttons</a>' in refused.text
    assert '<span class="buttons">' in admin.get(EDIT)


def test_a_button_whose_line_stays_keeps_all_that_its_line_cannot_say(
    client: FlaskClient, admin: Visitor
) -> None:
    either = {"id": "either", "title": "This | that", "deepLink": "https://x.example/", "icon": "i"}
    push = {"title": "T", "body": "B", "actions": [either]}
    client.post(RECIPES, json=a_document(pushSequence=[push]))

    line = "either | This | that | https://x.example/"
    admin.save(EDIT, **{f"{FIRST}actions": f"no | No\n{line}"})

    assert saved_push(client)["actions"] == [{"id": "no", "title": "No"}, either]


def test_fields_of_the_providers_are_json_in_the_form(client: FlaskClient, admin: Visitor) -> None:
    client.post(RECIPES, json=a_document())

    refused = admin.save(EDIT, **{f"{FIRST}platforms": "{no json"})
    wrong = admin.save(EDIT, **{f"{FIRST}platforms": '{"android": {"ttl": 5}}'})
    admin.save(EDIT, **{f"{FIRST}platforms": '{"android": {"collapse_key": "news"}}'})

    assert ">{no json</textarea>" in refused.text
    assert "android.ttl is no duration such as 3600s" in wrong.text
    assert saved_push(client)["platforms"] == {"android": {"collapse_key": "news"}}
    assert "&#34;collapse_key&#34;: &#34;news&#34;" in admin.get(EDIT)


def test_the_form_makes_a_push_silent_and_the_preview_shows_no_phone(
    client: FlaskClient, admin: Visitor
) -> None:
    client.post(RECIPES, json=a_document())

    shown = admin.get(EDIT)
    admin.save(EDIT, **{f"{FIRST}badge": "3"})
    unsaid = saved_push(client)
    admin.save(EDIT, **{f"{FIRST}silent": "true", f"{FIRST}imageUrl": IMAGE})
    silent, saved = admin.get(EDIT), saved_push(client)

    assert 'aria-label="On iOS"' in shown
    assert unsaid.get("silent") is None, "an empty box says nothing"
    assert saved["silent"] is True
    assert "nothing is shown. Only the app gets this push, as data." in silent
    assert 'aria-label="On iOS"' not in silent
    assert '<span class="picture">' not in silent
    values = form_values(admin.get(EDIT), "editor")
    admin.client.post(EDIT, data={n: v for n, v in values.items() if not n.endswith("silent")})
    assert saved_push(client)["silent"] is False
    assert 'aria-label="On iOS"' in admin.get(EDIT)


def test_the_form_says_at_the_field_what_is_wrong(client: FlaskClient, admin: Visitor) -> None:
    client.post(RECIPES, json=a_document())

    refused = admin.save(EDIT, **{f"{FIRST}imageUrl": "http://cdn.example/a.png"})

    assert refused.status_code == 400
    assert f'href="#{FIRST}imageUrl">Push 1: Image</a>' in refused.text
    assert '<details class="panel fold" open>\n    <summary><b>More</b>' in refused.text


def test_a_send_at_once_has_content(client: FlaskClient, bench: Bench) -> None:
    register(bench, ALICE)

    job = post(client, imageUrl=IMAGE, ttlMinutes=5, priority="normal").get_json()["jobId"]
    bench.run(job)

    (message,) = messages(bench)
    assert (message["imageUrl"], message["ttlMinutes"], message["priority"]) == (IMAGE, 5, "normal")
    form = client.post(SEND_PUSH, data=a_push(badge="7", data='{"screen": "shop"}'))
    assert form.status_code == 202


def test_a_link_beyond_ascii_is_shown_as_typed_and_sent_encoded(
    client: FlaskClient, bench: Bench, operator: Visitor
) -> None:
    register(bench, ALICE)
    link, image = "https://bücher.example/größe", "https://bücher.example/ü.png"
    see = {"id": "see", "title": "See", "deepLink": link}

    job = post(client, deepLink=link, imageUrl=image, actions=[see]).get_json()["jobId"]
    bench.run(job)

    (message,) = messages(bench)
    sent = "https://xn--bcher-kva.example/gr%C3%B6%C3%9Fe"
    assert message["data"]["url"] == message["data"]["click_action"] == sent
    assert message["actions"] == [{**see, "deepLink": sent}]
    assert message["imageUrl"] == "https://xn--bcher-kva.example/%C3%BC.png"
    assert link in operator.get(f"/send?like={job}")


@pytest.mark.parametrize(
    ("field", "value"), [("badge", -1), ("ttlMinutes", 0), ("imageUrl", "http://a.example/b")]
)
def test_one_off_sends_refuse_what_automations_refuse(
    client: FlaskClient, field: str, value: Any
) -> None:
    scheduled = scheduled_pushes.a_push(**{field: value})

    at_once = post(client, **{field: value})
    later = client.post(scheduled_pushes.SCHEDULED_PUSHES, json=scheduled)

    for answer in (at_once, later):
        assert answer.status_code in {400, 422}
        assert field in str(answer.get_json()["errors"])


def test_a_scheduled_push_keeps_its_content_when_it_is_changed(client: FlaskClient) -> None:
    push = scheduled_pushes.scheduled(client, imageUrl=IMAGE, badge=2)

    path = f"{scheduled_pushes.SCHEDULED_PUSHES}/{push['id']}"
    changed = client.put(path, json={"title": "Other", "badge": None, "sound": "chime"})

    shown = changed.get_json()["scheduledPush"]
    assert (push["imageUrl"], push["badge"]) == (IMAGE, 2)
    assert (shown["title"], shown["imageUrl"], shown["sound"]) == ("Other", IMAGE, "chime")
    assert "badge" not in shown


def test_the_page_that_sends_one_push_takes_content(operator: Visitor, bench: Bench) -> None:
    register(bench, ALICE)
    texts = {"title": "Hi", "body": "B", "layerId": "3", "userIds": str(ALICE)}

    shown = operator.post("/send/preview", **texts, **{f"{FIRST}imageUrl": IMAGE}).text
    refused = operator.post("/send", **texts, **{f"{FIRST}badge": "-1"})
    tried = operator.post("/send", **texts, **{f"{FIRST}imageUrl": IMAGE, f"{FIRST}badge": "3"})
    bench.run(tried.location.removeprefix("/send/"))
    sent = operator.post(tried.location)
    bench.run(sent.location.removeprefix("/executions/"))

    assert IMAGE in shown
    assert refused.status_code == 400
    assert f'href="#{FIRST}badge">Badge</a>' in refused.text
    (message,) = messages(bench)
    assert (message["imageUrl"], message["badge"]) == (IMAGE, 3)


def test_templates_fill_in_content_and_keep_it(client: FlaskClient) -> None:
    push = {
        "titleTemplate": "T",
        "bodyTemplate": "B",
        "imageUrl": "https://{{host}}/{{plant}}.png",
        "badge": 4,
    }
    names = [{"name": name, "type": "string", "required": True} for name in ("host", "plant")]
    template = a_template(pushTemplates=[push], variables=names)
    assert client.post("/api/automation/templates", json=template).status_code == 201
    values = {"host": "cdn.example", "plant": "a/b"}

    started = client.post("/api/automation/templates/spring", json={"variables": values})

    automation = started.get_json()["data"]["automation"]
    made = automation["pushSequence"][0]
    assert (made["imageUrl"], made["badge"]) == ("https://cdn.example/a%2Fb.png", 4)
    path = f"/api/automation/templates/from/{automation['id']}"
    again = client.post(path, json={"name": "Again"}).get_json()["data"]
    assert again["pushTemplates"][0]["badge"] == 4

"""The scripts that sites take from here, and the key by which browsers subscribe."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from push_blaster.adapters.transports.vapid import Vapid, make_key_pair
from push_blaster.app import create_app
from push_blaster.delivery_settings import DeliverySettings
from tests.push_blaster.settings import settings_for

PRIVATE, PUBLIC = make_key_pair()
FILES = ("/client/push.js", "/client/push-worker.js")
#: The largest size of a file as it is served, in bytes.
MAX_SIZE = 5_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    """A page of somebody else's site, which has no token; no database is there."""
    folder: Path = tmp_path_factory.mktemp("web")
    settings = settings_for("postgresql://nobody@127.0.0.1:9/none", folder)
    delivery = DeliverySettings(vapid=Vapid(PRIVATE, "mailto:push@garden.test"))
    with create_app(replace(settings, delivery=delivery)).test_client() as client:
        client.environ_base["HTTP_ORIGIN"] = "https://garden.test"
        yield client


@pytest.mark.parametrize("path", FILES)
def test_any_site_may_load_a_small_script(site: FlaskClient, path: str) -> None:
    answer = site.get(path)

    assert answer.status_code == 200
    assert answer.mimetype == "text/javascript"
    assert 1_000 < len(answer.data) <= MAX_SIZE
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert answer.headers["Service-Worker-Allowed"] == "/"
    assert "connect-src *" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", [*FILES, "/api/web-push"])
def test_a_browser_keeps_an_answer_and_asks_by_its_hash(site: FlaskClient, path: str) -> None:
    first = site.get(path)

    again = site.get(path, headers={"If-None-Match": first.headers["ETag"]})
    other = site.get(path, headers={"If-None-Match": '"of-another-version"'})

    assert first.headers["Cache-Control"] == "public, max-age=3600"
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["Access-Control-Allow-Origin"] == "*"
    assert (other.status_code, other.data) == (200, first.data)


@pytest.mark.parametrize("path", ["/client/", "/client/app.js", "/client/..%2Fapp.css"])
def test_no_other_file_is_served_there(site: FlaskClient, path: str) -> None:
    assert site.get(path).status_code == 404


def test_a_site_learns_the_public_key_of_web_push(site: FlaskClient) -> None:
    answer = site.get("/api/web-push")

    assert answer.get_json() == {"publicKey": PUBLIC}
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert PRIVATE not in answer.get_data(as_text=True)


def test_without_web_push_the_answer_names_the_setting(client: FlaskClient) -> None:
    answer = client.get("/api/web-push", headers={"Authorization": ""})

    assert answer.status_code == 404
    assert answer.get_json()["detail"] == "Web Push is not set up here. Set WEBPUSH_PRIVATE_KEY."
    assert "ETag" not in answer.headers
    assert answer.headers["Cache-Control"] == "no-store"

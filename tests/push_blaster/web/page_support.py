"""A browser's session with the pages, without a browser: cookies and forms over Flask's client."""

import re

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.page_reader import form_values


class Visitor:
    """Somebody who signed in with a token, and sends forms as the pages hold them."""

    def __init__(self, app: Flask, token: str) -> None:
        self.client: FlaskClient = app.test_client()
        self.post_bare("/sign-in", token=token)

    def get(self, path: str) -> str:
        response = self.client.get(path)
        assert response.status_code == 200, (path, response.status_code, response.text)
        return response.text

    def post(self, path: str, **form: str) -> TestResponse:
        return self.post_bare(path, csrf_token=self.csrf_token(), **form)

    def post_bare(self, path: str, **form: str) -> TestResponse:
        return self.client.post(path, data=form)

    def save(self, path: str, **changes: str) -> TestResponse:
        """Send the editor of a page as it is, but for some changes."""
        return self.client.post(path, data={**form_values(self.get(path), "editor"), **changes})

    def csrf_token(self) -> str:
        found = re.search(r'name="csrf-token" content="([^"]+)"', self.get("/executions"))
        assert found
        return found[1]

"""What people do with the cadence service: its rules, its history, one user; over HTTP."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, BinaryIO, Final
from urllib.parse import quote
from uuid import UUID

import orjson
import requests

from chassis.correlation import correlation_headers
from push_blaster.adapters.cadence.cadence_client import CadenceUnavailableError

#: Replaying months of history, or reading a file of a million rows, takes its time.
PATIENCE: Final = timedelta(minutes=5)
#: Between a request and an answer's first byte; a question of one user is quick.
QUICK: Final = timedelta(seconds=10)


class CadenceRefusedError(Exception):
    """The cadence service does not do that; its own words say why."""


class CadenceRecords:
    """Reads and changes rules and history; every answer is the service's own JSON."""

    def __init__(self, base_url: str, token: str) -> None:
        """Take where the service is, and the token for it."""
        self._base_url = base_url.rstrip("/")
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {token}"

    def read_rules(self) -> dict[str, Any]:
        """Return the set of rules in force, with its version."""
        return self._ask("GET", "/rules")

    def list_changes(self) -> list[dict[str, Any]]:
        """Return what was changed about rules and layers, newest first."""
        changes: list[dict[str, Any]] = self._ask("GET", "/rules/history")["changes"]
        return changes

    def replace_rules(
        self, rules: Sequence[Mapping[str, Any]], version: str, by: str, note: str
    ) -> dict[str, Any]:
        """Put a whole set of rules in force, if the one in force is still `version`."""
        return self._ask(
            "PUT",
            "/rules",
            data=orjson.dumps({"rules": rules}),
            params={"changedBy": by, "note": note},
            headers={"Content-Type": "application/json", "If-Match": f'"{version}"'},
        )

    def simulate(self, rules: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Replay the last weeks under other rules; nothing is changed."""
        return self._ask("POST", "/simulate", json={"rules": rules}, patience=PATIENCE)

    def explain_user(self, user_id: UUID) -> dict[str, Any]:
        """Return, layer by layer, whether a user may get a push, and why not until when."""
        return self._ask("GET", f"/users/{quote(str(user_id))}/cadence")

    def forecast(self, user_ids: Sequence[UUID], layer_id: int, hours: int) -> dict[str, Any]:
        """Return the reach curve of an audience."""
        body = {"userIds": [str(u) for u in user_ids], "layerId": layer_id, "hours": hours}
        return self._ask("POST", "/forecast", json=body, patience=PATIENCE)

    def list_imports(self) -> list[dict[str, Any]]:
        """Return imports of history, newest first."""
        imports: list[dict[str, Any]] = self._ask("GET", "/imports")["imports"]
        return imports

    def import_history(self, name: str, file: BinaryIO, *, dry_run: bool) -> dict[str, Any]:
        """Import history from a CSV, or only look at it."""
        form = {"dryRun": str(dry_run).lower()}
        files = {"file": (name, file, "text/csv")}
        path = "/restore-historical-data"
        return self._ask("POST", path, data=form, files=files, patience=PATIENCE)

    def undo_import(self, import_id: int) -> int:
        """Remove what an import brought; return how many notifications that were."""
        removed: int = self._ask("DELETE", f"/imports/{import_id}", patience=PATIENCE)["removed"]
        return removed

    def _ask(
        self, method: str, path: str, *, patience: timedelta = QUICK, **what: Any
    ) -> dict[str, Any]:
        headers = correlation_headers() | what.pop("headers", {})
        try:
            answer = self._session.request(
                method,
                self._base_url + path,
                timeout=(QUICK.total_seconds(), patience.total_seconds()),
                allow_redirects=False,
                headers=headers,
                **what,
            )
            body: dict[str, Any] = answer.json()
        except (requests.RequestException, ValueError) as error:
            kind = type(error).__name__
            raise CadenceUnavailableError(f"the cadence service did not answer ({kind})") from error
        if answer.ok:
            return body
        said = str(body.get("error") or body.get("detail") or answer.status_code)
        if answer.status_code >= 500:
            raise CadenceUnavailableError(f"the cadence service failed: {said}")
        raise CadenceRefusedError(said)

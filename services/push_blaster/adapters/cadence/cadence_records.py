"""What people read and change in the cadence service: rules, history, one user."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, BinaryIO, Final
from urllib.parse import quote
from uuid import UUID

import orjson

from push_blaster.adapters.cadence.cadence_http import CadenceHttp, CadenceUnavailableError

#: The timeout for replaying months of history and for importing a file of a million rows.
SLOW: Final = timedelta(minutes=5)
#: The timeout for everything else.
QUICK: Final = timedelta(seconds=10)


class CadenceRefusedError(Exception):
    """The cadence service refuses the request; the message is its own."""


class CadenceRecords:
    """Reads and changes rules and history; each answer is the JSON of the service."""

    def __init__(self, base_url: str, token: str) -> None:
        """Take the address of the service, and the token for it."""
        self._http = CadenceHttp(base_url, token)

    def read_rules(self) -> dict[str, Any]:
        """Return the set of rules in force, with its version."""
        return self._ask("GET", "/rules")

    def list_changes(self) -> list[dict[str, Any]]:
        """Return the changes of rules and layers, newest first."""
        changes: list[dict[str, Any]] = self._ask("GET", "/rules/history")["changes"]
        return changes

    def replace_rules(
        self, rules: Sequence[Mapping[str, Any]], version: str, by: str, note: str
    ) -> dict[str, Any]:
        """Replace all rules, if the rules in force still have `version`."""
        return self._ask(
            "PUT",
            "/rules",
            data=orjson.dumps({"rules": rules}),
            params={"changedBy": by, "note": note},
            headers={"Content-Type": "application/json", "If-Match": f'"{version}"'},
        )

    def simulate(self, rules: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Replay the last weeks under other rules, without changing anything."""
        return self._ask("POST", "/simulate", json={"rules": rules}, timeout=SLOW)

    def explain_user(self, user_id: UUID) -> dict[str, Any]:
        """Return for each layer whether a user may get a push, and if not, why and until when."""
        return self._ask("GET", f"/users/{quote(str(user_id))}/cadence")

    def forecast(self, user_ids: Sequence[UUID], layer_id: int, hours: int) -> dict[str, Any]:
        """Return the reach curve of an audience."""
        body = {"userIds": [str(u) for u in user_ids], "layerId": layer_id, "hours": hours}
        return self._ask("POST", "/forecast", json=body, timeout=SLOW)

    def list_imports(self) -> list[dict[str, Any]]:
        """Return the imports of history, newest first."""
        imports: list[dict[str, Any]] = self._ask("GET", "/imports")["imports"]
        return imports

    def import_history(self, name: str, file: BinaryIO, *, dry_run: bool) -> dict[str, Any]:
        """Import history from a CSV, or only check it."""
        form = {"dryRun": str(dry_run).lower()}
        files = {"file": (name, file, "text/csv")}
        path = "/restore-historical-data"
        return self._ask("POST", path, data=form, files=files, timeout=SLOW)

    def undo_import(self, import_id: int) -> int:
        """Remove what an import added; return how many notifications that were."""
        removed: int = self._ask("DELETE", f"/imports/{import_id}", timeout=SLOW)["removed"]
        return removed

    def _ask(
        self, method: str, path: str, *, timeout: timedelta = QUICK, **content: Any
    ) -> dict[str, Any]:
        answer = self._http.request(method, path, timeout, **content)
        try:
            body: dict[str, Any] = orjson.loads(answer.body)
        except ValueError as error:
            raise CadenceUnavailableError("the cadence service answered nonsense") from error
        if 200 <= answer.status < 300:
            return body
        said = str(body.get("error") or body.get("detail") or answer.status)
        if answer.status >= 500:
            raise CadenceUnavailableError(f"the cadence service failed: {said}")
        raise CadenceRefusedError(said)

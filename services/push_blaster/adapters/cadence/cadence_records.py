"""What people read and change in the cadence service: rules, history, one user."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, BinaryIO, Final
from urllib.parse import quote
from uuid import UUID

import orjson

from push_blaster.adapters.cadence.cadence_http import CadenceHttp, CadenceUnavailableError

#: The timeout for replaying months of history and for importing a file of a million rows.
SLOW: Final = timedelta(minutes=5)
#: The timeout for everything else.
QUICK: Final = timedelta(seconds=10)

#: An object as the service writes it, which a page shows as it is.
JsonObject = Mapping[str, Any]


class CadenceRefusedError(Exception):
    """The cadence service refuses the request; the message is its own."""


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules in force, each as the service writes it, and their version."""

    rules: Sequence[JsonObject]
    version: str


@dataclass(frozen=True, slots=True)
class AllowedSends:
    """How many recorded pushes some rules allow, and how many they cap."""

    allowed: int
    capped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """The recorded pushes of the last weeks under some rules, in all and by layer.

    Shape: `users` counts those who would have received fewer pushes than they did.
    """

    start: datetime
    end: datetime
    total: AllowedSends
    by_layer: Mapping[str, AllowedSends]
    users: int


@dataclass(frozen=True, slots=True)
class ReachPoint:
    """How many users a push at this instant would reach, and how many each rule would cap."""

    at: datetime
    eligible: int
    by_rule: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Reach:
    """The reach of a push over some days, hour by hour; `fault` says why there is no check."""

    users: int
    points: Sequence[ReachPoint]
    fault: str | None


class CadenceRecords:
    """Reads and changes rules and history of the cadence service."""

    def __init__(self, base_url: str, token: str) -> None:
        """Take the address of the service, and the token for it."""
        self._http = CadenceHttp(base_url, token)

    def read_rules(self) -> RuleSet:
        """Return the rules in force."""
        return _read_rule_set(self._ask("GET", "/rules"))

    def read_openapi(self) -> JsonObject:
        """Return the description of the API of the service."""
        return self._ask("GET", "/openapi.json")

    def list_layers(self) -> list[JsonObject]:
        """Return the layers, with their names, and whether rules apply to them."""
        layers: list[JsonObject] = self._ask("GET", "/layers")["layers"]
        return layers

    def list_changes(self) -> list[JsonObject]:
        """Return the changes of rules and layers, newest first."""
        changes = self._ask("GET", "/rules/history")["changes"]
        return [_with_instant(change, "changedAt") for change in changes]

    def replace_rules(
        self, rules: Sequence[JsonObject], version: str, by: str, note: str
    ) -> RuleSet:
        """Replace all rules, if the rules in force still have `version`; return the new set."""
        saved = self._ask(
            "PUT",
            "/rules",
            data=orjson.dumps({"rules": rules}),
            params={"changedBy": by, "note": note},
            headers={"Content-Type": "application/json", "If-Match": f'"{version}"'},
        )
        return _read_rule_set(saved)

    def simulate(self, rules: Sequence[JsonObject]) -> Simulation:
        """Replay the last weeks under other rules, without changing anything."""
        found = self._ask("POST", "/simulate", json={"rules": rules}, timeout=SLOW)
        return Simulation(
            start=datetime.fromisoformat(found["from"]),
            end=datetime.fromisoformat(found["until"]),
            total=_read_sends(found["total"]),
            by_layer={layer: _read_sends(sends) for layer, sends in found["byLayer"].items()},
            users=found["usersAffected"],
        )

    def explain_user(self, user_id: UUID) -> JsonObject:
        """Return for each layer whether a user may get a push, and if not, why and until when."""
        return self._ask("GET", f"/users/{quote(str(user_id))}/cadence")

    def forecast(self, user_ids: Sequence[UUID], layer_id: int, hours: int) -> Reach:
        """Return the reach of a push to an audience over the next hours."""
        body = {"userIds": [str(u) for u in user_ids], "layerId": layer_id, "hours": hours}
        found = self._ask("POST", "/forecast", json=body, timeout=SLOW)
        points = [
            ReachPoint(
                datetime.fromisoformat(point["at"]), point["eligible"], point["exclusionBreakdown"]
            )
            for point in found["reach"]
        ]
        return Reach(found["askedCount"], points, found["failOpenReason"])

    def list_imports(self) -> list[JsonObject]:
        """Return the imports of history, newest first."""
        return [_with_instant(one, "startedAt") for one in self._ask("GET", "/imports")["imports"]]

    def import_history(self, name: str, file: BinaryIO, *, dry_run: bool) -> JsonObject:
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
    ) -> JsonObject:
        answer = self._http.request(method, path, timeout, **content)
        try:
            body: JsonObject = orjson.loads(answer.body)
        except ValueError as error:
            raise CadenceUnavailableError("the cadence service answered nonsense") from error
        if 200 <= answer.status < 300:
            return body
        said = str(body.get("error") or body.get("detail") or answer.status)
        if answer.status >= 500:
            raise CadenceUnavailableError(f"the cadence service failed: {said}")
        raise CadenceRefusedError(said)


def _read_rule_set(document: JsonObject) -> RuleSet:
    return RuleSet(document["rules"], str(document["version"]))


def _read_sends(document: JsonObject) -> AllowedSends:
    return AllowedSends(document["allowed"], document["heldBack"])


def _with_instant(document: JsonObject, name: str) -> JsonObject:
    return {**document, name: datetime.fromisoformat(document[name])}

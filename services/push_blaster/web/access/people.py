"""Routes about people: who is signed in or was here lately, and the end of their sessions."""

from collections.abc import Mapping

from marshmallow import validate
from werkzeug.exceptions import NotFound

from chassis.bearer_auth import Role, asks_for
from chassis.clock import utc_now
from chassis.postgres import Database
from chassis.service import Routes
from chassis.typed_schemas import about, object_schema
from push_blaster.use_cases.access.list_people import (
    EnvironmentToken,
    Presence,
    end_sessions,
    list_people,
)
from push_blaster.web.access.known_callers import KnownCallers

PeopleSchema = object_schema("PeopleList", items=list[Presence])
EndedSchema = object_schema("EndedSessions", key=str, ended=int)


def people_routes(database: Database, callers: KnownCallers) -> Routes:
    """Return the routes about people."""
    routes = Routes("people", __name__, description="Who is signed in")
    of_environment = tokens_of_environment(callers)

    @routes.route("/api/people", methods=["GET"])
    @asks_for(Role.ADMIN)
    @routes.response(200, PeopleSchema)
    def list_all() -> Mapping[str, object]:
        """List who is signed in or was here in the last 30 days, with role and sessions."""
        return {"items": list_people(database, of_environment, utc_now())}

    @routes.route("/api/people/end-sessions", methods=["POST"])
    @routes.body("EndSessions")
    @routes.response(200, EndedSchema)
    def end(
        *,
        key: str = about(
            validate=validate.Length(min=1, max=200),
            description="The `key` of a person or a token, as the list has it.",
        ),
    ) -> Mapping[str, object]:
        """End all sessions of a person or a token at once; safe to repeat."""
        known = list_people(database, of_environment, utc_now())
        if key not in {one.key for one in known}:
            raise NotFound(f"key: nobody has {key!r}; GET /api/people lists the keys.")
        return {"key": key, "ended": end_sessions(database, of_environment, key, utc_now())}

    return routes


def tokens_of_environment(callers: KnownCallers) -> Mapping[str, EnvironmentToken]:
    """Return the tokens of the environment by their fingerprints."""
    return {
        hash_: EnvironmentToken(label=caller.name, role=caller.role.name.lower())
        for hash_, caller in callers.of_environment.items()
    }

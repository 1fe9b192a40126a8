"""Routes by which a user is erased, and by which the erasure is followed."""

from uuid import UUID

from werkzeug.exceptions import NotFound

from chassis.clock import utc_now
from chassis.postgres import Database
from chassis.service import Routes
from chassis.typed_schemas import answer_schema
from push_blaster.adapters.users.erasure_table import select_erasure
from push_blaster.domain.users.erasure import Erasure
from push_blaster.use_cases.users.erase_user import ask_for_erasure


def erasure_routes(database: Database) -> Routes:
    """Return the routes about erasures."""
    routes = Routes("erasures", __name__, description="Users who are erased")
    shown = answer_schema(Erasure, without=("stage",), more=("state",))

    @routes.route("/api/users/<uuid:user_id>", methods=["DELETE"])
    @routes.response(202, shown)
    def erase(user_id: UUID) -> Erasure:
        """Erase a user from both services, known or not; the user gets no push from now on.

        Follow it by its `id`. While it is under way, a repetition is answered with the same one.
        """
        return ask_for_erasure(database, user_id, utc_now())

    @routes.route("/api/erasures/<uuid:erasure_id>", methods=["GET"])
    @routes.response(200, shown)
    def follow(erasure_id: UUID) -> Erasure:
        """Follow an erasure: `waitsFor` says why it is not done, `notes` what you have to do."""
        return find_erasure(database, erasure_id)

    return routes


def find_erasure(database: Database, erasure_id: UUID) -> Erasure:
    """Return an erasure; NotFound."""
    with database.transaction() as connection:
        found = select_erasure(connection, erasure_id)
    if found is None:
        raise NotFound("There is no erasure with this id.")
    return found

"""Routes about audience scripts."""

from marshmallow import fields

from chassis.service import Routes
from chassis.typed_schemas import answer_schema
from push_blaster.adapters.audiences.audience_scripts import GIVEN
from push_blaster.adapters.audiences.script_folder import Script, ScriptFolder
from push_blaster.domain.executions.limits import ScriptLimits
from push_blaster.web.frame.common_schemas import envelope_schema

ScriptSchema = answer_schema(
    Script,
    "Script",
    without=("path", "audiences", "arguments", "mentions_test"),
    more=("script_path", "named_audiences", "requires_parameters"),
    named_audiences="audiences",
    estimated_runtime=fields.Integer(metadata={"description": "seconds"}),
    faults="headerFaults",
)
ScriptListSchema = envelope_schema(
    "ScriptList",
    (ScriptSchema,),
    environment=fields.List(
        fields.String(), metadata={"description": "the variables that a script sees, all of them"}
    ),
    limits=answer_schema(ScriptLimits, without=("environment", "user"), time="timeSeconds"),
)


def script_routes(scripts: ScriptFolder, limits: ScriptLimits) -> Routes:
    """Return the routes about audience scripts."""
    routes = Routes("scripts", __name__, description="Audience scripts")

    @routes.route("/api/scripts", methods=["GET"])
    @routes.response(200, ScriptListSchema)
    def list_all() -> dict[str, object]:
        """List the audience scripts."""
        found = scripts.list_all()
        return {
            "success": True,
            "data": found,
            "message": f"{len(found)} scripts.",
            "environment": sorted([*limits.environment, *GIVEN]),
            "limits": limits,
        }

    @routes.route("/api/scripts/<script_id>", methods=["GET"])
    @routes.response(200, ScriptSchema)
    def read_one(script_id: str) -> Script:
        """Read one audience script's description."""
        return scripts.find(script_id)

    return routes

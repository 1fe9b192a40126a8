"""Routes about audience scripts."""

from typing import Any

from marshmallow import Schema, fields

from chassis.service import Routes
from push_blaster.adapters.script_folder import Script, ScriptFolder


class AudienceNameSchema(Schema):
    """An audience that a script writes."""

    name = fields.String()
    description = fields.String()


class ScriptSchema(Schema):
    """An audience script, as its own header describes it."""

    id = fields.String()
    name = fields.String()
    description = fields.String()
    scriptPath = fields.String()  # noqa: N815 - the wire's own names, one to one
    category = fields.String()
    estimatedRuntime = fields.Integer(metadata={"description": "seconds"})  # noqa: N815
    lastModified = fields.AwareDateTime()  # noqa: N815
    audiences = fields.List(fields.Nested(AudienceNameSchema))
    requiresParameters = fields.List(fields.String())  # noqa: N815


class ScriptListSchema(Schema):
    """Scripts in the original's envelope."""

    success = fields.Boolean()
    data = fields.List(fields.Nested(ScriptSchema))
    message = fields.String()


def script_routes(scripts: ScriptFolder) -> Routes:
    """Return the routes about audience scripts."""
    routes = Routes("scripts", __name__, description="Audience scripts")

    @routes.route("/api/scripts", methods=["GET"])
    @routes.response(200, ScriptListSchema)
    def list_all() -> dict[str, Any]:
        """List the audience scripts that there are."""
        found = [_show(script) for script in scripts.list_all()]
        return {"success": True, "data": found, "message": f"{len(found)} scripts."}

    @routes.route("/api/scripts/<script_id>", methods=["GET"])
    @routes.response(200, ScriptSchema)
    def read_one(script_id: str) -> dict[str, Any]:
        """Read one audience script's description."""
        return _show(scripts.find(script_id))

    return routes


def _show(script: Script) -> dict[str, Any]:
    return {
        "id": script.id,
        "name": script.name,
        "description": script.description,
        "scriptPath": script.path.name,
        "category": script.category,
        "estimatedRuntime": script.estimated_runtime,
        "lastModified": script.last_modified,
        "audiences": [
            {"name": name, "description": name.replace("_", " ")} for name in script.audiences
        ],
        "requiresParameters": sorted(script.arguments & {"product_id"}),
    }

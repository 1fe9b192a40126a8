"""Routes about audience scripts."""

from typing import Any

from marshmallow import Schema, fields

from chassis.service import Routes
from push_blaster.adapters.audiences.audience_scripts import GIVEN
from push_blaster.adapters.audiences.script_folder import Script, ScriptFolder
from push_blaster.domain.audiences.script import ParameterType
from push_blaster.domain.executions.limits import ScriptLimits


class AudienceNameSchema(Schema):
    """An audience that a script writes."""

    name = fields.String()
    description = fields.String()


class ParameterSchema(Schema):
    """A parameter that a script declares."""

    name = fields.String()
    type = fields.Enum(ParameterType, by_value=True)
    required = fields.Boolean()
    default = fields.String(allow_none=True)
    description = fields.String()
    choices = fields.List(fields.String())
    least = fields.Float(data_key="min", allow_none=True)
    most = fields.Float(data_key="max", allow_none=True)


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
    parameters = fields.List(fields.Nested(ParameterSchema))
    requiresParameters = fields.List(fields.String())  # noqa: N815
    headerFaults = fields.List(fields.String())  # noqa: N815


class ScriptLimitsSchema(Schema):
    """What a script may use."""

    time = fields.TimeDelta(data_key="timeSeconds")
    memory_mb = fields.Integer(data_key="memoryMb")
    output_mb = fields.Integer(data_key="outputMb")
    output_files = fields.Integer(data_key="outputFiles")


class ScriptListSchema(Schema):
    """Scripts in the original's envelope."""

    success = fields.Boolean()
    data = fields.List(fields.Nested(ScriptSchema))
    message = fields.String()
    environment = fields.List(
        fields.String(), metadata={"description": "the variables that a script sees, all of them"}
    )
    limits = fields.Nested(ScriptLimitsSchema)


def script_routes(scripts: ScriptFolder, limits: ScriptLimits) -> Routes:
    """Return the routes about audience scripts."""
    routes = Routes("scripts", __name__, description="Audience scripts")

    @routes.route("/api/scripts", methods=["GET"])
    @routes.response(200, ScriptListSchema)
    def list_all() -> dict[str, Any]:
        """List the audience scripts that there are."""
        found = [_show(script) for script in scripts.list_all()]
        return {
            "success": True,
            "data": found,
            "message": f"{len(found)} scripts.",
            "environment": sorted([*limits.environment, *GIVEN]),
            "limits": limits,
        }

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
            {"name": name, "description": text} for name, text in script.audiences.items()
        ],
        "parameters": script.parameters,
        "requiresParameters": _required(script),
        "headerFaults": script.faults,
    }


def _required(script: Script) -> list[str]:
    """Return what has to be given; of a script that declares nothing, what its source hints at."""
    if script.parameters:
        return [parameter.name for parameter in script.parameters if parameter.required]
    return sorted(script.arguments & {"product_id"})

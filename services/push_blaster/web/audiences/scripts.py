"""Routes about audience scripts."""

from marshmallow import fields

from chassis.schemas import CamelSchema
from chassis.service import Routes
from push_blaster.adapters.audiences.audience_scripts import GIVEN
from push_blaster.adapters.audiences.script_folder import Script, ScriptFolder
from push_blaster.domain.audiences.script import ParameterType
from push_blaster.domain.executions.limits import ScriptLimits


class AudienceNameSchema(CamelSchema):
    """An audience that a script writes."""

    name = fields.String()
    description = fields.String()


class ParameterSchema(CamelSchema):
    """A parameter that a script declares."""

    name = fields.String()
    type = fields.Enum(ParameterType, by_value=True)
    required = fields.Boolean()
    default = fields.String(allow_none=True)
    description = fields.String()
    choices = fields.List(fields.String())
    minimum = fields.Float(data_key="min", allow_none=True)
    maximum = fields.Float(data_key="max", allow_none=True)


class ScriptSchema(CamelSchema):
    """An audience script, as its header describes it."""

    id = fields.String()
    name = fields.String()
    description = fields.String()
    script_path = fields.String()
    category = fields.String()
    estimated_runtime = fields.Integer(metadata={"description": "seconds"})
    last_modified = fields.AwareDateTime()
    audiences = fields.List(fields.Nested(AudienceNameSchema))
    parameters = fields.List(fields.Nested(ParameterSchema))
    requires_parameters = fields.List(fields.String())
    header_faults = fields.List(fields.String())


class ScriptLimitsSchema(CamelSchema):
    """What a script may use."""

    time = fields.TimeDelta(data_key="timeSeconds")
    memory_mb = fields.Integer()
    output_mb = fields.Integer()
    output_files = fields.Integer()


class ScriptListSchema(CamelSchema):
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
    def list_all() -> dict[str, object]:
        """List the audience scripts."""
        found = [_show_script(script) for script in scripts.list_all()]
        return {
            "success": True,
            "data": found,
            "message": f"{len(found)} scripts.",
            "environment": sorted([*limits.environment, *GIVEN]),
            "limits": limits,
        }

    @routes.route("/api/scripts/<script_id>", methods=["GET"])
    @routes.response(200, ScriptSchema)
    def read_one(script_id: str) -> dict[str, object]:
        """Read one audience script's description."""
        return _show_script(scripts.find(script_id))

    return routes


def _show_script(script: Script) -> dict[str, object]:
    return {
        "id": script.id,
        "name": script.name,
        "description": script.description,
        "script_path": script.path.name,
        "category": script.category,
        "estimated_runtime": script.estimated_runtime,
        "last_modified": script.last_modified,
        "audiences": [
            {"name": name, "description": text} for name, text in script.audiences.items()
        ],
        "parameters": script.parameters,
        "requires_parameters": _required(script),
        "header_faults": script.faults,
    }


def _required(script: Script) -> list[str]:
    """Return the required parameters; if none are declared, those that the source uses."""
    if script.parameters:
        return [parameter.name for parameter in script.parameters if parameter.required]
    return sorted(script.arguments & {"product_id"})

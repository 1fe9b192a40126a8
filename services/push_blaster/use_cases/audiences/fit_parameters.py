"""Check an automation's parameters against its script, and turn them into texts."""

from collections.abc import Mapping

from push_blaster.adapters.audiences.script_folder import Script, ScriptFolder
from push_blaster.domain.audiences.script import ParametersError, read_parameters
from push_blaster.domain.automations.automation import Automation


def fit_parameters(script: Script, given: Mapping[str, object]) -> dict[str, str]:
    """Return the texts that the script will get; ParametersError if a value does not fit."""
    if script.faults:
        raise ParametersError(script.id, {"its header": " ".join(script.faults)})
    return read_parameters(script.id, script.parameters, given)


def uses_script(automation: Automation) -> bool:
    """Return whether the audience comes from a script, not from named users or an upload."""
    return bool(automation.script_id and not automation.manual_user_ids and not automation.upload)


def check_parameters(scripts: ScriptFolder, automation: Automation) -> None:
    """Check that the automation's script exists, and that its parameters fit.

    Raises: ScriptNotFoundError, ParametersError.
    """
    if automation.script_id and uses_script(automation):
        fit_parameters(scripts.find(automation.script_id), automation.script_parameters)

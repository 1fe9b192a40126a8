"""The offer of a script to the form of an automation: parameters, audiences, columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from push_blaster.adapters.audiences.script_folder import Script, ScriptFolder, ScriptNotFoundError
from push_blaster.adapters.audiences.script_run_table import select_last_written
from push_blaster.domain.audiences.audience import normalise
from push_blaster.domain.audiences.script import Parameter
from push_blaster.domain.audiences.script_run import FoundAudience
from push_blaster.domain.delivery.template import name_column
from push_blaster.use_cases.context import WebContext


@dataclass(frozen=True, slots=True)
class ScriptOffer:
    """A script, and the output of its last run; None if the script is missing."""

    script: Script | None = None
    written: Sequence[FoundAudience] = ()

    @property
    def parameters(self) -> Sequence[Parameter]:
        """Return the parameters that it declares."""
        return self.script.parameters if self.script else ()

    @property
    def audiences(self) -> Mapping[str, str]:
        """Return its audiences with their descriptions, by name."""
        found = {audience.name: "" for audience in self.written}
        return {**found, **(self.script.audiences if self.script else {})}

    def columns(self, audience_name: str | None) -> Mapping[str, str]:
        """Return the columns that messages to an audience may name, with values of the last run.

        Without a name the push has the script's only audience.
        """
        name = normalise(audience_name or "")
        for audience in self.written:
            if audience.name == name or (not name and len(self.written) == 1):
                named = ((name_column(column), column) for column in audience.columns)
                return {name: _find_value(audience, column) for name, column in named if name}
        return {}


def find_declared(scripts: ScriptFolder, script_id: str) -> Sequence[Parameter]:
    """Return the parameters that a script declares; none if the script is missing."""
    try:
        return scripts.find(script_id).parameters
    except ScriptNotFoundError:
        return ()


def find_offer(context: WebContext, script_id: str) -> ScriptOffer:
    """Return the offer of the script with this id; it is empty if the script is missing."""
    try:
        script = context.scripts.find(script_id)
    except ScriptNotFoundError:
        return ScriptOffer()
    with context.database.transaction() as connection:
        written = select_last_written(connection, script_id)
    return ScriptOffer(script, [a for a in written if not a.is_test and not a.problem])


def _find_value(audience: FoundAudience, column: str) -> str:
    return next((row[column] for row in audience.sample if row.get(column)), "")

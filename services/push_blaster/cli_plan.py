"""The command push-blaster plan."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
import orjson
from marshmallow import ValidationError

from chassis.clock import utc_now
from chassis.instants import FIRST_YEAR, LAST_YEAR, is_near
from chassis.problems import flatten_messages
from push_blaster.adapters.automations.automation_document import read_draft
from push_blaster.adapters.cadence.cadence_client import CadenceClient
from push_blaster.adapters.cadence.cadence_http import CadenceUnavailableError
from push_blaster.domain.automations.automation import Automation
from push_blaster.domain.cadence.cadence import CadenceRule
from push_blaster.domain.schedule.finding import group_findings
from push_blaster.settings import read_cadence_access, read_limits
from push_blaster.use_cases.schedule.plan_automation import Plan, PlanContext, plan_automation


class _NearTime(click.DateTime):
    """A day or a time in the years in which slots can be computed."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Return the time; end the command if it is far away."""
        at: datetime = super().convert(value, param, ctx)
        if not is_near(at):
            self.fail(f"{value} is not from {FIRST_YEAR} to {LAST_YEAR}.", param, ctx)
        return at


@click.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--count", type=click.IntRange(1, 100), default=5, help="How many slots of each.")
@click.option("--from", "start", type=_NearTime(), help="Slots after then, in UTC.")
def plan(files: tuple[Path, ...], count: int, start: datetime | None) -> None:
    """Show when the automations of FILES would send, and what stands out; changes nothing.

    The plan considers the settings of the engine that are set, and caps if CADENCE_SERVICE_URL and
    CADENCE_API_TOKEN are set. Ends with 1 if a file is no automation.
    """
    now = utc_now()
    drafts = {path: _read_file(path, now) for path in files}
    automations = [draft for draft in drafts.values() if isinstance(draft, Automation)]
    context = PlanContext(others=automations, read_rules=_read_rules, limits=read_limits())
    after = start.replace(tzinfo=UTC) if start else now
    for path, draft in drafts.items():
        click.echo(f"\n{path}")
        if isinstance(draft, str):
            click.echo(f"  ✗ {draft}")
        else:
            _print_plan(plan_automation(draft, context, after, count))
    if len(automations) < len(drafts):
        raise click.exceptions.Exit(1)


def _read_file(path: Path, now: datetime) -> Automation | str:
    """Return the automation of a file, or what is wrong with the file."""
    try:
        return read_draft({"id": path.stem, **orjson.loads(path.read_bytes())}, now)
    except ValidationError as error:
        return "; ".join(flatten_messages(error.messages))
    except (ValueError, TypeError) as error:
        return f"is no JSON object: {error}"


def _read_rules() -> Sequence[CadenceRule]:
    found = read_cadence_access()
    if found is None:
        raise CadenceUnavailableError("CADENCE_SERVICE_URL and CADENCE_API_TOKEN are not set")
    return CadenceClient(*found).read_rules()


def _print_plan(plan: Plan) -> None:
    zone = ZoneInfo(plan.automation.schedule.timezone)
    for slot in plan.slots:
        begins_at = slot.at - plan.automation.schedule.lead_time
        local = slot.at.astimezone(zone).isoformat(sep=" ", timespec="minutes")
        remark = f"  {slot.remark}" if slot.remark else ""
        click.echo(f"  {local}  begins {begins_at.astimezone(zone):%H:%M}{remark}")
    for theme, findings in group_findings(plan.findings).items():
        click.echo(f"  {theme}:")
        for finding in findings:
            about = ", ".join(
                filter(None, [finding.field, finding.rule and f"rule {finding.rule}"])
            )
            click.echo(f"    ! {finding.message}" + (f" ({about})" if about else ""))

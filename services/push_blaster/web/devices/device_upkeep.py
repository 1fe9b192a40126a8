"""Routes about all devices: import from a file, report, removal of dead devices."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

from chassis.bearer_auth import Role, asks_for
from chassis.clock import utc_now
from chassis.postgres import Database
from chassis.schemas import InstantField
from chassis.service import Routes
from chassis.typed_schemas import about, object_schema
from push_blaster.adapters.devices.device_csv import read_devices
from push_blaster.adapters.devices.device_report import delete_dead_devices, select_device_report
from push_blaster.use_cases.devices.import_devices import import_devices
from push_blaster.web.devices.csv_imports import (
    CSV_BODY,
    NotedRowSchema,
    answer_import,
    import_schema,
)
from push_blaster.web.frame.common_schemas import up_to

CountSchema = object_schema("Count", kind=str, platform=str | None, living=int, dead=int)
DeadCountSchema = object_schema("DeadCount", reason=str | None, day=date, devices=int)
ReportSchema = object_schema(
    "Report",
    by_kind=(CountSchema,),
    by_platform=(CountSchema,),
    dead_by_reason=(DeadCountSchema,),
    dead_by_day=(DeadCountSchema,),
)


def device_upkeep_routes(database: Database, push_hosts: Sequence[str]) -> Routes:
    """Return the routes about all devices."""
    routes = Routes("device_upkeep", __name__, description="Device tokens")

    @routes.route("/api/devices/import", methods=["POST"])
    @asks_for(Role.OPERATOR)
    @routes.doc(requestBody=CSV_BODY)
    @routes.response(200, import_schema("ImportedDevices", "registered", ignored=(NotedRowSchema,)))
    def import_file() -> Mapping[str, object]:
        """Register the devices of a CSV (`text/csv` or multipart `file`); `dryRun` stores none."""
        return answer_import(
            lambda body, name: read_devices(body, name, utc_now(), push_hosts),
            lambda file, dry_run: import_devices(database, file.rows, utc_now(), dry_run=dry_run),
            "registered",
        )

    @routes.route("/api/devices/report", methods=["GET"])
    @routes.query
    @routes.response(200, ReportSchema)
    def report(*, days: int = up_to(3_650, 30)) -> Mapping[str, object]:
        """Count devices by kind and platform, and dead devices by reason and day."""
        with database.transaction() as connection:
            return select_device_report(connection, utc_now() - timedelta(days=days))

    @routes.route("/api/devices/clean-up", methods=["POST"])
    @routes.body("CleanUp")
    @routes.response(200, object_schema("CleanedUp", deleted=int))
    def clean_up(*, dead_before: datetime = about(like=InstantField)) -> dict[str, int]:
        """Remove the devices that died before an instant; safe to repeat."""
        with database.transaction() as connection:
            return {"deleted": delete_dead_devices(connection, dead_before)}

    return routes

"""The page about devices: the devices of a user, counts of all, import, removal of dead ones."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from chassis.bearer_auth import Role, asks_for
from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.adapters.devices.device_csv import read_devices
from push_blaster.adapters.devices.device_report import delete_dead_devices, select_device_report
from push_blaster.use_cases.devices.import_devices import import_devices
from push_blaster.web.devices.csv_imports import show_import
from push_blaster.web.devices.devices import find_devices_of
from push_blaster.web.frame.asked_user import read_asked_user
from push_blaster.web.frame.frame import page_routes

REPORTED: Final = timedelta(days=30)
#: How long dead devices are kept; they explain why a user is not reached.
KEPT: Final = timedelta(days=30)


def device_pages(database: Database, push_hosts: Sequence[str]) -> Blueprint:
    """Return the page about devices."""
    pages = page_routes("devices")

    def page(status: int = 200, **shown: Any) -> ResponseReturnValue:
        with database.transaction() as connection:
            report = select_device_report(connection, utc_now() - REPORTED)
        shown = {"asked": "", "report": report, "kept": KEPT.days, **shown}
        return render_template("devices.html", **shown), status

    @pages.get("/devices")
    def show() -> ResponseReturnValue:
        """Show the counts, and the devices of the user in the query."""
        asked = read_asked_user()
        if asked.id is None:
            return page(asked.status, asked=asked.text, fault=asked.fault)
        return page(asked=asked.text, devices=find_devices_of(database, asked.id))

    @pages.post("/devices/import")
    @asks_for(Role.OPERATOR)
    def bring() -> ResponseReturnValue:
        """Check a CSV of devices, or register them."""
        return show_import(
            page,
            lambda file, name: read_devices(file, name, utc_now(), push_hosts),
            lambda file, dry_run: import_devices(database, file.rows, utc_now(), dry_run=dry_run),
        )

    @pages.post("/devices/clean-up")
    def clean_up() -> ResponseReturnValue:
        """Delete the devices that died long ago."""
        with database.transaction() as connection:
            deleted = delete_dead_devices(connection, utc_now() - KEPT)
        flash(f"{deleted} dead devices deleted.", "success")
        return redirect(url_for(".show"), 303)

    return pages

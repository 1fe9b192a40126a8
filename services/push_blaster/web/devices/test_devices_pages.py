"""The pages about test devices: the list, the form of a new one, and one with its automations."""

from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from chassis.bearer_auth import Role, asks_for, caller_name, caller_only_simulates
from chassis.clock import utc_now
from push_blaster.adapters.devices.device_fields import DeviceRefusedError
from push_blaster.adapters.devices.named_devices import select_named_devices
from push_blaster.domain.automations.automation import Automation
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.devices.manage_test_devices import (
    NameTakenError,
    TestDevices,
    find_users_of,
)
from push_blaster.use_cases.one_off.send_to_test_device import send_to_test_device
from push_blaster.web.frame.frame import once_key, page_routes
from push_blaster.web.frame.template_filters import DEVICE_KINDS, PLATFORMS


def test_device_pages(context: WebContext, devices: TestDevices) -> Blueprint:
    """Return the pages about test devices."""
    pages = page_routes("test_devices")

    def show_list(
        given: Mapping[str, str], faults: Mapping[str, str], status: int = 200
    ) -> ResponseReturnValue:
        with context.database.transaction() as connection:
            found = select_named_devices(connection)
        page = render_template(
            "test_devices.html",
            devices=[(device, find_users_of(context.files, device.id)) for device in found],
            **_form(given, faults),
        )
        return page, status

    @pages.get("/devices/test")
    def list_all() -> ResponseReturnValue:
        """List the test devices, with the form of a new one."""
        return show_list({}, {})

    @pages.post("/devices/test")
    @asks_for(Role.OPERATOR)
    def register() -> ResponseReturnValue:
        """Register a test device; a form that is sent twice registers it once."""
        device_id = uuid5(NAMESPACE_URL, once_key())
        try:
            device = devices.register(device_id, _read_form(), caller_name(), utc_now())
        except (DeviceRefusedError, NameTakenError) as refused:
            return show_list(request.form, _find_faults(refused), _status(refused))
        flash(f"{device.name} is registered. Send a test to it now.", "success")
        return redirect(url_for(".list_all"), 303)

    _add_one(pages, context, devices)
    return pages


def _add_one(pages: Blueprint, context: WebContext, devices: TestDevices) -> None:
    def show_one(
        device_id: UUID, given: Mapping[str, Any], faults: Mapping[str, str], status: int = 200
    ) -> ResponseReturnValue:
        device = devices.find(device_id)
        shown = given or {
            "name": device.name,
            "kind": device.kind,
            "platform": device.platform or "",
            "userId": device.user_id or "",
        }
        users = find_users_of(context.files, device_id)
        page = render_template(
            "test_device.html", device=device, users=users, **_form(shown, faults)
        )
        return page, status

    @pages.get("/devices/test/<uuid:device_id>")
    @asks_for(Role.OPERATOR)
    def show(device_id: UUID) -> ResponseReturnValue:
        """Show one test device, and the automations that name it."""
        return show_one(device_id, {}, {})

    @pages.post("/devices/test/<uuid:device_id>")
    @asks_for(Role.OPERATOR)
    def change(device_id: UUID) -> ResponseReturnValue:
        """Rename a test device, or give it another token."""
        try:
            device = devices.change(device_id, _read_form(), utc_now())
        except (DeviceRefusedError, NameTakenError) as refused:
            return show_one(device_id, request.form, _find_faults(refused), _status(refused))
        users = find_users_of(context.files, device_id)
        flash(f"{device.name} is saved.{_name_users(users, 'still use it')}", "success")
        return redirect(url_for(".list_all"), 303)

    @pages.post("/devices/test/<uuid:device_id>/remove")
    @asks_for(Role.OPERATOR)
    def remove(device_id: UUID) -> ResponseReturnValue:
        """Remove a test device, and say which automations still name it."""
        users = find_users_of(context.files, device_id)
        devices.remove(device_id)
        flash(f"Test device removed.{_name_users(users, 'still name it')}", "success")
        return redirect(url_for(".list_all"), 303)

    @pages.post("/devices/test/<uuid:device_id>/send")
    @asks_for(Role.OPERATOR, simulates=True)
    def send(device_id: UUID) -> ResponseReturnValue:
        """Send a test to this device now, and go to its execution."""
        device = devices.find(device_id)
        execution = send_to_test_device(
            context, device, once_key(), utc_now(), is_simulated=caller_only_simulates()
        )
        return redirect(url_for("pages_executions.show", execution_id=execution.id), 303)


def _form(given: Mapping[str, Any], faults: Mapping[str, str]) -> Mapping[str, object]:
    """Return what the template of the form shows; a token is typed again each time."""
    return {"given": given, "errors": faults, "kinds": DEVICE_KINDS, "platforms": PLATFORMS}


def _read_form() -> Mapping[str, Any]:
    """Return the fields of the form as clients of the API write them."""
    given = {name: text.strip() for name, text in request.form.items()}
    keys = {name: given.get(name, "") for name in ("p256dh", "auth")}
    return {**given, "keys": keys if all(keys.values()) else None}


def _find_faults(refused: DeviceRefusedError | NameTakenError) -> Mapping[str, str]:
    return refused.faults if isinstance(refused, DeviceRefusedError) else {"name": str(refused)}


def _status(refused: Exception) -> int:
    return 409 if isinstance(refused, NameTakenError) else 400


def _name_users(users: list[Automation], do: str) -> str:
    """Return the sentence about the automations that name the device, or nothing."""
    names = ", ".join(automation.name for automation in users)
    return f" Automations that {do}: {names}." if users else ""

"""The page on which a reader chooses the zone and the hours of all times."""

from datetime import timedelta
from typing import Final

from flask import Blueprint, current_app, redirect, render_template, request
from flask.typing import ResponseReturnValue

from chassis.bearer_auth import Role, asks_for
from push_blaster.web.access.audit import only_reads
from push_blaster.web.frame.frame import page_routes
from push_blaster.web.frame.own_paths import own_path
from push_blaster.web.frame.page_times import COOKIE, find_zone_name, list_zones, read_times

KEPT: Final = timedelta(days=365)


def times_pages() -> Blueprint:
    """Return the page."""
    pages = page_routes("times")

    @pages.get("/times")
    def choose() -> ResponseReturnValue:
        """Ask for the zone and the hours."""
        return _render_page(read_times().zone.key)

    @pages.post("/times")
    @only_reads
    @asks_for(Role.VIEWER, simulates=True)
    def keep() -> ResponseReturnValue:
        """Keep the choice in a cookie of this browser, and go back to the page before."""
        given = request.form.get("zone", "")
        name = find_zone_name(given)
        if name is None:
            fault = f"{given!r} is no time zone. Choose one of the list, for example Europe/Vienna."
            return _render_page(given, fault), 400
        response = redirect(_wanted(), 303)
        response.set_cookie(
            COOKIE,
            f"{name}:{'12' if request.form.get('hours') == '12' else '24'}",
            max_age=KEPT,
            secure=request.is_secure or current_app.config["SESSION_COOKIE_SECURE"],
            httponly=True,
            samesite="Lax",
        )
        return response

    return pages


def _render_page(zone: str, fault: str | None = None) -> str:
    return render_template(
        "times.html", zone=zone, fault=fault, zones=list_zones(), wanted=_wanted()
    )


def _wanted() -> str:
    """Return the page to go back to; it is always one of ours."""
    return own_path(request.values.get("next", ""))

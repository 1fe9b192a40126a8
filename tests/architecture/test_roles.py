"""Who may do what: a viewer reads, an admin changes, and every exception is in these tables."""

from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from flask import Flask

from chassis.bearer_auth import Role, app_use, is_open, required_role
from push_blaster.app import create_app
from tests.cadence_service.settings import CADENCE_TOKEN
from tests.push_blaster.identity import app_of
from tests.push_blaster.settings import settings_for
from tests.routes import fill_rule

#: What starts, stops and tries out is an operator's.
OPERATORS = """
GET    /api/alerts/destinations
GET    /api/alerts/destinations/<uuid:destination_id>
POST   /api/alerts/destinations/<uuid:destination_id>/test
POST   /api/automation/control
POST   /api/automation/control-many
POST   /api/automation/debug/reschedule
POST   /api/automation/emergency-stop
POST   /api/automation/execute-start
POST   /api/automation/monitor
POST   /api/automation/preview
POST   /api/automation/recipes/<automation_id>/preview
POST   /api/automation/restore
POST   /api/automation/sequences
POST   /api/automation/sequences/<execution_id>
POST   /api/automation/test
POST   /api/automation/test/<automation_id>
GET    /api/automation/test/<automation_id>
POST   /api/automation/test/<automation_id>/kill
POST   /api/conversions
POST   /api/devices
DELETE /api/devices
DELETE /api/devices/<token>
POST   /api/devices/import
POST   /api/executions
POST   /api/executions/<execution_id>/approve
POST   /api/executions/<execution_id>/cancel
POST   /api/executions/<execution_id>/dead-devices
PUT    /api/executions/<execution_id>/dismissal
DELETE /api/executions/<execution_id>/dismissal
POST   /api/executions/<execution_id>/resume
POST   /api/executions/<execution_id>/stop
POST   /api/opt-outs
DELETE /api/opt-outs
POST   /api/opt-outs/import
POST   /api/scripts
POST   /api/scripts/<script_id>/run
POST   /api/scripts/<script_id>/runs/<uuid:run_id>/stop
POST   /api/send-push
POST   /api/test-devices
PUT    /api/test-devices/<uuid:device_id>
DELETE /api/test-devices/<uuid:device_id>
POST   /api/test-devices/<uuid:device_id>/send
GET    /api/users/<uuid:user_id>/export.json
GET    /alerts
GET    /alerts/<uuid:destination_id>
POST   /alerts/<uuid:destination_id>/test
GET    /automations/<automation_id>/<any(run,pause,resume):action>
POST   /automations/<automation_id>/<any(pause,resume):action>
POST   /automations/<automation_id>/run
GET    /bulk/<any(pause,resume):action>
POST   /bulk/<any(pause,resume):action>
GET    /automations/<automation_id>/test
POST   /automations/<automation_id>/test
POST   /cadence/simulate
POST   /devices/import
POST   /opt-outs
POST   /opt-outs/import
POST   /opt-outs/remove
POST   /devices/test
GET    /devices/test/<uuid:device_id>
POST   /devices/test/<uuid:device_id>
POST   /devices/test/<uuid:device_id>/remove
POST   /devices/test/<uuid:device_id>/send
GET    /executions/<execution_id>/<any(cancel,stop,approve,resume,'dead-devices'):action>
POST   /executions/<execution_id>/approve
POST   /executions/<execution_id>/cancel
POST   /executions/<execution_id>/dead-devices
GET    /executions/<execution_id>/dismissal
POST   /executions/<execution_id>/dismissal
POST   /executions/<execution_id>/dismissal/undo
POST   /executions/<execution_id>/resume
POST   /executions/<execution_id>/stop
POST   /scripts/<script_id>
POST   /scripts/<script_id>/runs/<uuid:run_id>/stop
GET    /live/send/<execution_id>
GET    /send
GET    /send/<execution_id>
GET    /stop-everything
POST   /stop-everything
POST   /violations/<uuid:violation_id>/resolve
POST   /send
POST   /send/<execution_id>
POST   /send/file
POST   /send/<execution_id>/later
GET    /send/scheduled/<push_id>
POST   /send/scheduled/<push_id>
POST   /send/scheduled/<push_id>/cancel
POST   /send/preview
"""
#: What tells of access, or shows a form that only an admin may send, is an admin's to read.
ADMINS = """
GET    /api/audit-log
GET    /api/audit-log/export.csv
GET    /api/people
GET    /api/tokens
GET    /alerts/<uuid:destination_id>/<any(rotate,delete):action>
GET    /alerts/new/<any(webhook,slack,email):kind>
GET    /audit-log
GET    /automations/<automation_id>/<any(archive,delete):action>
GET    /scripts/<script_id>/source
GET    /automations/<automation_id>/edit
GET    /automations/<automation_id>/save-as-template
GET    /automations/new
GET    /people
GET    /templates/<template_id>
GET    /tokens
GET    /tokens/<name>/<any(rotate,revoke):action>
GET    /users/<uuid:user_id>/erase
"""
#: What is sent by POST for its size, and changes nothing but the session of whoever asks.
VIEWERS = """
POST   /api/automation/plan
POST   /api/query-audience
POST   /first-steps/dismiss
POST   /sign-out
POST   /times
"""
#: What apps may use, too: with a token of role app, and with an identity token of a user.
APPS = """
POST   /api/conversions
POST   /api/devices
DELETE /api/devices
DELETE /api/devices/<token>
POST   /api/opt-outs
DELETE /api/opt-outs
"""
USERS = """
POST   /api/devices
DELETE /api/devices
DELETE /api/devices/<token>
GET    /api/opt-outs
POST   /api/opt-outs
DELETE /api/opt-outs
"""
#: The cadence service's narrow token is an operator's: it asks and records, and changes no rule.
CADENCE_OPERATORS = """
DELETE /reservations/<path:key>
POST   /extend-reservation
POST   /filter-audience
POST   /forecast
POST   /forecast-pushes
POST   /over-cap
POST   /simulate
POST   /track-notification
"""


@dataclass(frozen=True)
class Service:
    """A service, its exceptions, and a token of each role that it knows."""

    app: Flask
    exceptions: dict[tuple[str, str], Role]
    tokens: dict[Role, str]

    def asked(self, method: str, rule: str) -> Role:
        usual = Role.VIEWER if method == "GET" else Role.ADMIN
        return self.exceptions.get((method, rule), usual)

    def routes(self) -> list[tuple[str, str, str]]:
        """Return method, rule and endpoint of every route that is not open."""
        return [
            (method, rule.rule, rule.endpoint)
            for rule in self.app.url_map.iter_rules()
            if not is_open(self.app, rule.endpoint)
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        ]


def _read(role: Role, table: str, prefix: str = "") -> dict[tuple[str, str], Role]:
    lines = [line.split() for line in table.strip().splitlines()]
    return {(method, prefix + rule): role for method, rule in lines}


@pytest.fixture(params=["push_blaster", "cadence"])
def service(request: pytest.FixtureRequest, tmp_path: Path, cadence_app: Flask) -> Service:
    if request.param == "cadence":
        narrow = _read(Role.OPERATOR, CADENCE_OPERATORS)
        prefixed = _read(Role.OPERATOR, CADENCE_OPERATORS, "/api")
        tokens = {Role.OPERATOR: "narrow", Role.ADMIN: CADENCE_TOKEN}
        return Service(cadence_app, {**narrow, **prefixed}, tokens)
    exceptions = {
        **_read(Role.OPERATOR, OPERATORS),
        **_read(Role.ADMIN, ADMINS),
        **_read(Role.VIEWER, VIEWERS),
    }
    app = create_app(settings_for("postgresql://127.0.0.1:9/none", tmp_path))
    return Service(app, exceptions, {role: role.name.lower() for role in Role})


def test_every_route_asks_for_the_role_that_is_expected(service: Service) -> None:
    expected = {(m, rule): service.asked(m, rule) for m, rule, _ in service.routes()}

    asked = {(m, rule): required_role(service.app, e, m) for m, rule, e in service.routes()}

    assert asked == expected


def test_the_tables_name_no_route_that_is_gone(service: Service) -> None:
    assert service.exceptions.keys() <= {(method, rule) for method, rule, _ in service.routes()}


def test_apps_and_users_may_use_the_routes_that_are_expected(app: Flask) -> None:
    uses = [
        ((method, rule.rule), app_use(app.view_functions[rule.endpoint]))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    ]

    assert {where for where, use in uses if use.tokens} == _read(Role.APP, APPS).keys()
    assert {where for where, use in uses if use.users} == _read(Role.APP, USERS).keys()


def test_an_identity_token_opens_no_other_route(app: Flask) -> None:
    """Each request is of another user, so that no limit of a user refuses it."""
    tried = {
        (method, rule.rule): app_of(app, uuid4()).open(fill_rule(rule.rule), method=method)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not is_open(app, rule.endpoint)
        if (method, rule.rule) not in _read(Role.APP, USERS)
    }

    assert tried
    assert {where for where, answer in tried.items() if answer.status_code != 403} == set()


def test_whoever_has_a_lesser_role_is_refused(service: Service) -> None:
    client = service.app.test_client()
    tried = {
        (method, rule, role): client.open(
            fill_rule(rule), method=method, headers={"Authorization": f"Bearer {token}"}
        ).status_code
        for method, rule, _ in service.routes()
        for role, token in service.tokens.items()
        if role < service.asked(method, rule)
        if role > Role.APP or (method, rule) not in _read(Role.APP, APPS)
    }

    assert tried
    assert {where for where, status in tried.items() if status != 403} == set()

"""What each recorded request does, in words; a test asks for the words of every route.

Shape: `endpoint` or `endpoint:variant` to `infinitive/past and the rest`.
"""

from collections.abc import Mapping
from typing import Final

_PAUSE: Final = "pause/paused {automation}"
_RESUME: Final = "resume/resumed {automation}"
_START: Final = "start/started {automation}{mode}"
_CREATE: Final = "create/created the automation {automation}"
_CHANGE: Final = "change/changed the automation {automation}"
_DELETE: Final = "delete/deleted the automation {automation}"
_COPY: Final = "duplicate/duplicated the automation {automation}"
_ARCHIVE: Final = "archive/archived the automation {automation}"
_UNARCHIVE: Final = "take/took the automation {automation} out of the archive"
_BRING_BACK: Final = "bring/brought the deleted automation {automation} back"
_RESTORE: Final = "restore/restored an earlier version of {automation}"
_FORM: Final = "rearrange/rearranged the form of {automation}, without saving"
_TEST: Final = "start/started a test of {automation}{mode}"
_APPROVE: Final = "approve/approved {execution}"
_CANCEL: Final = "cancel/cancelled {execution}"
_STOP: Final = "stop/stopped {execution}"
_STOP_ALL: Final = "stop/stopped everything"
_FINISH: Final = "start/started the send of {execution} to the remaining users"
_DEAD: Final = "mark/marked the doubtful devices of {execution} as dead"
_RESOLVE: Final = "resolve/resolved a finding of a safeguard"
_TRY: Final = "start/started a trial run of the script {script}"
_STOP_TRIAL: Final = "stop/stopped a trial run of the script {script}"
_PUSH: Final = "send/sent the push {push}{mode}"
_DRAFT: Final = "create/created a draft from the template {template}"
_NEW_ACCESS: Final = "create/created the token {token}"
_ROTATE: Final = "give/gave the token {token} a new secret"
_REVOKE: Final = "revoke/revoked the token {token}"
_END_SESSIONS: Final = "end/ended all sessions of a person"
_DEVICES: Final = "import/imported devices from a file{mode}"
_NEW_DESTINATION: Final = "create/created the destination of alerts{named}"
_DESTINATION: Final = "change/changed the destination of alerts{named}"
_NO_DESTINATION: Final = "delete/deleted a destination of alerts"
_TRY_DESTINATION: Final = "send/sent a test message to a destination of alerts"
_OTHER_KEY: Final = "give/gave a destination of alerts a new secret"
_NEW_PHONE: Final = "register/registered the test device{named}"
_PHONE: Final = "change/changed the test device{named}"
_NO_PHONE: Final = "remove/removed a test device"
_TRY_PHONE: Final = "send/sent a test to a test device"
_OPT_OUT: Final = "opt/opted a user out of pushes"
_OPT_IN: Final = "delete/deleted opt-outs of a user"
_OPT_OUTS: Final = "import/imported opt-outs from a file{mode}"
_PAUSE_MANY: Final = "pause/paused many automations"
_RESUME_MANY: Final = "resume/resumed many automations"
_DISMISS: Final = "dismiss/dismissed {execution}"
_UNDISMISS: Final = "undo/undid the dismissal of {execution}"
_ERASE: Final = "erase/erased a user"
_CLEAN_UP: Final = "delete/deleted devices that had been dead for long"

WORDS: Final[Mapping[str, str]] = {
    "alerts.change": _DESTINATION,
    "alerts.create": _NEW_DESTINATION,
    "alerts.delete": _NO_DESTINATION,
    "alerts.rotate": _OTHER_KEY,
    "alerts.test": _TRY_DESTINATION,
    "attention.dismiss": _DISMISS,
    "attention.undo": _UNDISMISS,
    "automation_versions.restore": _RESTORE,
    "clock.reschedule": "save/saved {automation} again for the clocks",
    "clock.restore": "compare/compared what the clocks watch",
    "control.act": "control/controlled {automation}",
    "control.act:pause": _PAUSE,
    "control.act:resume": _RESUME,
    "control.act:cancel": "cancel/cancelled the executions of {automation}",
    "control.act:emergency_stop": "stop/stopped {automation} and its executions",
    "control.act:execute_now": _START,
    "control.act_on_many": "control/controlled many automations",
    "control.act_on_many:pause": _PAUSE_MANY,
    "control.act_on_many:resume": _RESUME_MANY,
    "control.stop_everything": _STOP_ALL,
    "conversions.report": "report/reported conversions",
    "device_upkeep.clean_up": _CLEAN_UP,
    "device_upkeep.import_file": _DEVICES,
    "devices.forget": "delete/deleted devices",
    "devices.forget_one": "delete/deleted a device",
    "devices.register": "register/registered devices",
    "erasures.erase": _ERASE,
    "execute.execute_start": _START,
    "executions.approve": _APPROVE,
    "executions.cancel": _CANCEL,
    "executions.mark_dead": _DEAD,
    "executions.resume": _FINISH,
    "executions.start": _START,
    "executions.stop": _STOP,
    "migration.migrate": "bring/brought files of the original system over{mode}",
    "monitor.resolve": _RESOLVE,
    "opt_outs.import_file": _OPT_OUTS,
    "opt_outs.opt_in": _OPT_IN,
    "opt_outs.opt_out": _OPT_OUT,
    "pages_alerts.create": _NEW_DESTINATION,
    "pages_alerts.delete": _NO_DESTINATION,
    "pages_alerts.rotate": _OTHER_KEY,
    "pages_alerts.save": _DESTINATION,
    "pages_alerts.switch": "switch/switched a destination of alerts on or off",
    "pages_alerts.test": _TRY_DESTINATION,
    "pages_attention.dismiss": _DISMISS,
    "pages_attention.undo": _UNDISMISS,
    "pages_automations.act:pause": _PAUSE,
    "pages_automations.act:resume": _RESUME,
    "pages_automations.run": _START,
    "pages_bulk.act:pause": _PAUSE_MANY,
    "pages_bulk.act:resume": _RESUME_MANY,
    "pages_cadence.bring": "import/imported history from a file",
    "pages_cadence.bring:look": "check/checked a file of history",
    "pages_cadence.save": "change/changed the cadence rules",
    "pages_cadence.undo": "undo/undid an import of history",
    "pages_dashboard.resolve": _RESOLVE,
    "pages_devices.bring": _DEVICES,
    "pages_devices.bring:look": "check/checked a file of devices",
    "pages_devices.clean_up": _CLEAN_UP,
    "pages_edit_automation.create": _CREATE,
    "pages_edit_automation.create:change": _FORM,
    "pages_edit_automation.save": _CHANGE,
    "pages_edit_automation.save:change": _FORM,
    "pages_erasures.erase": _ERASE,
    "pages_executions.approve": _APPROVE,
    "pages_executions.cancel": _CANCEL,
    "pages_executions.dead_devices": _DEAD,
    "pages_executions.resume": _FINISH,
    "pages_executions.stop": _STOP,
    "pages_opt_outs.bring": _OPT_OUTS,
    "pages_opt_outs.bring:look": "check/checked a file of opt-outs",
    "pages_opt_outs.opt_in": _OPT_IN,
    "pages_opt_outs.opt_out": _OPT_OUT,
    "pages_people.end": _END_SESSIONS,
    "pages_put_away.bring_back": _BRING_BACK,
    "pages_put_away.delete": _DELETE,
    "pages_put_away.duplicate": _COPY,
    "pages_put_away.put_into": _ARCHIVE,
    "pages_put_away.take_out": _UNARCHIVE,
    "pages_scripts.start": _TRY,
    "pages_scripts.stop": _STOP_TRIAL,
    "pages_send.send": "send/sent the push of {execution}",
    "pages_send.try_out": "start/started a dry run of the push {push}",
    "pages_send_later.cancel": "cancel/cancelled the scheduled push {push}",
    "pages_send_later.change": "change/changed the scheduled push {push}",
    "pages_send_later.schedule": "schedule/scheduled the push of {execution}",
    "pages_sign_in.begin": "sign/signed in",
    "pages_sign_in.come_back": "sign/signed in",
    "pages_sign_in.end": "sign/signed out",
    "pages_stop_everything.act": _STOP_ALL,
    "pages_templates.save": "save/saved {automation} as a template",
    "pages_templates.start": _DRAFT,
    "pages_test_devices.change": _PHONE,
    "pages_test_devices.register": _NEW_PHONE,
    "pages_test_devices.remove": _NO_PHONE,
    "pages_test_devices.send": _TRY_PHONE,
    "pages_tests.start": _TEST,
    "pages_tokens.create": _NEW_ACCESS,
    "pages_tokens.revoke": _REVOKE,
    "pages_tokens.rotate": _ROTATE,
    "pages_versions.restore": _RESTORE,
    "put_away.duplicate": _COPY,
    "put_away.put_into": _ARCHIVE,
    "put_away.take_out": _UNARCHIVE,
    "put_away.undo": _BRING_BACK,
    "query_audience.split": "split/split an audience into parts",
    "recipes.create": _CREATE,
    "recipes.delete": _DELETE,
    "recipes.delete_by_query": _DELETE,
    "recipes.edit": _CHANGE,
    "recipes.edit_by_body": _CHANGE,
    "scheduled_pushes.change": "change/changed the scheduled push {push}",
    "scheduled_pushes.delete": "delete/deleted the scheduled push {push}",
    "scheduled_pushes.schedule": "schedule/scheduled the push {push}",
    "script_runs.run_and_wait": _TRY,
    "script_runs.start": _TRY,
    "script_runs.stop": _STOP_TRIAL,
    "send_push.send": _PUSH,
    "sequences.act": "control/controlled {execution}",
    "sequences.act:cancel": _CANCEL,
    "sequences.act:emergency_stop": _STOP,
    "sequences.act:pause": "pause/paused {execution}",
    "sequences.delete": "delete/deleted {execution}",
    "sequences.start": _START,
    "templates.create_or_start": "create/created the template {template}",
    "templates.create_or_start:templateId": _DRAFT,
    "templates.delete": "delete/deleted the template {template}",
    "templates.edit": "change/changed the template {template}",
    "templates.save_as": "save/saved {automation} as a template",
    "templates.start": _DRAFT,
    "test_devices.change": _PHONE,
    "test_devices.register": _NEW_PHONE,
    "test_devices.remove": _NO_PHONE,
    "test_devices.send": _TRY_PHONE,
    "tests.kill": "stop/stopped the test of {automation}{mode}",
    "tests.run_suite": "check/checked {automation}",
    "tests.start": _TEST,
    "people.end": _END_SESSIONS,
    "tokens.create": _NEW_ACCESS,
    "tokens.delete": _REVOKE,
    "tokens.rotate": _ROTATE,
    "users.export": "export/exported all that is known of a user",
}

#: What the log can be filtered by, and the groups of routes that belong to it.
ABOUT: Final[Mapping[str, tuple[str, ...]]] = {
    "automations": (
        *("recipes", "control", "clock", "migration", "automations", "edit_automation"),
        *("put_away", "versions", "automation_versions", "bulk"),
    ),
    "executions": (
        *("executions", "sequences", "execute", "stop_everything", "monitor", "dashboard"),
        *("attention",),
    ),
    "tests": ("tests", "scripts", "script_runs", "query_audience"),
    "pushes": ("send", "send_later", "send_push", "scheduled_pushes"),
    "cadence": ("cadence",),
    "devices": ("devices", "device_upkeep", "test_devices"),
    "opt-outs": ("opt_outs",),
    "users": ("erasures",),
    "results": ("conversions",),
    "alerts": ("alerts",),
    "templates": ("templates",),
    "access": ("tokens", "sign_in", "people"),
}


def find_words(endpoint: str, values: Mapping[str, object]) -> tuple[str, str] | None:
    """Return what a request does and did, with `{names}` of things; None for an unknown route.

    Shape: `values` are the fields of the request.
    """
    phrase = WORDS.get(f"{endpoint}:{_find_variant(values)}") or WORDS.get(endpoint)
    if phrase is None:
        return None
    verbs, space, rest = phrase.partition(" ")
    doing, _, done = verbs.partition("/")
    return f"{doing}{space}{rest}", f"{done}{space}{rest}"


def list_groups(about: str) -> list[str]:
    """Return the groups of routes, of API and pages, that belong to a filter."""
    return [prefix + name for name in ABOUT[about] for prefix in ("", "pages_")]


def _find_variant(values: Mapping[str, object]) -> object:
    named = [name for name in ("change", "templateId") if name in values]
    return values.get("action") or next(iter(named), None) or values.get("then")

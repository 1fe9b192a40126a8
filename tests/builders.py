"""What tests are about, made with only what matters to the test."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

from push_blaster.domain.automations.automation import Automation, Frequency, Push, Schedule
from push_blaster.domain.devices.device import Address, DeadDevice
from push_blaster.domain.executions.execution import Execution, PushProgress, PushStatus, Trigger
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import Phase
from tests.people import ALICE

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def a_schedule(**changes: Any) -> Schedule:
    return Schedule(
        **{
            "timezone": "UTC",
            "frequency": Frequency.DAILY,
            "execution_time": time(12, 30),
            **changes,
        }
    )


def a_push(**changes: Any) -> Push:
    return Push(**{"id": "push-1", "title": "Title", "body": "Body", "layer_id": 3, **changes})


def an_automation(**changes: Any) -> Automation:
    values = {
        "id": "news",
        "name": "News",
        "version": 1,
        "status": "active",
        "is_active": True,
        "updated_at": NOON,
        "schedule": a_schedule(),
        "pushes": (a_push(),),
        **changes,
    }
    return Automation(**values)


def an_execution(**changes: Any) -> Execution:
    values = {
        "id": "news@20261124T123000Z",
        "automation": an_automation(),
        "mode": Mode.LIVE,
        "trigger": Trigger.SCHEDULE,
        "slot": NOON + timedelta(minutes=30),
        "begins_at": NOON,
        "phase": Phase.WAITING,
        "fence": 1,
        "created_at": NOON,
        "pushes": (PushProgress(position=1, status=PushStatus.PENDING),),
        **changes,
    }
    return Execution(**values)


def died(token: str, reason: str) -> DeadDevice:
    return DeadDevice(ALICE, Address(token), reason)


def a_document(**changes: Any) -> dict[str, Any]:
    return {
        "id": "news",
        "name": "News",
        "type": "recurring",
        "schedule": {"timezone": "UTC", "frequency": "daily", "executionTime": "12:30"},
        "pushSequence": [{"title": "Title", "body": "Body", "layerId": 3}],
        **changes,
    }

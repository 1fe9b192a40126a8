"""Send a test to one named device now, by an execution of its own."""

from datetime import datetime
from typing import Final

from push_blaster.adapters.devices.named_devices import NamedDevice
from push_blaster.adapters.one_off.ad_hoc_document import AdHocPush, write_ad_hoc
from push_blaster.domain.cadence.cadence import TEST_LAYER
from push_blaster.domain.executions.execution import Execution, Trigger
from push_blaster.domain.executions.modes import Mode
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.executions.start_execution import StartRequest, start_execution

TITLE: Final = "Test of this device"


def send_to_test_device(
    context: WebContext,
    device: NamedDevice,
    key: str | None,
    now: datetime,
    *,
    is_simulated: bool,
) -> Execution:
    """Start a test that goes to this device and to nobody else; the same key starts it once."""
    push = AdHocPush(
        title=TITLE,
        body=f"{device.name} gets pushes of the push automation.",
        layer_id=TEST_LAYER,
        user_ids=(str(device.id),),
        audience_description=f"A test of the device {device.name}.",
    )
    document = write_ad_hoc(push, key, now)
    settings = {**document["settings"], "testDeviceIds": [str(device.id)]}
    request = StartRequest(
        mode=Mode.TEST_LIVE_SEND,
        is_simulated=is_simulated,
        trigger=Trigger.AD_HOC,
        idempotency_key=key,
    )
    return start_execution(context, {**document, "settings": settings}, request, now)

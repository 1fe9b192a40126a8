"""An ad hoc push as the document of an automation that exists only in its execution.

The document has the field `adHocPush`. It is never written to a file, so no clock sees it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from push_blaster.adapters.automations.automation_document import complete_document
from push_blaster.domain.automations.automation import Upload

MARK: Final = "adHocPush"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdHocPush:
    """One push to send now, to named users or to the users of an uploaded file.

    Shape: `message` has further fields of the push, as its document has them.
    """

    title: str
    body: str
    layer_id: int
    deep_link: str = ""
    message: Mapping[str, Any] = field(default_factory=dict)
    user_ids: tuple[str, ...] = ()
    upload: Upload | None = None
    audience_description: str = ""
    window: timedelta = timedelta(0)


def write_ad_hoc(push: AdHocPush, key: str | None, now: datetime) -> Mapping[str, Any]:
    """Return the complete document of the push, with an id of its own.

    The same push with the same idempotency key has the same id.
    """
    criteria = _write_criteria(push)
    texts = {"title": push.title, "body": push.body, "deepLink": push.deep_link, **push.message}
    minutes = push.window.total_seconds() / 60
    content = [texts, push.layer_id, criteria, push.audience_description, minutes]
    at = now.astimezone(UTC)
    return complete_document(
        {
            "id": f"ad-hoc-{_name(content, key)}",
            "name": push.title[:255],
            "description": push.audience_description,
            "type": "single_push",
            "schedule": {
                "timezone": "UTC",
                "frequency": "once",
                "startDate": f"{at:%Y-%m-%d}",
                "executionTime": f"{at:%H:%M:%S}",
                "leadTimeMinutes": 0,
            },
            "pushSequence": [{**texts, "layerId": push.layer_id}],
            "audienceCriteria": criteria,
            "settings": {
                "dryRunFirst": False,
                "cancellationWindowMinutes": minutes,
                "safeguards": {"requireTestFirst": False},
            },
            "metadata": {"createdBy": "ad_hoc_push"},
            "createdAt": at.isoformat(),
            "updatedAt": at.isoformat(),
            MARK: {"audienceDescription": push.audience_description},
        }
    )


def _write_criteria(push: AdHocPush) -> Mapping[str, Any]:
    if push.upload:
        return {"uploadedFile": {"name": push.upload.name, "sha256": push.upload.sha256}}
    return {"manualUserIds": list(push.user_ids)}


def _name(content: object, key: str | None) -> str:
    if key is None:
        return uuid4().hex[:16]
    return hashlib.sha256(json.dumps([key, content]).encode()).hexdigest()[:16]

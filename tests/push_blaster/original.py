"""Files of the original's shape, made up, with the oddities that its real ones have."""

import json
from pathlib import Path
from typing import Any


def an_original_push(**changes: Any) -> dict[str, Any]:
    return {
        "id": "p1",
        "createdAt": "2025-07-01T08:00:00.000Z",
        "scheduledFor": "2031-07-02T16:00:00.000Z",
        "title": "A walk?",
        "body": "The weather is fine.",
        "audienceCriteria": {
            "filters": {},
            "dataPacks": {"topTargetShoe": False},
            "manualUserIds": ["a11ce000-0000-4000-8000-000000000001"],
        },
        "audienceDescription": "Alice",
        "status": "scheduled",
        **changes,
    }


def an_original_automation(**changes: Any) -> dict[str, Any]:
    return {
        "id": "a1",
        "name": "Weekly walk",
        "description": "",
        "type": "script_based",
        "status": "active",
        "isActive": True,
        "schedule": {
            "timezone": "America/Chicago",
            "frequency": "weekly",
            "startDate": "2025-08-13T00:00:00.000Z",
            "executionTime": "12:30",
            "leadTimeMinutes": 30,
        },
        "template": {"name": "Script", "category": "manual", "config": {}},
        "pushSequence": [
            {
                "id": "",
                "automationId": "a1",
                "sequenceOrder": number,
                "title": f"Walk {number}",
                "body": "Now.",
                "deepLink": "",
                "layerId": 3,
                "audienceName": "default",
                "timing": {"delayAfterPrevious": 5 * (number - 1), "sendTime": "12:30"},
                "status": "pending",
            }
            for number in (1, 2)
        ],
        "audienceCriteria": {
            "trustedTraderStatus": "any",
            "customScript": {"scriptId": "generate_layer_3_push_csvs"},
            "customQuery": "",
        },
        "settings": {
            "testUserIds": [],
            "dryRunFirst": True,
            "cancellationWindowMinutes": 25,
            "safeguards": {"requireTestFirst": True, "blockOverlapHours": 4},
        },
        "metadata": {"createdBy": "script_ui", "totalExecutions": 0},
        "createdAt": "2025-08-12T10:00:00.000Z",
        "updatedAt": "2025-08-12T10:00:00.000Z",
        **changes,
    }


def write_original(folder: Path, *contents: dict[str, Any] | str) -> None:
    """Write each content to its place: pushes have `scheduledFor`; a text is no JSON."""
    for number, content in enumerate(contents):
        is_push = "scheduledFor" in content
        place = folder / (".scheduled-pushes" if is_push else ".automations")
        place.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            (place / f"broken{number}.json").write_text(content)
        else:
            (place / f"{content['id']}.json").write_text(json.dumps(content))

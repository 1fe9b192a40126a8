"""Every page there is, of the example; and the way in."""

from typing import Any
from uuid import UUID

import requests
from playwright.sync_api import Page

from tests.local_stack.stack import LocalStack
from tests.page_reader import form_values

#: `{execution}` is the example's first one, `{run}` that of its script, `{dry_run}` tries a push to
#: a single user out, `{test_device}` is a test device, `{destination}` gets alerts, and `{push}` is
#: a push that is scheduled.
PAGES = (
    "/sign-in",
    "/",
    "/automations",
    "/automations/garden-activity",
    "/automations/garden-activity/edit",
    "/automations/garden-activity/test",
    "/automations/garden-activity/run",
    "/automations/garden-activity/versions",
    "/automations/garden-activity/versions/{version}?against=before",
    "/automations/garden-activity/archive",
    "/automations/garden-activity/save-as-template",
    "/deleted-automations",
    "/automations/new",
    "/bulk/pause?all=1",
    "/calendar",
    "/calendar/2031-05-05",
    "/executions",
    "/executions/{execution}",
    "/executions/{execution}/failures",
    "/executions/{execution}/stop",
    "/executions/{execution}/dismissal",
    "/results",
    "/results/garden-activity?days=90",
    "/search?q=garden",
    "/stop-everything",
    "/times",
    "/send",
    "/send/{dry_run}",
    "/send/scheduled/{push}",
    "/users",
    "/users/7e57ab1e-0000-4000-8000-000000000001",
    "/deliveries?user=7e57ab1e-0000-4000-8000-000000000001",
    "/cadence",
    "/cadence/users?user=7e57ab1e-0000-4000-8000-000000000001",
    "/cadence/reach?automation=garden-activity",
    "/cadence/imports",
    "/devices",
    "/devices/test",
    "/opt-outs",
    "/users/7e57ab1e-0000-4000-8000-000000000001/erase",
    "/erasures/{erasure}",
    "/devices/test/{test_device}",
    "/api-docs",
    "/api-docs/cadence",
    "/scripts",
    "/scripts/garden_activity",
    "/scripts/garden_activity/source",
    "/scripts/garden_activity/runs/{run}",
    "/alerts",
    "/alerts/new/slack",
    "/alerts/{destination}",
    "/alerts/{destination}/rotate",
    "/audit-log",
    "/tokens",
    "/tokens/somebody/revoke",
    "/people",
    "/unsent/{unsent}",
    "/templates",
    "/templates/onboarding_funnel",
)


def sign_in(page: Page, stack: LocalStack) -> None:
    """Sign in as admin without the page of signing in, and open the dashboard."""
    request = page.context.request
    request.post("/sign-in", form={"token": stack.token}, max_redirects=0)
    page.goto("/")
    page.get_by_role("heading", name="Dashboard").wait_for()


def sign_in_by_form(page: Page, stack: LocalStack) -> None:
    """Sign in as admin, as people do."""
    page.goto("/sign-in")
    page.get_by_label("Token").fill(stack.token)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Dashboard").wait_for()


def pages_of(stack: LocalStack) -> list[str]:
    """Return the path of every page of this stack."""
    execution = ask(stack, "/api/executions")["executions"][-1]["id"]
    run = ask(stack, "/api/scripts/garden_activity/runs")["runs"][-1]["id"]
    places = {"execution": execution, "run": run, "dry_run": _try_out(stack), "push": _plan(stack)}
    places["test_device"] = _register_device(stack)
    places["destination"] = _add_destination(stack)
    places["erasure"] = _erase(stack)
    versions = ask(stack, "/api/automation/recipes/garden-activity/versions")["versions"]
    places |= {"version": versions[-1]["id"], "unsent": _leave(stack)}
    return [path.format(**places) for path in PAGES]


def _erase(stack: LocalStack) -> str:
    """Erase a user whom nobody knows; return the id of the erasure."""
    headers = {"Authorization": f"Bearer {stack.token}"}
    url = f"{stack.push_url}/api/users/{UUID(int=4711)}"
    return str(requests.delete(url, headers=headers, timeout=30).json()["id"])


def _leave(stack: LocalStack) -> str:
    """Send a form whose session has ended; return the key under which it is kept."""
    browser = requests.Session()
    browser.post(f"{stack.push_url}/sign-in", data={"token": stack.token}, timeout=30)
    form = form_values(browser.get(f"{stack.push_url}/tokens", timeout=30).text)
    browser.cookies.clear()
    sent = browser.post(f"{stack.push_url}/tokens", data=form, allow_redirects=False, timeout=30)
    return sent.headers["Location"].rpartition("/")[2]


def _create(stack: LocalStack, path: str, body: dict[str, Any]) -> Any:
    """Create something for these pages, once; return the answer."""
    headers = {"Authorization": f"Bearer {stack.token}", "Idempotency-Key": "every-page"}
    return requests.post(stack.push_url + path, headers=headers, json=body, timeout=30).json()


def _add_destination(stack: LocalStack) -> str:
    made = _create(
        stack,
        "/api/alerts/destinations",
        {"name": "Night shift", "kind": "webhook", "url": "https://hooks.example.com/push"},
    )
    return str(made["id"])


def _plan(stack: LocalStack) -> str:
    made = _create(
        stack,
        "/api/scheduled-pushes",
        {
            "title": "Happy new year",
            "body": "There is news.",
            "scheduledFor": "2040-01-01T00:00:00Z",
            "audienceDescription": "One user",
            "audienceCriteria": {"manualUserIds": [str(UUID(int=1))]},
        },
    )
    return str(made["scheduledPush"]["id"])


def _try_out(stack: LocalStack) -> str:
    answer = requests.post(
        f"{stack.push_url}/api/send-push?dryRun=true",
        headers={"Authorization": f"Bearer {stack.token}"},
        data={"title": "Hello", "body": "There is news.", "layerId": 1, "jobId": "every-page"},
        files={"file": f"user_id,device_token\n{UUID(int=1)},token\n"},
        timeout=30,
    )
    job_id: str = answer.json()["jobId"]
    return job_id


def _register_device(stack: LocalStack) -> str:
    made = _create(
        stack,
        "/api/test-devices",
        {"name": "Marketing's iPhone", "token": "token-of-a-phone", "platform": "ios"},
    )
    return str(made["id"])


def ask(stack: LocalStack, path: str) -> Any:
    headers = {"Authorization": f"Bearer {stack.token}"}
    return requests.get(stack.push_url + path, headers=headers, timeout=30).json()


def start_execution(stack: LocalStack, window_minutes: float) -> str:
    response = requests.post(
        f"{stack.push_url}/api/executions",
        json={
            "automationId": "garden-activity",
            "cancellationWindowMinutes": window_minutes,
        },
        headers={"Authorization": f"Bearer {stack.token}"},
        timeout=30,
    )
    assert response.ok, response.text
    execution_id: str = response.json()["id"]
    return execution_id


def cancel_execution(stack: LocalStack, execution_id: str) -> None:
    requests.post(
        f"{stack.push_url}/api/executions/{execution_id}/cancel",
        headers={"Authorization": f"Bearer {stack.token}"},
        timeout=30,
    ).raise_for_status()

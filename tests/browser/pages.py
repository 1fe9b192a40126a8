"""Every page there is, of the example; and the way in."""

import requests
from playwright.sync_api import Page

from tests.local_stack.conftest import LocalStack

#: `{execution}` is the example's first one.
PAGES = (
    "/sign-in",
    "/",
    "/automations",
    "/automations/garden-activity",
    "/automations/garden-activity/edit",
    "/automations/garden-activity/test",
    "/automations/garden-activity/run",
    "/automations/new",
    "/executions",
    "/executions/{execution}",
    "/executions/{execution}/stop",
    "/cadence",
    "/cadence/users?user=7e57ab1e-0000-4000-8000-000000000001",
    "/cadence/reach?automation=garden-activity",
    "/cadence/imports",
    "/devices",
    "/scripts",
    "/scripts/garden_activity",
    "/templates",
    "/templates/onboarding_funnel",
)


def sign_in(page: Page, stack: LocalStack) -> None:
    """Sign in as admin."""
    page.goto("/sign-in")
    page.get_by_label("Token").fill(stack.token)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Dashboard").wait_for()


def pages_of(stack: LocalStack) -> list[str]:
    """Return the path of every page of this stack."""
    answer = requests.get(
        f"{stack.push_url}/api/executions",
        headers={"Authorization": f"Bearer {stack.token}"},
        timeout=10,
    )
    execution = answer.json()["executions"][-1]["id"]
    return [path.format(execution=execution) for path in PAGES]

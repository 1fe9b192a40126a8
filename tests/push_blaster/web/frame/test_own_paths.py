"""A redirect leads to a path of ours, whatever it is asked for."""

import pytest

from push_blaster.web.frame.own_paths import own_path


@pytest.mark.parametrize(
    ("wanted", "leads_to"),
    [
        ("/", "/"),
        ("/executions?show=failed", "/executions?show=failed"),
        (
            "/audit-log?from=2026-11-24T12%3A00&actor=a+b&x=",
            "/audit-log?from=2026-11-24T12%3A00&actor=a+b&x=",
        ),
        ("/automations/my%20news", "/automations/my%20news"),
        ("/automations/новости", "/automations/%D0%BD%D0%BE%D0%B2%D0%BE%D1%81%D1%82%D0%B8"),
        ("/automations/a%2520b", "/automations/a%2520b"),
        ("/executions#log", "/executions"),
        ("/executions?x=1%0d%0aSet-Cookie:+a=b", "/executions?x=1%0D%0ASet-Cookie%3A+a%3Db"),
    ],
)
def test_a_path_of_ours_stays(wanted: str, leads_to: str) -> None:
    assert own_path(wanted) == leads_to


@pytest.mark.parametrize(
    "wanted",
    [
        "",
        "executions",
        "https://evil.example",
        "https:evil.example",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "\\/evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "\t//evil.example",
        " //evil.example",
        "\x00//evil.example",
        "/\x1f/evil.example",
        "/\x85/evil.example",
        "/%2fevil.example",
        "/%2F%2Fevil.example",
        "/%5cevil.example",
        "/%09/evil.example",
        "/%0d%0aLocation:%20https://evil.example",
        "/%252fevil.example",
        "/%25255cevil.example",
        "/..//evil.example",
        "/%2e%2e/%2fevil.example",
        "/%" + "25" * 50 + "2fevil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "?next=//evil.example",
        "@evil.example",
    ],
)
def test_what_could_lead_elsewhere_leads_home(wanted: str) -> None:
    assert own_path(wanted) == "/"

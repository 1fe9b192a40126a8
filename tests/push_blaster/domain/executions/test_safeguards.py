"""When a send has to be stopped or held."""

import pytest

from push_blaster.domain.executions.safeguards import (
    exceeds_failure_rate,
    find_overlap_drift,
    find_size_drift,
)


@pytest.mark.parametrize(
    ("sent", "failed", "limit", "expected"),
    [
        (90, 10, 0.1, False),
        (89, 11, 0.1, True),
        (0, 49, 0.1, False),
        (0, 50, 0.1, True),
        (0, 50, None, False),
        (100, 0, 0, False),
        (99, 1, 0, True),
    ],
    ids=["at it", "over it", "too few", "enough", "no limit", "none failed", "zero tolerated"],
)
def test_a_failure_rate_is_passed_by_enough_messages(
    sent: int, failed: int, limit: float | None, expected: bool
) -> None:
    assert exceeds_failure_rate(sent, failed, limit) is expected


@pytest.mark.parametrize(
    ("size", "earlier", "drifts"),
    [
        (9_000, [], False),
        (3_000, [1_000, 1_000], False),
        (3_001, [1_000, 1_000], True),
        (333, [1_000], True),
        (334, [1_000], False),
        (900, [10], False),
        (5_000, [1_000, 1_000, 60_000], True),
    ],
    ids=["first", "at it", "larger", "smaller", "just not", "both small", "median, not mean"],
)
def test_an_audience_drifts_by_its_size(size: int, earlier: list[int], drifts: bool) -> None:
    assert (find_size_drift(size, earlier, 3) is not None) is drifts


def test_an_audience_drifts_by_its_users() -> None:
    assert find_overlap_drift(0.5, None) is None
    assert find_overlap_drift(0.5, 0.5) is None
    assert find_overlap_drift(0.49, 0.5) == (
        "it shares 49% of its users with the last run, less than 50%"
    )

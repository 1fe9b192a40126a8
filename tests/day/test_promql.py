"""What our alerts say is evaluated as Prometheus evaluates it."""

from collections.abc import Mapping

import pytest

from tests.day.promql import Labels, Samples, Scrapes, Vector, parse


def labels(**pairs: str) -> Labels:
    return frozenset(pairs.items())


def scraped(*scrapes: Samples, every_s: float = 10) -> Scrapes:
    found = Scrapes(keep_s=600)
    for number, samples in enumerate(scrapes):
        found.add(number * every_s, samples)
    return found


def counted(**values: float) -> Mapping[str, Vector]:
    return {"sent_total": {labels(outcome=name): value for name, value in values.items()}}


QUEUE: Samples = {"depth": {labels(kind="steps"): 3, labels(kind="batches"): 7}}
NOBODY = labels()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("max(depth) > 5", {NOBODY: 7}),
        ("max(depth) > 7", {}),
        ("min(depth) == 3", {NOBODY: 3}),
        ('max(depth{kind="steps"}) > 0', {NOBODY: 3}),
        ('sum(depth{kind=~"steps|batches"}) > 0', {NOBODY: 10}),
        ("max(absent_metric) > 0", {}),
        ("absent(depth)", {}),
        ("absent(absent_metric)", {NOBODY: 1}),
        ("sum by (kind) (depth) > 0.5 * sum by (kind) (depth)", QUEUE["depth"]),
        ("sum(depth) < 1.5 * max(depth)", {NOBODY: 10}),
        ("count(depth) < 3", {NOBODY: 2}),
        ("count(depth) < (max(absent_metric) or max(depth))", {NOBODY: 2}),
        ("max(depth) > (min(depth) or sum(depth))", {NOBODY: 7}),
    ],
)
def test_what_is_scraped_is_compared(text: str, found: Vector) -> None:
    assert parse(text)(scraped(QUEUE)) == found


def test_a_counter_grows_and_begins_anew_with_its_process() -> None:
    scrapes = scraped(counted(ok=100), counted(ok=110), counted(ok=4))

    assert parse("increase(sent_total[1m])")(scrapes) == {labels(outcome="ok"): 14}
    assert parse("sum(rate(sent_total[1m]))")(scrapes) == {NOBODY: pytest.approx(14 / 60)}
    assert parse("increase(sent_total[1m]) > 14")(scrapes) == {}


def test_a_window_that_is_compressed_sees_no_further() -> None:
    scrapes = scraped(counted(ok=0), counted(ok=50), counted(ok=51))

    assert parse("increase(sent_total[4m])", compression=24)(scrapes) == {labels(outcome="ok"): 1}


def test_a_share_of_failures_is_judged_by_their_rates() -> None:
    text = 'sum(rate(sent_total{outcome="failed"}[1m])) > 0.1 * sum(rate(sent_total[1m]))'

    assert parse(text)(scraped(counted(ok=0, failed=0), counted(ok=8, failed=2)))
    assert not parse(text)(scraped(counted(ok=0, failed=0), counted(ok=98, failed=2)))


def test_a_quantile_lies_within_its_bucket() -> None:
    def buckets(*counts: float) -> Samples:
        bounds = ("1", "5", "+Inf")
        return {"took_bucket": {labels(le=b): c for b, c in zip(bounds, counts, strict=True)}}

    scrapes = scraped(buckets(0, 0, 0), buckets(50, 100, 100))
    text = "histogram_quantile(0.75, sum by (le) (rate(took_bucket[1m])))"

    assert parse(text)(scrapes) == {NOBODY: pytest.approx(3)}
    assert parse(text)(scraped(buckets(0, 0, 0), buckets(0, 0, 0))) == {}


@pytest.mark.parametrize("text", ["max(depth", "depth > > 1", "depth % 2", "depth 5"])
def test_what_is_no_expression_of_ours_is_refused(text: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        parse(text)


@pytest.mark.parametrize(
    ("share", "ran", "usual"), [(0.5, [2, 2, 2, 3, 1], 2), (0.5, [1, 2], 1.5), (1, [2, 5, 1], 5)]
)
def test_what_was_usual_is_a_quantile_of_what_was_seen(
    share: float, ran: list[int], usual: float
) -> None:
    expression = parse(f"quantile_over_time({share}, sum(alive)[1m:1s])")
    scrapes, found = Scrapes(keep_s=60), list[Vector]()
    for second, number in enumerate(ran):
        scrapes.add(second, {"alive": {NOBODY: number}})
        found.append(expression(scrapes))

    assert found[-1] == {NOBODY: usual}

"""The audit of dependencies: it names known vulnerabilities, and packages without information."""

from tests.audit import LOCK, Judged, Pinned, read_lock, summarise

SEEDS, BULBS = Pinned("seeds", "1.0"), Pinned("bulbs", "2.0")


def test_every_pinned_package_is_asked_about() -> None:
    pinned = {one.name: one.version for one in read_lock(LOCK.read_text())}

    assert len(pinned) > 100
    assert pinned["flask"][0].isdigit()


def test_a_known_fault_is_told_and_fails_unless_it_is_excepted() -> None:
    judged = [Judged(SEEDS, ["PYSEC-1"]), Judged(BULBS, [])]

    assert summarise(judged, {}) == (
        ["seeds 1.0: PYSEC-1 (upgrade it)", "2 pinned, 2 judged; faults known: 1, excepted: 0."],
        False,
    )
    assert summarise(judged, {"PYSEC-1": "we plant no seeds, 2026-11-25"}) == (
        [
            "seeds 1.0: PYSEC-1 (we plant no seeds, 2026-11-25)",
            "2 pinned, 2 judged; faults known: 1, excepted: 1.",
        ],
        True,
    )


def test_what_could_not_be_judged_is_named() -> None:
    lines, is_well = summarise([Judged(SEEDS, None), Judged(BULBS, [])], {})

    assert is_well
    assert lines == [
        "Not judged, as the index tells of newer ones only: seeds 1.0",
        "2 pinned, 1 judged; faults known: 0, excepted: 0.",
    ]

"""Sample messages: real rows, missing values, variants, and texts that phones cut."""

from push_blaster.domain.automations.experiment import Variant
from push_blaster.web.automations.automation_samples import fill_sample
from tests.builders import a_push

PLANT = a_push(title="Your [[var:plant]]", body="")


def test_the_first_row_that_lacks_nothing_is_shown_and_the_others_are_counted() -> None:
    (look,) = fill_sample(PLANT, [{"plant": ""}, {"plant": "Basil"}], ("plant",)).looks

    assert look.texts.title == "Your Basil"
    assert look.warnings == ("1 of 2 sample rows have no plant: those users get nothing.",)


def test_a_value_that_all_rows_lack_is_shown_as_missing() -> None:
    (look,) = fill_sample(PLANT, [{"plant": ""}], ("plant",)).looks

    assert look.texts.title == "Your ‹no plant›"


def test_a_fallback_lacks_nothing() -> None:
    push = a_push(title="Your [[var:plant|garden]]")

    (look,) = fill_sample(push, [{"plant": ""}], ("plant",)).looks

    assert (look.texts.title, look.warnings) == ("Your garden", ())


def test_each_variant_is_shown_with_its_share() -> None:
    variants = (Variant(id="A"), Variant(id="B", weight=3, title="Other"))

    looks = fill_sample(a_push(variants=variants), [], ()).looks

    assert [(look.texts.title, look.share) for look in looks] == [("Title", 0.25), ("Other", 0.75)]


def test_a_column_that_the_audience_has_not_is_a_fault() -> None:
    (look,) = fill_sample(PLANT, [{"seed": "x"}], ("seed",)).looks

    assert look.fault == "The audience has no column plant."


def test_what_a_phone_cuts_is_told_for_each() -> None:
    (look,) = fill_sample(a_push(title="x" * 60, body="y" * 200), [], ()).looks

    assert look.warnings == (
        "iOS shows about 50 characters of the title; it has 60.",
        "iOS shows about 178 characters of the text; it has 200.",
    )

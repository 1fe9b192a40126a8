"""The digest of a push's texts: with other texts, comparisons of its variants begin anew."""

from dataclasses import fields, replace
from datetime import time, timedelta
from typing import Any, Final

import pytest

from push_blaster.adapters.engagement.result_push_table import digest_texts
from push_blaster.domain.automations.automation import Push
from push_blaster.domain.automations.content import Content
from push_blaster.domain.automations.experiment import Experiment, Variant

A: Final = Variant(id="a", title="A")
PUSH: Final = Push(id="p", title="Hi", body="Body", deep_link="app://x", variants=(A,))
#: Other values of what is no text of a push, and of a variant.
NO_TEXTS: Final[dict[str, Any]] = {
    "id": "q",
    "layer_id": 2,
    "audience_name": "others",
    "delay": timedelta(minutes=1),
    "absolute_time": time(9),
    "experiment": Experiment(test_percent=10),
}
TEXTS: Final[dict[str, Any]] = {
    "title": "Hello",
    "body": "Other",
    "deep_link": "app://y",
    "variants": (),
    "content": Content(image_url="https://a.example/1.png"),
}
TEXTS_OF_A_VARIANT: Final[dict[str, Any]] = {
    **TEXTS,
    "id": "b",
    "weight": 2.0,
    "image_url": "https://a.example/1.png",
}


def test_each_field_of_a_push_is_a_text_or_none() -> None:
    assert {field.name for field in fields(Push)} == {*TEXTS, *NO_TEXTS}


@pytest.mark.parametrize("name", TEXTS)
def test_another_text_makes_another_digest(name: str) -> None:
    assert digest_texts(replace(PUSH, **{name: TEXTS[name]})) != digest_texts(PUSH)


@pytest.mark.parametrize("name", NO_TEXTS)
def test_what_is_no_text_leaves_the_digest_as_it_is(name: str) -> None:
    assert digest_texts(replace(PUSH, **{name: NO_TEXTS[name]})) == digest_texts(PUSH)


@pytest.mark.parametrize("field", [field.name for field in fields(Variant)])
def test_another_text_of_a_variant_makes_another_digest(field: str) -> None:
    other = replace(A, **{field: TEXTS_OF_A_VARIANT[field]})

    is_text = field != "weight"
    assert (digest_texts(replace(PUSH, variants=(other,))) != digest_texts(PUSH)) is is_text


def test_a_receipt_names_variants_by_their_place_so_that_their_order_counts() -> None:
    b = Variant(id="b", title="B")

    assert digest_texts(replace(PUSH, variants=(A, b))) != digest_texts(
        replace(PUSH, variants=(b, A))
    )

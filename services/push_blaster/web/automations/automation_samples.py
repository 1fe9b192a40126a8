"""Sample messages: a push filled in with rows of its last audience."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from chassis.postgres import Connection
from push_blaster.adapters.audiences.frozen_audiences import read_batch
from push_blaster.adapters.audiences.script_run_table import select_last_written
from push_blaster.adapters.executions.execution_view import select_last_audience
from push_blaster.adapters.transports.described_content import describe_content
from push_blaster.domain.audiences.audience import normalise
from push_blaster.domain.automations.automation import Automation, Push
from push_blaster.domain.automations.content import PLAIN, given
from push_blaster.domain.automations.experiment import Variant
from push_blaster.domain.delivery.push_template import PushTexts, compile_push, render_sample
from push_blaster.domain.delivery.template import MalformedPlaceholderError
from push_blaster.web.automations.automation_fields import PUSH, label_of

#: How many rows are read.
ROWS: Final = 20
#: About how many characters of a title and of a text a locked phone shows before it cuts them.
VISIBLE: Final = {"Android": (65, 240), "iOS": (50, 178)}

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Look:
    """One variant of a push as one user would get it; `fault` says why no user would get it.

    Units: `share` of the users, from 0 to 1, who get this variant.
    """

    texts: PushTexts
    warnings: tuple[str, ...]
    fault: str | None
    variant: Variant | None = None
    share: float = 1.0

    @property
    def facts(self) -> list[tuple[str, object]]:
        """What the content says besides its image, with the labels of the form."""
        content = self.texts.content
        platforms = {"platforms": ", ".join(content.platforms)}
        data = ", ".join(f"{key} = {value}" for key, value in content.data.items())
        described = {**describe_content(content), **given(data=data, **platforms)}
        usual = describe_content(PLAIN)
        return [
            (label_of(f"{PUSH}{name}"), "yes" if value is True else value)
            for name, value in described.items()
            if name not in {"imageUrl", "actions"} and value != usual.get(name)
        ]


@dataclass(frozen=True, slots=True)
class Sample:
    """A push in each of its variants."""

    push: Push
    looks: tuple[Look, ...]


def read_samples(connection: Connection, data_folder: Path, automation: Automation) -> list[Sample]:
    """Return a sample of every push of `automation`, with a real row if there was an audience."""
    return [
        fill_sample(push, *_find_rows(connection, data_folder, automation.script_id or "", push))
        for push in automation.pushes
    ]


def fill_sample(push: Push, rows: Sequence[Row], columns: tuple[str, ...]) -> Sample:
    """Return the push as the first of `rows` with all its variables would get it."""
    if not push.variants:
        return Sample(push, (_fill_in(push, rows, columns),))
    whole = sum(variant.weight for variant in push.variants)
    if push.experiment:
        whole *= 100 / push.experiment.test_percent
    looks = [
        replace(_fill_in(push.worded(v), rows, columns), variant=v, share=v.weight / whole)
        for v in push.variants
    ]
    return Sample(push, tuple(looks))


def _find_rows(
    connection: Connection, data_folder: Path, script_id: str, push: Push
) -> tuple[Sequence[Row], tuple[str, ...]]:
    """Return rows and columns of the push's last audience, or of what its script last wrote."""
    last = select_last_audience(connection, script_id, push.audience_name)
    path = data_folder / last.file if last else None
    if last and path and path.exists():
        return [row.variables for row in read_batch(path, 0, ROWS)], last.columns
    written = [a for a in select_last_written(connection, script_id) if not a.is_test]
    for audience in written:
        is_only_one = push.audience_name == "default" and len(written) == 1
        if is_only_one or audience.name == normalise(push.audience_name):
            return audience.sample, audience.columns
    return (), ()


def _fill_in(push: Push, rows: Sequence[Row], columns: tuple[str, ...]) -> Look:
    texts = PushTexts(push.title, push.body, push.deep_link, push.content)
    try:
        template = compile_push(push)
    except MalformedPlaceholderError as error:
        return Look(texts, (), str(error))
    lacks = [template.find_missing(row) for row in rows]
    if rows:
        texts = render_sample(template, rows, lambda name: f"‹no {name}›")
    unknown = template.find_unknown(columns) if columns else []
    fault = f"The audience has no column {', '.join(unknown)}." if unknown else None
    cuts = () if push.content.silent else _find_cuts(texts)
    return Look(texts, (*_describe_lacks([] if fault else lacks), *cuts), fault)


def _describe_lacks(lacks: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield how many rows would get no message, and the values that they lack."""
    lacking = [names for names in lacks if names]
    if lacking:
        names = ", ".join(dict.fromkeys(name for found in lacking for name in found))
        rows = f"{len(lacking)} of {len(lacks)} sample rows"
        yield f"{rows} have no {names}: those users get nothing."


def _find_cuts(texts: PushTexts) -> Iterator[str]:
    for phone, visible in VISIBLE.items():
        for name, text, limit in zip(
            ("title", "text"), (texts.title, texts.body), visible, strict=True
        ):
            if len(text) > limit:
                yield f"{phone} shows about {limit} characters of the {name}; it has {len(text)}."

"""A push's texts and content, compiled once and filled in for each user."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple
from uuid import UUID

from chassis.names import column_key
from push_blaster.domain.audiences.audience import LANGUAGE_COLUMN, AudienceRow
from push_blaster.domain.automations.automation import Push
from push_blaster.domain.automations.content import PLAIN, Content, once_per_content
from push_blaster.domain.automations.experiment import Variant, choose_variant
from push_blaster.domain.delivery.deep_link import IMAGES, LinkPolicy, write_in_ascii
from push_blaster.domain.delivery.ledger import LedgerState, Refusal
from push_blaster.domain.delivery.template import (
    MalformedPlaceholderError,
    MissingVariableError,
    Template,
)
from push_blaster.domain.delivery.value_template import (
    ValueTemplate,
    compile_text,
    compile_value,
    escape_link,
)


class PushTexts(NamedTuple):
    """The texts of a push, and its content, as one user gets them."""

    title: str
    body: str
    deep_link: str
    content: Content = PLAIN


@dataclass(frozen=True, slots=True)
class PushTemplate:
    """The texts of a push with their placeholders."""

    title: Template
    body: Template
    deep_link: Template
    content: ValueTemplate

    def find_unknown(self, columns: Collection[str]) -> list[str]:
        """Return the names of placeholders that no column of the audience can fill."""
        known = set(map(column_key, columns))
        return sorted(name for name in self.names if column_key(name) not in known)

    def find_missing(self, variables: Mapping[str, str]) -> list[str]:
        """Return the names of placeholders that need a value and have none in a row."""
        return sorted({name for one in self.templates for name in one.find_missing(variables)})

    def render(self, variables: Mapping[str, str]) -> PushTexts:
        """Return the texts for one row; in the link values are percent-encoded.

        An encoded value cannot change the host or the scheme of a link. Raises:
        MissingVariableError.
        """
        return PushTexts(
            title=self.title.render(variables),
            body=self.body.render(variables),
            deep_link=self.deep_link.render(variables, escape_link),
            content=self.content.fill_in(variables),
        )

    @property
    def templates(self) -> tuple[Template, ...]:
        """Return the templates of all texts."""
        return (self.title, self.body, self.deep_link, *self.content.templates)

    @property
    def names(self) -> set[str]:
        """Return the names of the variables of all texts."""
        return {name for one in self.templates for name in one.names}

    @property
    def needs_language(self) -> bool:
        """Return whether a value is written as the user's language does."""
        return any(one.is_formatted for one in self.templates)

    @property
    def columns(self) -> set[str]:
        """Return the names of the columns that the texts read, the user's language included."""
        return self.names | ({LANGUAGE_COLUMN} if self.needs_language else set())


def compile_push(push: Push) -> PushTemplate:
    """Compile a push's texts; MalformedPlaceholderError names the text with the fault."""
    return PushTemplate(
        title=compile_text("title", push.title),
        body=compile_text("body", push.body),
        deep_link=compile_text("deepLink", push.deep_link),
        content=compile_value("", push.content),
    )


class Wordings:
    """Every wording of a push, compiled once, and the choice of a wording for each user."""

    def __init__(self, automation_id: str, push: Push) -> None:
        """Compile them; MalformedPlaceholderError names the text with the fault."""
        self._automation_id = automation_id
        self._push = push
        self._templates: dict[str | None, PushTemplate] = {
            variant.id: _compile_variant(push, variant) for variant in push.variants
        } or {None: compile_push(push)}

    def choose(self, user_id: UUID) -> tuple[str | None, PushTemplate]:
        """Return the id of the user's variant, if the push has variants, and its texts."""
        push = self._push
        variant = choose_variant(push.variants, self._automation_id, push.id, user_id)
        name = variant.id if variant else None
        return name, self._templates[name]

    @property
    def needs_language(self) -> bool:
        """Return whether a wording depends on the user's language."""
        return any(template.needs_language for template in self._templates.values())

    def find_unknown(self, columns: Collection[str]) -> list[str]:
        """Return the names of placeholders, of any wording, that no column can fill."""
        templates = self._templates.values()
        return sorted({name for template in templates for name in template.find_unknown(columns)})

    def find_used(self, columns: Collection[str]) -> list[str]:
        """Return the columns that fill in placeholders of any wording."""
        templates = self._templates.values()
        used = {column_key(name) for template in templates for name in template.columns}
        return [column for column in columns if column_key(column) in used]


def _compile_variant(push: Push, variant: Variant) -> PushTemplate:
    try:
        return compile_push(push.worded(variant))
    except MalformedPlaceholderError as error:
        raise MalformedPlaceholderError(f"variant {variant.id!r}: {error}") from error


def render_sample(
    template: PushTemplate, rows: Sequence[Mapping[str, str]], stand_in: Callable[[str], str]
) -> PushTexts:
    """Return the texts as the first of `rows` with most variables gets them.

    Shape: `stand_in` returns what stands for a value that this row lacks, too.
    """
    row = min(rows, key=lambda one: len(template.find_missing(one)))
    lacking = {name: stand_in(name) for name in template.find_missing(row)}
    return template.render({**row, **lacking})


def render_row(links: LinkPolicy, template: PushTemplate, row: AudienceRow) -> PushTexts | Refusal:
    """Return the texts for a row, or why it has none."""
    try:
        texts = template.render(row.variables)
    except MissingVariableError as missing:
        return Refusal(row.user_id, LedgerState.MISSING_VARIABLE, str(missing))
    fault = find_link_fault(links, texts)
    return Refusal(row.user_id, LedgerState.BAD_DEEP_LINK, fault) if fault else texts


def find_faults_as_written(links: LinkPolicy, push: Push) -> Iterator[tuple[str, str]]:
    """Yield name and fault of each link of a push that is not allowed, as far as it is written."""
    for name, policy, link in _find_links(links, push.deep_link, push.content):
        fault = policy.find_fault_as_written(link)
        if fault:
            yield name, fault


def _find_links(
    links: LinkPolicy, deep_link: str, content: Content
) -> Iterator[tuple[str, LinkPolicy, str]]:
    """Yield every link of a message, with its path in the document and its policy."""
    yield "deepLink", links, deep_link
    yield "imageUrl", IMAGES, content.image_url
    for at, action in enumerate(content.actions):
        yield f"actions[{at}].deepLink", links, action.deep_link


def with_ascii_links(content: Content) -> Content:
    """Return the content with its links as a message has them; people see them as typed."""
    return _encode_links(content) if content.image_url or content.actions else content


@once_per_content
def _encode_links(content: Content) -> Content:
    encoded = [replace(a, deep_link=write_in_ascii(a.deep_link)) for a in content.actions]
    return replace(content, image_url=write_in_ascii(content.image_url), actions=tuple(encoded))


def name_link(path: str) -> str:
    """Return the words for the link at a path of a push."""
    return {"deepLink": "the deep link", "imageUrl": "the image URL"}.get(path, f"the link {path}")


def find_link_fault(links: LinkPolicy, texts: PushTexts) -> str | None:
    """Return which link of a message is not allowed, and why; None if all are."""
    content = texts.content
    if not content.image_url and not content.actions:  # the usual case, without a loop
        fault = links.find_fault(texts.deep_link)
        return f"the deep link {fault}" if fault else None
    for name, policy, link in _find_links(links, texts.deep_link, content):
        fault = policy.find_fault(link)
        if fault:
            return f"{name_link(name)} {fault}"
    return None

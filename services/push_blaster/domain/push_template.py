"""A push's three texts, compiled once and filled in for each user."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from push_blaster.domain.automation import Push
from push_blaster.domain.template import MalformedPlaceholderError, Template, compile_template


@dataclass(frozen=True, slots=True)
class PushTexts:
    """The texts of a push as one user gets them."""

    title: str
    body: str
    deep_link: str


@dataclass(frozen=True, slots=True)
class PushTemplate:
    """The texts of a push with their placeholders."""

    title: Template
    body: Template
    deep_link: Template

    def find_unknown(self, columns: Collection[str]) -> list[str]:
        """Return the names of placeholders that no column of the audience can fill."""
        names = {
            placeholder.name
            for template in (self.title, self.body, self.deep_link)
            for placeholder in template.placeholders
        }
        return sorted(names - set(columns))

    def render(self, variables: Mapping[str, str]) -> PushTexts:
        """Return the texts for one row; in the link values are percent-encoded.

        Encoded, no value can change the host or the scheme of a link. Raises: MissingVariableError.
        """
        return PushTexts(
            title=self.title.render(variables),
            body=self.body.render(variables),
            deep_link=self.deep_link.render(variables, lambda value: quote(value, safe="")),
        )


def compile_push(push: Push) -> PushTemplate:
    """Compile a push's texts; MalformedPlaceholderError says in which one the fault is."""
    return PushTemplate(
        title=_compile("title", push.title),
        body=_compile("body", push.body),
        deep_link=_compile("deepLink", push.deep_link),
    )


def compile_wordings(push: Push) -> dict[str | None, PushTemplate]:
    """Compile every wording of a push by its variant's id, or by None if it has no variants."""
    if not push.variants:
        return {None: compile_push(push)}
    wordings: dict[str | None, PushTemplate] = {}
    for variant in push.variants:
        try:
            wordings[variant.id] = compile_push(push.worded(variant))
        except MalformedPlaceholderError as error:
            raise MalformedPlaceholderError(f"variant {variant.id!r}: {error}") from error
    return wordings


def _compile(name: str, text: str) -> Template:
    try:
        return compile_template(text)
    except MalformedPlaceholderError as error:
        raise MalformedPlaceholderError(f"{name}: {error}") from error

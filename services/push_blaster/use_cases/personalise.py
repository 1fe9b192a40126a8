"""Turn rows of an audience into messages: find each user's device, fill in the texts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from push_blaster.adapters.delivery_ledger import Refusal
from push_blaster.adapters.device_table import select_newest_tokens
from push_blaster.adapters.frozen_audiences import AudienceRow
from push_blaster.domain.automation import Push
from push_blaster.domain.deep_link import find_link_fault
from push_blaster.domain.limits import Limits
from push_blaster.domain.message import Message, display_tag
from push_blaster.domain.push_template import PushTemplate, PushTexts, compile_push
from push_blaster.domain.template import MissingVariableError
from push_blaster.use_cases.parts import Parts

#: The audience column that, if there is one, says where a row's user is reached.
TOKEN_COLUMN = "device_token"  # noqa: S105 - a column's name


@dataclass(frozen=True, slots=True)
class Personal:
    """The messages, and who gets none and why."""

    messages: list[Message] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)


def personalise(
    parts: Parts, execution_id: str, push: Push, rows: Sequence[AudienceRow]
) -> Personal:
    """Return a message for each row that can have one, in the order of the rows."""
    tokens = _find_tokens(parts, rows)
    template = compile_push(push)
    personal = Personal()
    for row in rows:
        texts = _render(parts.limits, template, row, has_token=row.user_id in tokens)
        if isinstance(texts, Refusal):
            personal.refusals.append(texts)
            continue
        personal.messages.append(
            Message(
                user_id=row.user_id,
                device_token=tokens[row.user_id],
                title=texts.title,
                body=texts.body,
                deep_link=texts.deep_link,
                display_tag=display_tag(execution_id, push.id, row.user_id),
            )
        )
    return personal


def _find_tokens(parts: Parts, rows: Sequence[AudienceRow]) -> dict[UUID, str]:
    given = {
        row.user_id: token for row in rows if (token := row.variables.get(TOKEN_COLUMN, "").strip())
    }
    others = [row.user_id for row in rows if row.user_id not in given]
    if not others:
        return given
    with parts.database.transaction() as connection:
        return {**select_newest_tokens(connection, others), **given}


def _render(
    limits: Limits, template: PushTemplate, row: AudienceRow, *, has_token: bool
) -> PushTexts | Refusal:
    if not has_token:
        return Refusal(row.user_id, "no_token", "no living device token")
    try:
        texts = template.render(row.variables)
    except MissingVariableError as missing:
        return Refusal(row.user_id, "missing_variable", str(missing))
    fault = find_link_fault(texts.deep_link, limits.deep_link_schemes, limits.deep_link_hosts)
    if fault:
        return Refusal(row.user_id, "bad_deep_link", f"the deep link {fault}")
    return texts

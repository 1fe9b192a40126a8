"""The texts of an execution's pushes as a user of the audience reads them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from push_blaster.adapters.audiences.frozen_audiences import read_batch
from push_blaster.domain.automations.automation import Push
from push_blaster.domain.delivery.push_template import PushTexts, compile_push, render_sample
from push_blaster.domain.delivery.template import MalformedPlaceholderError
from push_blaster.domain.executions.execution import Execution, PushProgress

#: How many rows are read to find one that has a value for each placeholder.
_ROWS: Final = 20


def read_sample_texts(data_folder: Path, execution: Execution) -> Sequence[PushTexts]:
    """Return the texts of each push; a placeholder without a value stays as it is."""
    pushes = zip(execution.automation.pushes, execution.pushes, strict=False)
    return [_read_texts(data_folder, push, progress) for push, progress in pushes]


def _read_texts(data_folder: Path, push: Push, progress: PushProgress) -> PushTexts:
    path = data_folder / progress.audience.file if progress.audience else None
    rows = [row.variables for row in read_batch(path, 0, _ROWS)] if path and path.exists() else []
    try:
        return render_sample(compile_push(push), rows or [{}], lambda name: f"[[var:{name}]]")
    except MalformedPlaceholderError:
        return PushTexts(push.title, push.body, push.deep_link, push.content)

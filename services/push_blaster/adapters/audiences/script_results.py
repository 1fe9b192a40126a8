"""The output of a script as audiences: rows, columns, and first rows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from chassis.csv_reader import CsvError
from push_blaster.adapters.audiences.audience_csv import open_audience
from push_blaster.adapters.audiences.audience_scripts import list_output
from push_blaster.adapters.audiences.progress import OnProgress, counted
from push_blaster.adapters.audiences.script_files import open_plain
from push_blaster.domain.audiences.audience import AudienceFile, read_file_name
from push_blaster.domain.audiences.preparation import Stage
from push_blaster.domain.audiences.script_run import FoundAudience

#: How many rows of each audience are shown.
SAMPLE: Final = 3


def describe_output(
    on_progress: OnProgress, folder: Path, refused: Mapping[str, str]
) -> tuple[FoundAudience, ...]:
    """Return each CSV file of a script, in constant memory; `refused` are those without a copy."""
    found = [_describe(on_progress, folder, file) for file in list_output(folder).values()]
    for name, problem in refused.items():
        file = read_file_name(name)
        found.append(
            FoundAudience(
                name=file.audience, file=name, is_test=file.is_test, problem=f"It {problem}."
            )
        )
    return tuple(sorted(found, key=lambda audience: audience.file))


def _describe(on_progress: OnProgress, folder: Path, file: AudienceFile) -> FoundAudience:
    rows = valid = 0
    sample: list[dict[str, str]] = []
    try:
        with open_plain(folder / file.file_name) as content:
            audience = open_audience(content, file.file_name)
            for row in counted(audience.rows, Stage.READING, on_progress):
                rows += 1
                if row.problem is None:
                    valid += 1
                    if len(sample) < SAMPLE:
                        sample.append({"userId": row.user_id, **row.variables})
    except (CsvError, OSError) as error:
        return FoundAudience(
            name=file.audience, file=file.file_name, is_test=file.is_test, problem=str(error)
        )
    return FoundAudience(
        name=file.audience,
        file=file.file_name,
        is_test=file.is_test,
        rows=rows,
        valid=valid,
        columns=audience.columns,
        sample=sample,
        note=audience.note,
    )

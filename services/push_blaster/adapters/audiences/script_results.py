"""The output of a script as audiences: rows, columns, and first rows."""

from pathlib import Path
from typing import Final

from chassis.csv_reader import CsvError
from push_blaster.adapters.audiences.audience_csv import open_audience
from push_blaster.adapters.audiences.audience_scripts import list_output
from push_blaster.domain.audiences.audience import AudienceFile
from push_blaster.domain.audiences.script_run import FoundAudience

#: How many rows of each audience are shown.
SAMPLE: Final = 3


def describe_output(folder: Path) -> tuple[FoundAudience, ...]:
    """Return each CSV file of a script's output folder, by file name, in constant memory."""
    return tuple(_describe(folder, file) for file in list_output(folder).values())


def _describe(folder: Path, file: AudienceFile) -> FoundAudience:
    rows = valid = 0
    sample: list[dict[str, str]] = []
    try:
        with (folder / file.file_name).open("rb") as content:
            audience = open_audience(content, file.file_name)
            for row in audience.rows:
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

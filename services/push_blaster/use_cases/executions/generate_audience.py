"""Generate the audience once: write, bind, freeze, check and forecast it."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

from chassis.csv_reader import SAMPLED, CsvError, describe_guess
from push_blaster.adapters.audiences.audience_csv import write_user_ids
from push_blaster.adapters.audiences.audience_scripts import (
    ScriptFailedError,
    ScriptRun,
    ScriptStoppedError,
    list_output,
)
from push_blaster.adapters.audiences.earlier_attempts import remove_attempts
from push_blaster.adapters.audiences.frozen_audiences import (
    AudienceTooLargeError,
    EmptyAudienceError,
    FrozenAudience,
    freeze_rows,
    read_rows,
)
from push_blaster.adapters.audiences.preparer import Preparer
from push_blaster.adapters.audiences.script_files import RUNNING
from push_blaster.adapters.audiences.script_folder import ScriptNotFoundError
from push_blaster.adapters.audiences.script_run_table import end_runs_of, insert_run
from push_blaster.adapters.audiences.uploads import UploadGoneError, copy_upload
from push_blaster.adapters.executions.execution_table import holds_execution
from push_blaster.domain.audiences.audience import AudienceBindingError, AudienceFile, bind_audience
from push_blaster.domain.audiences.script import ParametersError
from push_blaster.domain.audiences.script_run import RunRecord, RunState
from push_blaster.domain.automations.automation import Automation
from push_blaster.domain.delivery.push_template import Wordings
from push_blaster.domain.delivery.template import MalformedPlaceholderError
from push_blaster.domain.executions.execution import (
    Execution,
    LogLevel,
    PushAudience,
    PushProgress,
    PushStatus,
)
from push_blaster.domain.executions.limits import Limits
from push_blaster.domain.executions.modes import Mode, next_phase
from push_blaster.domain.executions.phase import Phase
from push_blaster.domain.number_words import number_of
from push_blaster.use_cases.audiences.check_audience import describe_check
from push_blaster.use_cases.audiences.find_test_users import find_test_rows
from push_blaster.use_cases.audiences.fit_parameters import fit_parameters
from push_blaster.use_cases.audiences.prepare_audience import (
    Preparation,
    UnknownVariableError,
    prepare_audience,
)
from push_blaster.use_cases.audiences.record_script_run import run_and_record
from push_blaster.use_cases.context import (
    SendContext,
    StepContext,
    StepFailedError,
    StepStoppedError,
    note,
)
from push_blaster.use_cases.executions.check_safeguards import (
    check_audiences,
    find_audience_violation,
)
from push_blaster.use_cases.executions.forecast_execution import forecast_execution
from push_blaster.use_cases.executions.prepare_apart import preparing_apart
from push_blaster.use_cases.executions.resume_execution import take_over_audiences

#: The errors for which an audience cannot be used; each names its fault and its fix.
FAULTS = (
    AudienceBindingError,
    AudienceTooLargeError,
    CsvError,
    EmptyAudienceError,
    MalformedPlaceholderError,
    ParametersError,
    ScriptFailedError,
    ScriptNotFoundError,
    UnknownVariableError,
    UploadGoneError,
)


def generate_audience(context: SendContext, execution: Execution) -> Execution:
    """Write the automation's audience into a folder of this attempt, and freeze it for each push.

    Nothing of an earlier attempt or of another execution is read, except for an execution that
    this one resumes.
    """
    attempt = context.data_folder / attempt_folder(execution)
    _end_earlier_attempts(context, execution, attempt)
    if execution.resumes:
        pushes = take_over_audiences(context, execution)
        with preparing_apart(context, execution, attempt / "output") as preparer:
            return _generated(context, execution, pushes, preparer)
    try:
        for push in execution.automation.pushes:
            Wordings(execution.automation.id, push)
        with preparing_apart(context, execution, attempt / "output") as preparer:
            _write_csvs(context, execution, attempt / "output", preparer)
            files = list_output(attempt / "output")
            pushes = tuple(
                _freeze(context, execution, progress, files, preparer)
                for progress in execution.pushes
            )
            return _generated(context, execution, pushes, preparer)
    except FAULTS as fault:
        raise StepFailedError(str(fault), find_audience_violation(fault)) from fault
    except ScriptStoppedError as stopped:
        raise StepStoppedError(str(stopped)) from stopped


def _generated(
    context: SendContext,
    execution: Execution,
    pushes: tuple[PushProgress, ...],
    preparer: Preparer,
) -> Execution:
    following = next_phase(execution.mode, Phase.AUDIENCE_GENERATION)
    generated = replace(execution, phase=following, pushes=pushes)
    check_audiences(context, generated)
    return forecast_execution(context, generated, preparer)


def _end_earlier_attempts(context: StepContext, execution: Execution, attempt: Path) -> None:
    """End what earlier attempts left: their scripts, here or by their engine, and their files."""
    with context.database.transaction() as connection:
        runs = end_runs_of(connection, execution.id, context.clock())
    earlier = [folder for folder in attempt.parent.glob("attempt-*") if folder != attempt]
    if not runs and not earlier:
        return
    ended = remove_attempts(context.data_folder, earlier, runs)
    if ended:
        text = f"{ended} processes of an earlier attempt still ran here; they were ended."
        note(context, execution.id, Phase.AUDIENCE_GENERATION, text, LogLevel.WARNING)


def attempt_folder(execution: Execution) -> Path:
    """Return the folder of this attempt at the audience, relative to the data folder."""
    return Path("executions") / execution.id / f"attempt-{execution.fence}"


def _write_csvs(
    context: SendContext, execution: Execution, output_folder: Path, preparer: Preparer
) -> None:
    """Fill the folder from the automation's source: users named one by one, a file, or a script."""
    automation = execution.automation
    if automation.manual_user_ids:
        output_folder.mkdir(parents=True)
        write_user_ids(output_folder / "manual_user_ids.csv", automation.manual_user_ids)
    elif automation.upload:
        output_folder.mkdir(parents=True)
        copy_upload(context.data_folder, automation.upload, output_folder / "uploaded.csv")
    elif automation.script_id:
        _run_script(context, execution, automation.script_id, output_folder, preparer)
    else:
        raise StepFailedError(
            "There is no audience. Choose a script (audienceCriteria.customScript.scriptId), name "
            "users, or upload a file."
        )


def _run_script(
    context: SendContext,
    execution: Execution,
    script_id: str,
    output_folder: Path,
    preparer: Preparer,
) -> None:
    automation = execution.automation
    script = context.scripts.find(script_id)
    note(context, execution.id, Phase.AUDIENCE_GENERATION, f"The script {script.id} runs.")
    record = RunRecord(
        id=uuid4(),
        script_id=script.id,
        execution_id=execution.id,
        is_trial=False,
        parameters=fit_parameters(script, automation.script_parameters),
        folder=str(output_folder.relative_to(context.data_folder)),
        state=RunState.RUNNING,
        asked_at=context.clock(),
        started_at=context.clock(),
        engine_id=context.engine_id,
    )
    run = ScriptRun(
        execution_id=execution.id,
        workplace=context.data_folder / RUNNING / str(record.id),
        output_folder=output_folder,
        parameters=record.parameters,
        limits=context.limits.script,
    )

    with context.database.transaction() as connection:
        insert_run(connection, record)
    run_and_record(context, script, run, record, lambda c: holds_execution(c, execution), preparer)


def _freeze(
    context: StepContext,
    execution: Execution,
    progress: PushProgress,
    files: Mapping[str, AudienceFile],
    preparer: Preparer,
) -> PushProgress:
    position = progress.position
    push = execution.automation.pushes[position - 1]
    source = bind_audience(push.audience_name, list(files.values()))
    attempt = context.data_folder / attempt_folder(execution)
    path = attempt / f"audience-{position}.jsonl"
    wanted = Preparation(
        source=attempt / "output" / source.file_name,
        target=path,
        max_size=_max_size(context.limits, execution.automation),
        automation=execution.automation,
        position=position,
        links=context.limits.links,
    )
    frozen, check = preparer.run(wanted.source.stat().st_size, prepare_audience, wanted)
    _note_audience(context, execution, position, source.file_name, frozen)
    _note_check(context, execution, position, check)
    if execution.mode is Mode.TEST_SCHEDULED_SEND:
        rows = find_test_rows(context, execution, position, path)
        path = attempt / f"test-audience-{position}.jsonl"
        frozen = freeze_rows(rows, path, frozen.columns)
    audience = PushAudience(
        file=str(attempt_folder(execution) / path.name),
        sha256=frozen.sha256,
        columns=frozen.columns,
        source_file=source.file_name,
        generated=frozen.generated,
        valid=frozen.valid,
        distinct=frozen.distinct,
        bad_rows=frozen.bad_rows,
    )
    ready = replace(progress, status=PushStatus.AUDIENCE_READY, audience=audience)
    return replace(ready, audience_check=check)


def _max_size(limits: Limits, automation: Automation) -> int:
    own = automation.settings.max_audience_size
    return min(limits.max_audience_size, own or limits.max_audience_size)


def _note_audience(
    context: StepContext, execution: Execution, position: int, source: str, audience: FrozenAudience
) -> None:
    text = (
        f"Push {position}: {source} has {number_of(audience.generated, 'row')}, "
        f"{audience.valid} valid, {number_of(audience.distinct, 'distinct user')}."
    )
    shown: Any = audience.bad_rows
    if shown:
        text += " Not used: " + "; ".join(f"line {b['line']} {b['problem']}" for b in shown[:5])
    if audience.note:
        text += f" {_describe_guess(context, execution, position, source, audience)}"
    level = LogLevel.WARNING if shown or audience.note else LogLevel.INFO
    note(context, execution.id, Phase.AUDIENCE_GENERATION, text, level)


def _describe_guess(
    context: StepContext, execution: Execution, position: int, source: str, audience: FrozenAudience
) -> str:
    """Return the note of the CSV with a sample that the push uses, if it uses any."""
    path = context.data_folder / attempt_folder(execution) / f"audience-{position}.jsonl"
    used = Wordings("", execution.automation.pushes[position - 1]).find_used(audience.columns)
    rows = islice(read_rows(path), SAMPLED)
    texts = (row.variables[column] for row in rows for column in used)
    return describe_guess(source, texts) or audience.note


def _note_check(
    context: StepContext, execution: Execution, position: int, check: Mapping[str, Any]
) -> None:
    found = describe_check(check)
    if found:
        text = f"Push {position}: some users will get no message, or not at their own time. {found}"
        note(context, execution.id, Phase.AUDIENCE_GENERATION, text, LogLevel.WARNING)

"""Generate the audience, once for an execution: run the script, bind, freeze and check it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from push_blaster.adapters.audience_csv import AudienceCsvError
from push_blaster.adapters.audience_scripts import (
    ScriptFailedError,
    ScriptRun,
    ScriptStoppedError,
    run_script,
)
from push_blaster.adapters.execution_table import holds_execution
from push_blaster.adapters.frozen_audiences import (
    AudienceTooLargeError,
    EmptyAudienceError,
    freeze_audience,
)
from push_blaster.adapters.script_folder import ScriptNotFoundError
from push_blaster.domain.audience import (
    AudienceBindingError,
    AudienceFile,
    bind_audience,
    read_file_name,
)
from push_blaster.domain.automation import Automation, Push
from push_blaster.domain.execution import (
    Execution,
    LogLevel,
    Phase,
    PushAudience,
    PushProgress,
    PushStatus,
)
from push_blaster.domain.push_template import compile_push
from push_blaster.domain.template import MalformedPlaceholderError
from push_blaster.use_cases.parts import (
    Parts,
    StepFailedError,
    StepStoppedError,
    note,
    watch_for_stop,
)

#: Why an audience cannot be used; each says itself what is wrong and what would mend it.
FAULTS = (
    AudienceBindingError,
    AudienceCsvError,
    AudienceTooLargeError,
    EmptyAudienceError,
    MalformedPlaceholderError,
    ScriptFailedError,
    ScriptNotFoundError,
)


def generate_audience(parts: Parts, execution: Execution) -> Execution:
    """Run the automation's script in a folder of this attempt, and freeze what each push needs.

    Nothing of an earlier attempt, or of another execution, is ever looked at.
    """
    attempt = parts.data_folder / attempt_folder(execution)
    try:
        for push in execution.automation.pushes:
            compile_push(push)
        _run_script(parts, execution, attempt / "output")
        files = list_output(attempt / "output")
        pushes = tuple(
            _freeze(parts, execution, progress, files, attempt) for progress in execution.pushes
        )
    except FAULTS as fault:
        raise StepFailedError(str(fault)) from fault
    except ScriptStoppedError as stopped:
        raise StepStoppedError(str(stopped)) from stopped
    return replace(execution, phase=Phase.TEST_SENDING, pushes=pushes)


def attempt_folder(execution: Execution) -> Path:
    """Return the folder of this attempt at the audience, relative to the data folder."""
    return Path("executions") / execution.id / f"attempt-{execution.fence}"


def list_output(folder: Path) -> dict[str, AudienceFile]:
    """Return the CSV files that the script wrote, by file name."""
    names = sorted(path.name for path in folder.iterdir() if path.suffix.lower() == ".csv")
    return {name: read_file_name(name) for name in names}


def _run_script(parts: Parts, execution: Execution, output_folder: Path) -> None:
    automation = execution.automation
    if automation.script_id is None:
        raise StepFailedError(
            "audienceCriteria.customScript.scriptId is missing: the automation has no audience "
            "script. Choose one of GET /api/scripts."
        )
    script = parts.scripts.find(automation.script_id)
    note(parts, execution.id, Phase.AUDIENCE_GENERATION, f"The script {script.id} runs.")
    run = ScriptRun(
        execution_id=execution.id,
        output_folder=output_folder,
        parameters=automation.script_parameters,
        time_limit=parts.limits.script_time_limit,
        memory_mb=parts.limits.script_memory_mb,
        environment=parts.limits.script_environment,
    )

    def tell(stream: str, line: str) -> None:
        level = LogLevel.WARNING if stream == "stderr" else LogLevel.INFO
        note(parts, execution.id, "script", line, level)

    should_stop = watch_for_stop(parts, lambda connection: holds_execution(connection, execution))
    run_script(script, run, should_stop, tell)


def _freeze(
    parts: Parts,
    execution: Execution,
    progress: PushProgress,
    files: Mapping[str, AudienceFile],
    attempt: Path,
) -> PushProgress:
    push = execution.automation.pushes[progress.position - 1]
    source = bind_audience(push.audience_name, list(files.values()))
    frozen = freeze_audience(
        attempt / "output" / source.file_name,
        attempt / f"audience-{progress.position}.jsonl",
        _max_size(parts, execution.automation),
    )
    _check_placeholders(push, progress.position, frozen.columns)
    audience = PushAudience(
        file=str(attempt_folder(execution) / f"audience-{progress.position}.jsonl"),
        sha256=frozen.sha256,
        columns=frozen.columns,
        source_file=source.file_name,
        generated=frozen.generated,
        valid=frozen.valid,
        distinct=frozen.distinct,
        bad_rows=frozen.bad_rows,
    )
    _note_audience(parts, execution, progress.position, audience)
    return replace(progress, status=PushStatus.AUDIENCE_READY, audience=audience)


def _max_size(parts: Parts, automation: Automation) -> int:
    own = automation.settings.max_audience_size
    return min(parts.limits.max_audience_size, own or parts.limits.max_audience_size)


def _check_placeholders(push: Push, position: int, columns: tuple[str, ...]) -> None:
    unknown = compile_push(push).find_unknown(columns)
    if unknown:
        raise StepFailedError(
            f"Push {position} uses {', '.join(f'[[var:{name}]]' for name in unknown)}, and its "
            f"audience has no such column. Its columns: {', '.join(columns) or 'none'}."
        )


def _note_audience(
    parts: Parts, execution: Execution, position: int, audience: PushAudience
) -> None:
    text = (
        f"Push {position}: {audience.source_file} has {audience.generated} rows, "
        f"{audience.valid} valid, {audience.distinct} distinct users."
    )
    shown: Any = audience.bad_rows
    if shown:
        text += " Not used: " + "; ".join(f"line {b['line']} {b['problem']}" for b in shown[:5])
    level = LogLevel.WARNING if shown else LogLevel.INFO
    note(parts, execution.id, Phase.AUDIENCE_GENERATION, text, level)

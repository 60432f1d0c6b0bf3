"""What went wrong in a run, as an outcome and in words for people."""

from __future__ import annotations

import traceback

from trainer_core.errors import (
    CheckpointError,
    DataChangedError,
    MisconfigurationException,
    OptionError,
    SpecError,
    TrainerCoreError,
)


def explain(error: BaseException, user_files: list[str]) -> tuple[str, str]:
    """(outcome, reason in words) of an exception."""
    name, text = type(error).__name__, str(error).strip().split("\n")[0][:500]
    if name == "ProcessError":
        return explain_other(str(error))
    if name == "OutOfMemoryError":
        return "oom_cuda", f"The GPU ran out of memory: {text} Reduce the batch size, or accumulate gradients."
    if isinstance(error, DataChangedError):
        return "data_changed", text
    if isinstance(error, MemoryError):
        return "oom_host", "The machine ran out of memory. Reduce the batch size or the number of data workers."
    if isinstance(error, SystemExit):
        return "died", f"The code ended the program itself (exit code {error.code})."
    place = _place(error, user_files)
    if isinstance(error, SyntaxError):
        return "user_error", f"Line {error.lineno} is not valid Python: {error.msg}."
    if isinstance(error, MisconfigurationException | OptionError | SpecError | CheckpointError | TrainerCoreError):
        return "user_error", text
    return "user_error", f"{name}: {text}{place}" if text else f"{name}{place}"


def explain_other(text: str) -> tuple[str, str]:
    """The same of what another process of the run left: a traceback, whose last line is the error, or how it died."""
    first, last = text.strip().split("\n")[0], text.strip().split("\n")[-1][:500]
    if " was ended by " in first:
        return "died", first
    where = f" ({first.removesuffix(' failed:').lower()} of several)"
    if "OutOfMemoryError" in last.partition(":")[0]:
        return "oom_cuda", f"A GPU ran out of memory{where}. Reduce the batch size, or accumulate gradients."
    if last.startswith("MemoryError"):
        return "oom_host", f"The machine ran out of memory{where}. Reduce the batch size or the number of data workers."
    return "user_error", last + where


def _place(error: BaseException, user_files: list[str]) -> str:
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename in user_files:
            return f" (your code, line {frame.lineno}, in {frame.name})"
    return ""


def shortened(error: BaseException, user_files: list[str]) -> str:
    """The traceback, beginning with the first frame of user code when there is one; that of another process as it is."""
    if type(error).__name__ == "ProcessError":
        return str(error)[-20_000:]
    lines = traceback.TracebackException.from_exception(error)
    if user_files and any(f.filename in user_files for f in lines.stack):
        while lines.stack and lines.stack[0].filename not in user_files:
            del lines.stack[0]
    return "".join(lines.format())[-20_000:]

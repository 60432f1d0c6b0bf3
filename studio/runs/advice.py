"""What a person can do about the end of a run, for each outcome that is no success."""

from __future__ import annotations

from studio.runs.models import Run, State

ADVICE = {
    "user_error": "Mend the code, as a new version of the model, or the choice that the message names, then use Change and run. "
    "Resume would meet it again.",
    "died": "The code, or a library that it uses, ended the process. The log's last lines and the stacks in it show where.",
    "oom_cuda": "Halve the batch size and double accumulate_grad_batches for the same result, or use bf16-mixed precision.",
    "oom_host": "Reduce the batch size or the number of data workers, or run it on a machine with more memory.",
    "nan_stop": "Lower the learning rate or clip gradients. Resume goes on from the last checkpoint, before it happened.",
    "hung": "The stacks in the log show where it stood. Data on a slow mount and waits between processes are common causes.",
    "lost": "The worker or its machine went away. Resume goes on from the newest checkpoint on any worker.",
    "infra": "The machine, not the code, ended it. Resume goes on from the newest checkpoint.",
    "unkillable": "A process hangs in the kernel, often on a lost mount or a GPU fault. Look at the machine before you resume.",
    "data_changed": "The data is not what was registered. Register it as a new version, then use Change and run.",
    "time_limit": "Resume gives it as much time again and goes on from its newest checkpoint; Change and run can give it more.",
}
ELSEWHERE = (
    "What the program wrote and could not send is kept beside it: start it again there, or send it with "
    "python -m studio.client sync."
)
RARE_CHECKPOINTS = (
    "It ends more often than it saves: save checkpoints more often (Checkpoint every, in Change and run)."
)


def advice(run: Run) -> str:
    """One or two sentences for a run that failed or had its time; empty for others."""
    if run.state != State.FAILED and run.outcome != "time_limit":
        return ""
    if run.is_external:
        return ELSEWHERE if run.outcome in ("lost", "died") else ""
    words = ADVICE.get(run.outcome, "")
    return f"{words} {RARE_CHECKPOINTS}" if "without a newer checkpoint" in run.reason else words

"""One order to many runs: tags, archive, trash, cancel, run again; each says how many it was for and how many not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from studio.accounts.models import User
from studio.runs import tags
from studio.runs.cancel import request_cancel
from studio.runs.errors import RunError
from studio.runs.models import SETTLED, Run, State
from studio.runs.registered_models import RegisteredVersion
from studio.runs.submit import rerun

PIECE = 500
MOST_CANCELLED, MOST_RERUN = 1000, 50
OPEN = [state for state in State.values if state not in (*SETTLED, State.DRAFT)]


@dataclass(frozen=True, slots=True)
class Done:
    """`count` runs of those chosen; `left` were not, and `why`."""

    verb: str
    count: int
    left: int = 0
    why: str = ""

    @property
    def words(self) -> str:
        text = f"{_runs(self.count)} {self.verb}."
        return text + (
            f" {_runs(self.left)} left as {'it is' if self.left == 1 else 'they are'}: {self.why}" if self.left else ""
        )


def carry_out(action: str, pks: Sequence[int], *, user: User, text: str = "") -> Done:
    """RunError when there is no such action, or it is not for so many."""
    if action not in ACTIONS:
        raise RunError(f"There is no action “{action[:40]}”; there are {', '.join(ACTIONS)}.")
    if not pks:
        raise RunError("No run is chosen. Tick some rows first.")
    return ACTIONS[action](pks, user, text)


def _tag(pks: Sequence[int], user: User, text: str) -> Done:
    names = _names(text)
    count = tags.change(pks, add=names)
    return Done(f"tagged {', '.join(names)}", count, len(pks) - count, "tagged so before, or with too many tags.")


def _untag(pks: Sequence[int], user: User, text: str) -> Done:
    names = _names(text)
    count = tags.change(pks, remove=names)
    return Done(f"no longer tagged {', '.join(names)}", count, len(pks) - count, "without that tag.")


def _archive(pks: Sequence[int], user: User, text: str) -> Done:
    count = _update(pks, {"archived_at": None}, archived_at=Now())
    return Done("put in the archive (find by is:archived)", count, len(pks) - count, "there before.")


def _unarchive(pks: Sequence[int], user: User, text: str) -> Done:
    count = _update(pks, {"archived_at__isnull": False}, archived_at=None)
    return Done("taken out of the archive", count, len(pks) - count, "not in it.")


def uses_of(pks: Sequence[int]) -> list[str]:
    """What uses these runs, in sentences: what somebody should know who is about to remove them."""
    find: Callable[[Sequence[int]], list[str]] = import_string(settings.RUN_USES)
    return find(pks)


def _trash(pks: Sequence[int], user: User, text: str) -> Done:
    named = RegisteredVersion.objects.living().filter(checkpoint__run__in=pks[:100_000])
    used = set(named.values_list("checkpoint__run_id", flat=True))
    free = [pk for pk in pks if pk not in used]
    count = _update(free, {"deleted_at": None, "state__in": [*SETTLED, State.DRAFT]}, deleted_at=Now())
    why = "not ended yet (cancel first), or a checkpoint of it is a version of a registered model."
    return Done("moved to the trash (find by is:trashed)", count, len(pks) - count, why)


def _restore(pks: Sequence[int], user: User, text: str) -> Done:
    count = _update(pks, {"deleted_at__isnull": False}, deleted_at=None)
    return Done("taken out of the trash", count, len(pks) - count, "not in it.")


def _cancel(pks: Sequence[int], user: User, text: str) -> Done:
    runs = [
        run
        for at in range(0, len(pks), PIECE)
        for run in Run.objects.filter(pk__in=pks[at : at + PIECE], state__in=OPEN)
    ]
    if len(runs) > MOST_CANCELLED:
        raise RunError(f"{len(runs)} runs to cancel, allowed are {MOST_CANCELLED} at once. Choose fewer.")
    count = 0
    for run in runs:
        try:
            request_cancel(run=run, user=user)
            count += 1
        except RunError:  # it ended a moment ago
            continue
    return Done("asked to stop", count, len(pks) - count, "ended already.")


def _rerun(pks: Sequence[int], user: User, text: str) -> Done:
    if len(pks) > MOST_RERUN:
        raise RunError(f"{len(pks)} runs to run again, allowed are {MOST_RERUN} at once. Choose fewer.")
    for run in Run.objects.filter(pk__in=pks).select_related("model_version", "dataset_version").order_by("number"):
        rerun(run=run, user=user)
    return Done("queued again as new runs", len(pks))


ACTIONS: dict[str, Callable[[Sequence[int], User, str], Done]] = {
    "tag": _tag, "untag": _untag, "archive": _archive, "unarchive": _unarchive, "trash": _trash, "restore": _restore,
    "cancel": _cancel, "rerun": _rerun,
}  # fmt: skip


def _update(pks: Sequence[int], only: dict[str, object], **values: object) -> int:
    return sum(
        Run.objects.filter(pk__in=pks[at : at + PIECE], **only).update(**values) for at in range(0, len(pks), PIECE)
    )


def _names(text: str) -> list[str]:
    if not (names := tags.parsed(text)):
        raise RunError("Which tag? Write one, or several with commas.")
    return names


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count:,} runs".replace(",", "\u202f")

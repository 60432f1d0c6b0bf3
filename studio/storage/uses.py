"""What uses a run, a model or a dataset: reasons to keep it, and what its removal changes for others."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Exists, OuterRef
from django.utils import timezone

from studio.registry.models import Dataset, Model
from studio.reports.blocks import parse
from studio.reports.errors import ReportError
from studio.reports.models import ReportVersion, ShareLink
from studio.runs.models import Checkpoint, Run, RunStar
from studio.runs.registered_models import RegisteredVersion

SHOWN = 5
PIECE = 5000


def spared(project_pk: int) -> dict[int, str]:
    """The runs of a project that no rule touches, and why. Six queries."""
    found = dict.fromkeys(_in_reports(project_pk), "is in a report")
    found |= dict.fromkeys(_shared(project_pk), "is shared by an open link")
    of_project = Checkpoint.objects.filter(run__project=project_pk, deleted_at=None).order_by()
    found |= dict.fromkeys(of_project.filter(pinned=True).values_list("run_id", flat=True), "has a pinned checkpoint")
    promoted = RegisteredVersion.objects.living().filter(checkpoint__run__project=project_pk).order_by()
    found |= dict.fromkeys(promoted.values_list("checkpoint__run_id", flat=True), "has a registered checkpoint")
    stars = RunStar.objects.filter(run__project=project_pk)
    return found | dict.fromkeys(stars.values_list("run_id", flat=True), "is starred")


def words_of_runs(pks: Sequence[int]) -> list[str]:
    """What uses these runs of one project, in sentences. Seven queries."""
    projects = Run.objects.filter(pk__in=list(pks)[:1]).values_list("project_id", flat=True)
    if (project := projects.first()) is None:
        return []
    wanted, words = set(pks), []
    versions = RegisteredVersion.objects.living().filter(checkpoint__run__project=project)
    rows = versions.values_list("model__name", "number", "checkpoint__run_id")
    kept = [f"{name} v{number}" for name, number, run in rows if run in wanted]
    if kept:
        words.append(f"{_listed(kept)} of the registered models stay, and with them the runs they come from.")
    if shared := wanted & _shared(project):
        words.append(
            f"Open shared links show {_runs(len(shared))} of these; they open nothing as long as it is in the trash."
        )
    if told := wanted & _in_reports(project):
        words.append(
            f"Reports show {_runs(len(told))} of these; the panels say that it is gone, unless they are frozen."
        )
    begun = (
        Run.objects.filter(start_checkpoint__run__in=list(wanted)[:PIECE]).exclude(pk__in=list(wanted)[:PIECE]).count()
    )
    if begun:
        words.append(
            f"{_runs(begun)} began with a checkpoint of these; once the trash is emptied, only its name is known."
        )
    return words


def against_trash(entry: Model | Dataset) -> str:
    """Why a model or dataset has to stay: runs that use it. Empty when nothing does. Two queries."""
    path = "model_version__model" if isinstance(entry, Model) else "dataset_version__dataset"
    runs = Run.objects.filter(**{path: entry}).listed().order_by("-number")
    numbers = list(runs.values_list("number", flat=True)[:SHOWN])
    if not numbers:
        return ""
    count = runs.count()
    more = f" and {count - SHOWN} more" if count > SHOWN else ""
    listed = ", ".join(f"#{number}" for number in numbers)
    runs_words = "Run" if count == 1 else "Runs"
    return (
        f"{runs_words} {listed}{more} of it {'is' if count == 1 else 'are'} not in the trash. "
        "Move them there first, or archive it: then it leaves the lists, and the runs keep it."
    )


def _in_reports(project_pk: int) -> set[int]:
    """Runs that the newest version of a report names."""
    newest = ReportVersion.objects.filter(report=OuterRef("report"), number__gt=OuterRef("number"))
    bodies = ReportVersion.objects.filter(report__project=project_pk).exclude(Exists(newest))
    numbers: set[int] = set()
    for body in bodies.values_list("body", flat=True):
        try:
            blocks = parse(body)
        except ReportError:
            continue
        for block in blocks:
            numbers.update(block.given.get("runs", ()))
            numbers.update([block.given["run"]] if "run" in block.given else [])
    if not numbers:
        return set()
    of_project = Run.objects.filter(project=project_pk, number__in=numbers)
    return set(of_project.values_list("pk", flat=True))


def _shared(project_pk: int) -> set[int]:
    """Runs that an open link shows."""
    links = ShareLink.objects.filter(project=project_pk, revoked_at=None, expires_at__gt=timezone.now())
    found: set[int] = set()
    for run, of_checkpoint, several in links.values_list("run_id", "checkpoint__run_id", "run_ids"):
        found.update(pk for pk in (run, of_checkpoint, *several) if pk is not None)
    return found


def _listed(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"

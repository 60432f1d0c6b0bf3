"""What somebody may clean up in a project: each offer with what it is about, how many, and exactly how many bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from studio.accounts.models import Project, User
from studio.runs import checkpoints
from studio.runs.models import SETTLED, Checkpoint, Run, State
from studio.storage import trash
from studio.storage.errors import StorageError
from studio.storage.held import Sizes, of_runs
from studio.storage.let_go import KEEP_CHECKPOINTS, Freed, carry_out
from studio.storage.sweep import free_without
from studio.storage.uses import spared
from studio.tracking.models import Media

OLD_DAYS = 30
MOST_RUNS = 5000
WHY = "by the clean-up"


@dataclass(frozen=True, slots=True)
class Offer:
    """`count` things of the runs `runs` (or entries of the trash) hold `size_bytes`; `left` runs are spared."""

    key: str
    title: str
    scope: str
    runs: tuple[int, ...] = ()
    count: int = 0
    size_bytes: int = 0
    left: int = 0
    hard: bool = True

    @property
    def mark(self) -> str:
        """Another one as soon as the offer is about something else."""
        return f"{self.count}-{self.size_bytes}-{hash(self.runs) & 0xFFFFFFFF:x}"


def offers_of(project: Project) -> list[Offer]:
    """All that hold something. About forty queries, and one look at the disk for each old checkpoint."""
    sizes, keep = of_runs(project.pk), spared(project.pk)
    found = [find(project, sizes, keep) for find in _OFFERS]
    return [offer for offer in found if offer.count]


@dataclass(frozen=True, slots=True)
class Done:
    """What a clean-up came to: `moved` runs are in the trash; of what was offered, `later_bytes` are still there."""

    freed: Freed
    moved: int = 0
    later_bytes: int = 0
    stayed: tuple[str, ...] = ()


def clean_up(*, project: Project, marks: dict[str, str], user: User) -> Done:
    """Carry out the offers of these keys; StorageError when one is no longer what its mark says."""
    if not marks:
        raise StorageError("Nothing is chosen. Tick what should go.")
    chosen = [offer for offer in offers_of(project) if offer.key in marks]
    if {offer.key: offer.mark for offer in chosen} != marks:
        raise StorageError("Something has changed since you looked. These are the numbers now.")
    freed, moved, stayed = Freed(), 0, list[str]()
    for offer in sorted(chosen, key=lambda offer: offer.key != "trash"):  # what is moved there now is not removed now
        if not offer.hard:
            moved += trash.move_runs(pks=offer.runs, user=user)
        elif offer.key == "trash":
            of_trash, stayed = trash.empty(project=project, why=WHY, user=user)
            freed += of_trash
        else:
            freed += carry_out(offer.key, offer.runs, why=WHY, by=user)
    promised = sum(offer.size_bytes for offer in chosen if offer.hard)
    return Done(freed, moved, max(promised - freed.size_bytes, 0), tuple(stayed))


def _checkpoints(project: Project, sizes: Sizes, keep: dict[int, str]) -> Offer:
    begun = Run.objects.filter(start_checkpoint=OuterRef("pk"))
    rows = Checkpoint.objects.filter(run__project=project, run__state__in=SETTLED, deleted_at=None)
    rows = rows.filter(run__deleted_at=None)  # those of the trash go with it
    rows = rows.annotate(begun=Exists(begun)).order_by("run_id", "-step", "-fence")
    going: list[Checkpoint] = []
    for _, of_run in groupby(rows.iterator(), key=lambda row: row.run_id):
        found = checkpoints.to_retire(list(of_run), KEEP_CHECKPOINTS)
        going += [row for row in found if not row.begun]  # type: ignore[attr-defined]
    runs = tuple(sorted({row.run_id for row in going}))
    return Offer(
        "checkpoints", "Checkpoints that are neither the best nor the last of their run",
        "Pinned, shared and promoted ones stay, and those that other runs began with.",
        runs, len(going), sum(row.size_bytes + row.manifest_bytes for row in going),
    )  # fmt: skip


def _working(project: Project, sizes: Sizes, keep: dict[int, str]) -> Offer:
    runs = _with(sizes, "working", _ended(project))
    size = sum(sizes[pk]["working"] for pk in runs)
    scope = "What trainers wrote down while they ran. Nothing that pages show is lost: the database has it since."
    return Offer("working", "Working files of runs that have ended", scope, runs, len(runs), size)


def _media(project: Project, sizes: Sizes, keep: dict[int, str]) -> Offer:
    old = timezone.now() - timedelta(days=OLD_DAYS)
    having = Media.objects.filter(run=OuterRef("pk"))
    found = _ended(project).filter(Exists(having), ended_at__lt=old).values_list("pk", flat=True)[:MOST_RUNS]
    runs = tuple(sorted(pk for pk in found if pk not in keep))
    size = free_without(runs)
    scope = f"Of runs that ended more than {OLD_DAYS} days ago. {_spares(len(found) - len(runs))}"
    count = Media.objects.filter(run__in=runs).count()
    return Offer("media", "Media of old runs", scope, runs, count, size, len(found) - len(runs))


def _failed(project: Project, sizes: Sizes, keep: dict[int, str]) -> Offer:
    found = _ended(project).filter(state__in=(State.FAILED, State.CANCELLED), archived_at=None)
    return _to_trash("failed", "Runs that failed or were cancelled", found, sizes, keep)


def _archived(project: Project, sizes: Sizes, keep: dict[int, str]) -> Offer:
    old = timezone.now() - timedelta(days=OLD_DAYS)
    found = _ended(project).filter(archived_at__lt=old)
    return _to_trash("archived", f"Runs in the archive for more than {OLD_DAYS} days", found, sizes, keep)


def _to_trash(key: str, title: str, found: QuerySet[Run], sizes: Sizes, keep: dict[int, str]) -> Offer:
    pks = list(found.values_list("pk", flat=True)[:MOST_RUNS])
    runs = tuple(sorted(pk for pk in pks if pk not in keep))
    size = sum(sum(sizes[pk].values()) for pk in runs if pk in sizes)
    scope = f"They go to the trash, and come back from there until it is emptied. {_spares(len(pks) - len(runs))}"
    return Offer(key, title, scope, runs, len(runs), size, len(pks) - len(runs), hard=False)


def _trash(project: Project, sizes: Sizes, keep: dict[int, str]) -> Offer:
    found = trash.old_entries(project, 0)
    runs = tuple(pk for kind, pk in found if kind == "run")
    datasets = [pk for kind, pk in found if kind == "dataset"]
    size = free_without(runs, datasets)
    size += sum(size for pk in runs for kind, size in sizes.get(pk, {}).items() if kind != "media")
    scope = "Runs, models and datasets in it, for good."
    return Offer("trash", "The trash", scope, tuple(pk for _, pk in found), len(found), size)


def _ended(project: Project) -> QuerySet[Run]:
    return Run.objects.filter(project=project, state__in=SETTLED, deleted_at=None).order_by("pk")


def _with(sizes: Sizes, kind: str, runs: QuerySet[Run]) -> tuple[int, ...]:
    return tuple(pk for pk in runs.values_list("pk", flat=True)[:MOST_RUNS] if sizes.get(pk, {}).get(kind))


def _spares(count: int) -> str:
    words = "starred, shared, in a report, or with a pinned or promoted checkpoint"
    return f"{count} more {'stays' if count == 1 else 'stay'}: {words}." if count else f"Those {words} stay."


_OFFERS: tuple[Callable[[Project, Sizes, dict[int, str]], Offer], ...] = (
    _checkpoints, _working, _media, _failed, _archived, _trash,
)  # fmt: skip

"""Checkpoints of a run: the row that commits one, which ones a resume may use, and retention."""

from __future__ import annotations

import json
import logging
import re
import shutil
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Coalesce, Now

from studio.core import objects
from studio.runs import shared_checkpoints
from studio.runs.errors import StaleState
from studio.runs.lease import is_held
from studio.runs.models import Checkpoint, Run

log = logging.getLogger(__name__)
KEEP_LAST = 3
FILE = "checkpoint.ckpt"


def folder_of(run_pk: int) -> Path:
    return settings.RUNS_DIR / str(run_pk) / "checkpoints"


def path_of(checkpoint: Checkpoint) -> Path:
    """The file of weights and state."""
    return folder_of(checkpoint.run_id) / checkpoint.name / FILE


def bring(checkpoint: Checkpoint) -> Path:
    """The file on this machine, fetched if the object store alone has it; else where it lies or would lie.

    StoreError when it cannot be had.
    """
    if objects.is_open() and checkpoint.deleted_at is None:
        return shared_checkpoints.bring(checkpoint) / FILE
    return path_of(checkpoint)


def is_there(checkpoint: Checkpoint) -> bool:
    """Whether its files are on this machine or in the object store."""
    return shared_checkpoints.is_stored(checkpoint) or path_of(checkpoint).is_file()


def is_on_its_way(checkpoint: Checkpoint) -> bool:
    """Whether the machine that wrote it has yet to send it to the object store."""
    return objects.is_open() and checkpoint.stored_at is None


def sha256_of(checkpoint: Checkpoint) -> str:
    """What the checkpoint's manifest says of its file, as hex; empty when the files are gone."""
    if shared_checkpoints.is_stored(checkpoint):
        return checkpoint.sha256
    return _digest(_manifest(checkpoint).get("files", {}).get(FILE, {}).get("sha256"))


def weights_sha256_of(checkpoint: Checkpoint) -> str:
    """Of the weights alone: equal for equal bits, whatever else is in the file. Empty when that is not known."""
    if shared_checkpoints.is_stored(checkpoint):
        return checkpoint.weights_sha256
    return _digest(_manifest(checkpoint).get("weights_sha256"))


def _manifest(checkpoint: Checkpoint) -> dict[str, Any]:
    try:
        found = json.loads(path_of(checkpoint).with_name("manifest.json").read_text(encoding="utf-8"))
        return found if isinstance(found["files"][FILE], dict) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _digest(found: Any) -> str:
    return found if isinstance(found, str) and re.fullmatch(r"[0-9a-f]{64}", found) else ""


def pin(checkpoint: Checkpoint, pinned: bool) -> None:
    """A pinned checkpoint is never retired."""
    Checkpoint.objects.filter(pk=checkpoint.pk).update(pinned=pinned)


def commit_checkpoint(run_pk: int, fence: int, event: dict[str, Any]) -> Checkpoint:
    """Insert the row of a checkpoint whose files are on disk and whose points are in the database.

    `event` is the trainer's `checkpoint` event; one that somebody asked for is pinned. Replays are harmless. StaleState
    when the attempt is superseded.
    """
    with transaction.atomic():
        if not is_held(run_pk, fence):
            raise StaleState(f"Attempt {fence} of run {run_pk} has been superseded.")
        score = event.get("score")
        best = bool(event.get("best"))
        row, made = Checkpoint.objects.get_or_create(
            run_id=run_pk,
            step=event["step"],
            fence=fence,
            defaults={
                "epoch": event.get("epoch") or 0,
                "name": event["name"],
                "manifest_sha256": event["manifest_sha256"],
                "size_bytes": event["size_bytes"],
                "manifest_bytes": manifest_bytes(run_pk, event["name"]),
                "metrics": event.get("metrics") or {},
                "score": score if isinstance(score, int | float) else None,
                "is_best": best,
                "pinned": event.get("reason") == "asked",
            },
        )
        if best:
            Checkpoint.objects.filter(run_id=run_pk, is_best=True).exclude(pk=row.pk).update(is_best=False)
            if not made and not row.is_best:
                Checkpoint.objects.filter(pk=row.pk).update(is_best=True)
        if made:
            transaction.on_commit(lambda: retire(run_pk), robust=True)
    return row


def manifest_bytes(run_pk: int, name: str) -> int:
    try:
        return (folder_of(run_pk) / name / "manifest.json").stat().st_size
    except OSError:
        return 0


def resume_list(run_pk: int) -> dict[str, str]:
    """Folder names that a next attempt may load, newest first, and the sha256 of each one's manifest."""
    rows = Checkpoint.objects.filter(run_id=run_pk).usable().order_by("-step", "-fence")
    return dict(rows.values_list("name", "manifest_sha256"))


def to_resume(run_pk: int) -> list[Checkpoint]:
    """The rows of `resume_list`."""
    return list(Checkpoint.objects.filter(run_id=run_pk).usable().order_by("-step", "-fence"))


def retire(run_pk: int, keep: int = KEEP_LAST) -> int:
    """Remove what `to_retire` names. Returns how many."""
    return let_go(run_pk, keep)[0]


def let_go(run_pk: int, keep: int = KEEP_LAST) -> tuple[int, int]:
    """Remove what `to_retire` names: (how many, bytes that the disk got back).

    The row goes first, then the folder's name, then its bytes: a crash between leaves at most a folder of no use. One
    that was pinned or became the best since it was looked at stays.
    """
    rows = Checkpoint.objects.filter(run_id=run_pk, deleted_at__isnull=True).order_by("-step", "-fence")
    unasked = Checkpoint.objects.filter(deleted_at__isnull=True, pinned=False, is_promoted=False)
    # No join: PostgreSQL then looks at the row itself again when somebody has promoted or pinned it meanwhile.
    spared = unasked.filter(~Exists(Run.objects.filter(start_checkpoint=OuterRef("pk"))))
    # Part of one that was never sent whole may be in the store, of a machine that was lost: `remove_due` looks.
    due = {"stored_at": Coalesce("stored_at", Now())} if objects.is_open() else {}
    gone = []
    for row in to_retire(list(rows), keep):
        found = spared.filter(pk=row.pk) if row.superseded else spared.filter(pk=row.pk, is_best=False)
        if found.update(deleted_at=Now(), is_best=False, **due):
            gone.append(row)
    freed = sum(remove_folder(folder_of(run_pk) / row.name) for row in gone)
    if objects.is_open():  # what was here was a copy; `remove_due` comes for the objects
        freed = sum(row.size_bytes + row.manifest_bytes for row in gone if row.stored_at is not None)
    return len(gone), freed


def to_retire(rows: list[Checkpoint], keep: int = KEEP_LAST) -> list[Checkpoint]:
    """Of a run's living checkpoints, the newest first: all but the last `keep` whose files are there, the best, the
    pinned and the promoted. Those that other runs began with are for the caller to spare. With an object store the newest
    that it has stays: the machine that has newer ones may be lost.
    """
    usable = [c for c in rows if not c.superseded]
    # Files that somebody removed by hand are nothing to resume from: what is kept must not be them.
    old = [c for c in usable if is_there(c)][keep:]
    stored = next((c for c in usable if shared_checkpoints.is_stored(c)), None)
    found = [c for c in old if not c.is_best and c != stored] + [c for c in rows if c.superseded]
    return [c for c in found if not (c.pinned or c.is_promoted)]


def remove_folder(folder: Path) -> int:
    """Rename it out of the way, so that nobody takes half of it for a checkpoint, then delete it; bytes freed."""
    trash = folder.with_name(f".trash-{folder.name}")
    try:
        folder.rename(trash)
    except FileNotFoundError:
        return 0
    except OSError as error:
        log.warning("%s cannot be removed: %s", folder, error)
        return 0
    statuses = [path.lstat() for path in trash.rglob("*") if not path.is_dir()]
    shutil.rmtree(trash, ignore_errors=True)
    return sum(status.st_size for status in statuses if status.st_nlink == 1)


def unsaved(run: Run) -> str:
    """Why checkpoints of the attempt under way cannot be written at present; empty when they can. One query."""
    if run.is_settled:
        return ""  # its reason says it
    last = run.events.filter(fence=run.fence, kind__in=("unsaved", "saved")).order_by("-pk").first()
    return last.text if last is not None and last.kind == "unsaved" else ""


def newest(run: Run) -> Checkpoint | None:
    return run.checkpoints.all().filter(superseded=False, deleted_at__isnull=True).first()

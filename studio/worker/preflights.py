"""Answers a question with a trainer of its own, bounded in time; nothing of it stays on the disk."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

from django.conf import settings

from studio.core.stores import StoreError
from studio.registry.models import DatasetVersion
from studio.registry.stored import StoredChanged
from studio.runs import checkpoints, packs, preflight
from studio.runs.models import Checkpoint, Preflight
from studio.worker.data import bring_data
from studio.worker.outcome import classify
from studio.worker.sharing import bring_files
from studio.worker.spool import write_run_dir
from studio.worker.standby import Standby

log = logging.getLogger(__name__)
POLL_S = 0.05
MOST_BYTES = 4 << 20
STORE_S = 120.0
TOO_LONG = {"check": "the first steps alone take longer", "rates": "its steps are slow"}


def answer(asked: Preflight, standby: Standby, *, stops_asked: Callable[[], int] = lambda: 0) -> None:
    """From taken to settled; given back when the worker is asked to stop."""
    folder: Path = settings.RUNS_DIR / f"preflight-{asked.pk}"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        found = _ask_trainer(asked, folder, standby, stops_asked)
        if found is None:
            preflight.give_back(asked)
            return
        if asked.kind == Preflight.Kind.EXPORT and asked.checkpoint is not None and not found.get("error"):
            packs.keep(asked.checkpoint, folder / packs.OUT, found)
        preflight.settle(asked, found)
    except (StoreError, StoredChanged) as error:
        preflight.settle(asked, None, str(error))
    except (OSError, ValueError) as error:
        log.exception("preflight %s", asked.pk)
        preflight.settle(asked, None, f"The worker could not answer: {error}.")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _order(asked: Preflight) -> dict[str, Any]:
    """What the trainer is asked; of a checkpoint, where it lies and what it must be."""
    order: dict[str, Any] = {"kind": asked.kind}
    if (checkpoint := asked.checkpoint) is not None:
        file, digest = checkpoints.bring(checkpoint), checkpoints.sha256_of(checkpoint)
        if not digest:
            raise ValueError("the files of the checkpoint are gone")
        order |= {"checkpoint": str(file), "sha256": digest, "given": asked.given}
    return order


def _start_of(asked: Preflight) -> Checkpoint | None:
    """The checkpoint that the run would begin with; its file is named as it lies on the machine that asked."""
    start = asked.spec.get("start")
    parts = PurePath(start["file"]).parts if start else ()
    if len(parts) < 4 or not parts[-4].isdecimal():
        return None
    return Checkpoint.objects.filter(run=int(parts[-4]), name=parts[-2]).first()


def _limit(stops_asked: Callable[[], int]) -> Callable[[], None]:
    """Somebody waits for the answer, so nobody waits long for a store."""
    deadline = time.monotonic() + STORE_S

    def tick() -> None:
        if stops_asked() or time.monotonic() > deadline:
            raise StoreError("The files could not be had from the object store in time. Ask again.")

    return tick


def _ask_trainer(
    asked: Preflight, folder: Path, standby: Standby, stops_asked: Callable[[], int]
) -> dict[str, Any] | None:
    """What the trainer found, or why it found nothing; None when the worker shall stop."""
    environment = {"OMP_NUM_THREADS": str(settings.TRAINER_THREADS)}
    version = DatasetVersion.objects.filter(pk=asked.known.get("dataset_version")).first()
    spec, _ = bring_data(asked.spec, version, lambda: None)
    spec = bring_files(spec, version, _start_of(asked), _limit(stops_asked), lambda words: None)
    write_run_dir(folder, json.dumps(spec), {"run": 0, "fence": 1, "checkpoints": "checkpoints", "env": environment})
    (folder / "preflight.json").write_text(json.dumps(_order(asked)), encoding="utf-8")
    trainer = standby.take()
    try:
        trainer.give(folder, environment)
        deadline = time.monotonic() + preflight.LIMIT_S
        while (code := trainer.poll()) is None:
            if stops_asked():
                return None
            if time.monotonic() > deadline:
                words = TOO_LONG.get(asked.kind, "the model is large, or this worker slow")
                return {"error": f"It did not end within {preflight.LIMIT_S:.0f} s: {words}."}
            time.sleep(POLL_S)
        path = folder / "answer.json"
        if path.is_file() and not path.is_symlink() and path.stat().st_size <= MOST_BYTES:
            found = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(found, dict):
                return found
        return {"error": classify(None, code).reason}
    finally:
        trainer.kill()
        trainer.close()

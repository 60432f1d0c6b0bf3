"""Random setups saved somewhere on their way: the run that goes on from the file ends in the bits of the unbroken one."""

from __future__ import annotations

import csv
import shutil
import tempfile
import warnings
from pathlib import Path
from random import Random
from typing import Any

import torch

import trainer_core
from tests.equality.differ import first_difference
from tests.equality.draw import TRAIN_HOOKS, Setup, draw
from tests.equality.play import MEMORY, Play, as_before
from trainer_core.callbacks import Checkpoint

PLACES = ("on_train_batch_end", "on_train_batch_end", "on_train_epoch_end", "on_validation_end")


def draw_resumed(number: int) -> Setup:
    """A setup that can be interrupted: nothing in it counts the calls of its own process."""
    setup, r = draw(number), Random(~number)
    setup["calls"], setup["events"], setup["reads"] = ["fit"], [], []
    for name in ("max_time", "fast_dev_run", "barebones", "deterministic", "detect_anomaly"):
        setup["trainer"].pop(name, None)
    every = setup["trainer"].get("val_check_interval")
    if isinstance(every, str | dict):
        del setup["trainer"]["val_check_interval"]
    setup["trainer"].setdefault("max_epochs", 3)
    setup["trainer"]["randomness"] = r.choice(["exact", "stream"])
    setup["callbacks"] = [c for c in setup["callbacks"] if c["name"] not in ("Timer", "OnExceptionCheckpoint")]
    hooks = {*TRAIN_HOOKS, "validation_step"} - {"on_train_start"}  # which a resumed run has once more
    setup["logs"] = [log for log in setup["logs"] if log["value"] != "text" and log["hook"] in hooks]
    if setup["trainer"].get("logger") is True:
        # The folder of a logger has the number of its run in it, and with it that of checkpoints.
        for one in setup["callbacks"]:
            if one["name"] == "ModelCheckpoint":
                one["dirpath"] = "own"
    setup["stop"] = {"hook": r.choice(PLACES), "at": r.choice([1, 1, 2, 3, 4, 5, 7])}
    return setup


class Saver(Checkpoint):
    """Saves once, in the nth call of a hook, and keeps the folder as it is at that moment."""

    def __init__(self, stop: dict[str, Any], folder: Path, kept: Path, story: Any) -> None:
        self.stop, self.folder, self.kept, self.story, self.calls = stop, folder, kept, story, 0
        self.lines_before = -1

    def _pass(self, hook: str, trainer: Any) -> None:
        if hook != self.stop.get("hook", PLACES[0]) or trainer.sanity_checking or self.lines_before >= 0:
            return
        self.calls += 1
        if self.calls == self.stop.get("at", 1):
            shutil.copytree(self.folder, self.kept, dirs_exist_ok=True, symlinks=True)
            trainer.save_checkpoint(self.kept / "here.resume")
            self.lines_before = len(self.story.lines)

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        self._pass("on_train_batch_end", trainer)

    def on_train_epoch_end(self, trainer: Any, *_: Any) -> None:
        self._pass("on_train_epoch_end", trainer)

    def on_validation_end(self, trainer: Any, *_: Any) -> None:
        self._pass("on_validation_end", trainer)


def resumed_difference(setup: Setup) -> tuple[str, Any, Any] | None:
    """(where, unbroken, resumed) of the first difference; None when there is none, or the run never got so far."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as outer, warnings.catch_warnings(), as_before():
        warnings.simplefilter("ignore")
        folder, kept = Path(outer, "run"), Path(outer, "kept")
        folder.mkdir()
        unbroken, saver = _play(setup, folder, kept, None)
        if saver is None or saver.lines_before < 0 or "error" in unbroken["1 fit"]:
            return None
        shutil.rmtree(folder)
        kept.rename(folder)
        rows_before = sum(len(path.read_text().splitlines()) - 1 for path in folder.rglob("*.csv"))
        resumed, _ = _play(setup, folder, kept, folder / "here.resume")
        unbroken["trace"] = _logged(unbroken["trace"][saver.lines_before :])
        resumed["trace"] = _logged(resumed["trace"])
        for one in (unbroken, resumed):
            one["rows"] = _rows(one["files"])
        if setup.get("stop", {}).get("hook", PLACES[0]) == PLACES[0]:
            # The values of that batch follow the hook: they are written by the run that wrote the file.
            for name, at in (("trace", 0), ("rows", rows_before)):
                if unbroken[name][at : at + 1] != resumed[name][at : at + 1]:
                    del unbroken[name][at : at + 1]
        for one in (unbroken, resumed):
            for call in one.values():
                if isinstance(call, dict):
                    call.pop("logged_metrics", None)
                    call.pop("progress_bar_metrics", None)
            for file in one["files"].values():
                if isinstance(file, dict):
                    del file["loops"]["fit_loop"]["epoch_loop.val_loop.batch_progress"]
        return first_difference(unbroken, resumed)


def _play(setup: Setup, folder: Path, kept: Path, ckpt_path: Path | None) -> tuple[dict[str, Any], Saver | None]:
    trainer_core.seed_everything(setup.get("number", 0) if ckpt_path is None else 999, verbose=False)
    torch.manual_seed(setup.get("number", 0) if ckpt_path is None else 998)
    play = Play(trainer_core, setup, str(folder), ckpt_path=ckpt_path)
    play.story.counts_batches = True
    saver = Saver(setup.get("stop", {}) if ckpt_path is None else {"at": 0}, folder, kept, play.story)
    play.more_callbacks.append(saver)
    return play.run(), saver


def _rows(files: dict[str, Any]) -> list[dict[str, str]]:
    """The rows of every CSV log, as a run that goes on begins another; taken out of `files`."""
    logs = [files.pop(name) for name in sorted(files) if name.endswith(".csv")]
    return [{k: v for k, v in row.items() if v} for log in logs for row in csv.DictReader(log)]


def _logged(lines: list[Any]) -> list[Any]:
    return [line for line in lines if line[0] == "logger"]

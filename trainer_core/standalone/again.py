"""Trains the run of a folder once more and compares its weights with those that it ended with."""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from trainer_core.checkpoint import io
from trainer_core.launch import OK, Attempt
from trainer_core.spec import RunSpec

EQUAL, DIFFERENT, UNKNOWN = 0, 1, 2
SPEC, EXPECTED, AGAIN = "run/spec.json", "run/expected.json", "again"
MOST_NAMED = 10


def train_again(folder: Path, given: Mapping[str, str]) -> int:
    """Train in `folder/again`, print what came of it, and return EQUAL, DIFFERENT or UNKNOWN.

    `given` are files by the names of the arguments that take them, where the folder holds none.
    """
    expected = json.loads((folder / EXPECTED).read_text(encoding="utf-8"))
    try:
        spec = _placed(RunSpec.read(folder / SPEC), folder, given)
    except FileNotFoundError as error:
        print(error)
        return UNKNOWN
    for line in _other_machine(expected):
        print(f"Note: {line}")
    place = folder / AGAIN
    shutil.rmtree(place, ignore_errors=True)
    attempt = place / "a1"
    attempt.mkdir(parents=True)
    (attempt / "spec.json").write_text(spec.to_json(), encoding="utf-8")
    (attempt / "attempt.json").write_text(json.dumps({"fence": 1}), encoding="utf-8")
    print(f"Training again ({expected['took']}) …", flush=True)
    if expected.get("threads"):
        torch.set_num_threads(int(expected["threads"]))
    os.chdir(attempt)
    code = Attempt(attempt).run()
    os.chdir(folder)
    if code != OK:
        print(f"The training did not end well; its last words are above, its files in {AGAIN}.")
        return UNKNOWN
    return _compared(folder, expected)


def _placed(spec: RunSpec, folder: Path, given: Mapping[str, str]) -> RunSpec:
    """With the places of the files on this machine; FileNotFoundError says what is missing and how to give it."""
    files = {name: Path(given.get(name, "") or folder / at) for name, at in spec.data.files.items()}
    for name, path in files.items():
        if not path.is_file():
            digest = spec.data.marks.get(name, {}).get("sha256", "")
            raise FileNotFoundError(
                f"The data of the argument {name} is not in this folder. Give the file whose sha256 is {digest}: "
                f"python3 reproduce.py --data {name}=FILE"
            )
    if spec.start is not None and not (folder / spec.start.file).is_file():
        raise FileNotFoundError(
            f"The checkpoint that the run began with is not in this folder. Put the file whose sha256 is "
            f"{spec.start.sha256} at {spec.start.file}."
        )
    data = replace(spec.data, files={name: str(path.resolve()) for name, path in files.items()})
    start = spec.start and replace(spec.start, file=str((folder / spec.start.file).resolve()))
    return replace(spec, data=data, start=start)


def _other_machine(expected: Mapping[str, Any]) -> list[str]:
    """Why bits may differ although nothing is wrong."""
    then, now = expected.get("python", ""), platform.python_version()
    found = [f"the run used Python {then}, this is {now}."] if then and then != now else []
    if differs := _other_torch(str(expected.get("torch") or ""), torch.__version__):
        found.append(differs)
    simd, here = expected.get("simd"), torch.backends.cpu.get_cpu_capability()
    if simd and simd != here:
        found.append(f"the run's processor computed with {simd}, this one does with {here}: last bits may differ.")
    device = str(expected.get("device") or "")
    if device.startswith("cuda") and not torch.cuda.is_available():
        found.append("the run used a GPU, and there is none here: its bits can hardly come out the same.")
    return found


def _other_torch(then: str, now: str) -> str:
    """What differs between two versions of torch, in words; empty for the same one."""
    if not then or then == now:
        return ""
    if then.partition("+")[0] != now.partition("+")[0]:
        return f"the run used torch {then}, this is {now}: another version may compute something else."
    return f"the run used torch {then}, this is {now}: the same version in another build, whose last bits may differ."


def _compared(folder: Path, expected: Mapping[str, Any]) -> int:
    newest = max((folder / AGAIN / "checkpoints").glob("step-*"), default=None)
    if newest is None:
        print("The training saved no weights.")
        return UNKNOWN
    found = json.loads((newest / io.MANIFEST).read_text(encoding="utf-8"))
    wanted = expected.get("weights_sha256")
    if not wanted:
        print(
            f"Trained again; the weights are in {AGAIN}. What the run ended with is not known, so nothing is compared."
        )
        return UNKNOWN
    if found["weights_sha256"] == wanted:
        print(f"bit-equal: the weights after {found['step']} steps are those of the run.\nsha256 {wanted}")
        return EQUAL
    print(f"NOT EQUAL: after {found['step']} steps (the run had {expected['step']}) the weights differ.")
    weights = folder / str(expected.get("weights") or "-")
    if weights.is_file():
        print("\n".join(differences(io.read_file(weights)["state_dict"], io.read_file(newest)["state_dict"])))
    else:
        print("The folder was made without weights, so that it cannot be said which tensor differs.")
    return DIFFERENT


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """A line for each tensor that is not the same, in their order; at most MOST_NAMED."""
    lines = []
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name), after.get(name)
        if not isinstance(old, torch.Tensor) or not isinstance(new, torch.Tensor):
            if old is not new:
                lines.append(f"  {name} is in one of them only.")
        elif (old.shape, old.dtype) != (new.shape, new.dtype):
            lines.append(f"  {name}: {tuple(old.shape)} {old.dtype} became {tuple(new.shape)} {new.dtype}.")
        elif not torch.equal(old, new):
            apart = (old.double() - new.double()).abs()
            lines.append(
                f"  {name}: {int((apart > 0).sum())} of {old.numel()} values, by up to {float(apart.max()):.3g}."
            )
    more = len(lines) - MOST_NAMED
    return [*lines[:MOST_NAMED], *([f"  and {more} more tensors."] if more > 0 else [])]

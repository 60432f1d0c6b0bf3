"""A run as a folder that trains it again without the studio: code, choices, data, packages, the engine, one command."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string

from studio.core import blobs, objects
from studio.core.zipping import Entry
from studio.runs import checkpoints
from studio.runs.compare.layers import hosts_of
from studio.runs.engine_files import BUILDS, engine, exact_builds, requirements, script
from studio.runs.errors import RunError
from studio.runs.facts import duration_s
from studio.runs.models import Checkpoint, Run, State
from studio.runs.texts import as_yaml
from trainer_core.spec import DataRef, ModelRef, RunSpec

WEIGHTS, START = "weights/checkpoint.ckpt", "start/checkpoint.ckpt"


@dataclass(frozen=True, slots=True)
class DataFile:
    """One file that the dataset version has. Without a `path` it is only referred to, and `why` says so in words."""

    argument: str
    name: str
    sha256: str
    size_bytes: int
    path: Path | None
    why: str = ""


def data_files(run: Run) -> list[DataFile]:
    """The files of the run's data; those that lie on the server by their path are never handed out."""
    spec, version = RunSpec.from_dict(run.spec), run.dataset_version
    digests = version.blobs if version is not None else {}
    found = []
    for argument, place in spec.data.files.items():
        path, mark, why = Path(place), spec.data.marks.get(argument), ""
        if mark is not None:
            why = "It was registered by its path on the server, so it stays there."
        elif version is not None and "stored" in version.info:
            why = "It lies in a store by reference, so it stays there."
        elif objects.is_open():
            path = blobs.path_of(digests[argument]) if argument in digests else path
            if argument not in digests or not blobs.exists(digests[argument]):
                why = "It is gone from the object store."
        elif not path.is_file() or not path.resolve().is_relative_to(Path(settings.BLOBS_DIR).resolve()):
            why = "It is gone from the studio's disk."
        size = mark["size_bytes"] if mark else _size(path) if not why else version.size_bytes if version else 0
        digest = str(mark["sha256"] if mark else digests.get(argument, ""))
        name = f"data/{re.sub(r'[^A-Za-z0-9_]', '_', argument)}{path.suffix}"
        found.append(DataFile(argument, name, digest, size, None if why else path, why))
    return found


def _size(path: Path) -> int:
    """Of a blob, by its path: with an object store it need not be here."""
    return (blobs.size_of(path.name) or 0) if objects.is_open() else path.stat().st_size


def last_weights(run: Run) -> Checkpoint | None:
    """What a finished run ended with, if its files are there."""
    last = checkpoints.newest(run) if run.state == State.SUCCEEDED else None
    return last if last is not None and checkpoints.sha256_of(last) else None


def folder_name(run: Run) -> str:
    return f"run-{run.number}-" + (re.sub(r"[^A-Za-z0-9]+", "-", run.name).strip("-")[:40] or "again").lower()


def entries(run: Run, *, with_data: bool = True, with_weights: bool = True) -> Iterator[Entry]:
    """The files of the folder, in the order in which they are sent. RunError when there is nothing to train again.

    A handful of queries, all before the first file.
    """
    if run.is_external:
        raise RunError(f"{run} ran outside of the studio, which does not have its code.")
    spec, top, last = RunSpec.from_dict(run.spec), folder_name(run), last_weights(run)
    start = run.start_checkpoint
    if spec.start is not None and (start is None or not checkpoints.sha256_of(start)):
        raise RunError(f"{run} began with a checkpoint that is gone, so it cannot be trained again.")
    # A run of another project is not shown to everybody who sees this one, so neither are its weights.
    begun = start if spec.start and start and start.run.project_id == run.project_id else None
    files = data_files(run)
    given = [file for file in files if file.path is not None and with_data]
    host = hosts_of([run]).get(run.pk, {})
    versions = dict(host.get("versions") or {})
    expected = {
        "run": run.number,
        "step": last.step if last else None,
        "weights_sha256": checkpoints.weights_sha256_of(last) if last else "",
        "weights": WEIGHTS if last and with_weights else None,
        "threads": host.get("threads"),
        "device": host.get("device", ""),
        "python": versions.get("python", ""),
        "torch": versions.get("torch", ""),
        "simd": host.get("simd", ""),
        "took": _took(run),
    }
    also = ["pyarrow"] if spec.data.ref == "ParquetTable" else []
    told = {"run": run, "spec": spec, "files": files, "given": given, "last": last, "expected": expected, "host": host}
    told |= {"begun": begun, "builds": exact_builds(host)}
    texts = {
        "README.md": render_to_string("runs/folder.md", told),
        "requirements.txt": requirements(host, also),
        **({BUILDS: told["builds"]} if told["builds"] else {}),
        "config.yaml": as_yaml(spec),
        "run/spec.json": portable(spec, files).to_json(),
        "run/expected.json": json.dumps(expected, indent=1, allow_nan=False),
        **readable_code("model", spec.model),
        **readable_code("data", spec.data),
    }
    return _sent(top, texts, given, last if with_weights else None, begun)


def portable(spec: RunSpec, files: list[DataFile]) -> RunSpec:
    """The specification with the folder's own places, and a digest of each file that is compared before training."""
    marks = {file.argument: {"size_bytes": file.size_bytes, "mtime_ns": 0, "sha256": file.sha256} for file in files}
    data = replace(spec.data, files={file.argument: file.name for file in files}, marks=marks)
    start = spec.start and replace(spec.start, file=START)
    return replace(spec, data=data, start=start)


def _sent(
    top: str, texts: dict[str, str], given: list[DataFile], last: Checkpoint | None, start: Checkpoint | None
) -> Iterator[Entry]:
    for name, text in texts.items():
        yield Entry(f"{top}/{name}", text)
    yield script(top, "reproduce.py")
    yield from engine(top)
    for file in given:
        assert file.path is not None
        yield Entry(f"{top}/{file.name}", blobs.bring(file.path.name) if objects.is_open() else file.path)
    if start is not None:
        yield Entry(f"{top}/{START}", checkpoints.bring(start))
    if last is not None:
        yield Entry(f"{top}/{WEIGHTS}", checkpoints.bring(last))


def readable_code(part: str, ref: ModelRef | DataRef) -> dict[str, str]:
    """Code as files, for people; what is trained is in the specification."""
    if ref.source == "project":
        return {f"code/{part}/{_inside(name)}": str(text) for name, text in json.loads(ref.code).items()}
    return {f"code/{part}.py": ref.code} if ref.source == "file" else {}


def _inside(name: str) -> str:
    return "/".join(part for part in name.split("/") if part not in ("", ".", ".."))


def _took(run: Run) -> str:
    seconds: Any = duration_s(run)
    if seconds is None:
        return "how long it takes is not known"
    return f"the run took {seconds:.0f} s" if seconds < 120 else f"the run took {seconds / 60:.0f} minutes"

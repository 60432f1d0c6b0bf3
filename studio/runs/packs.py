"""What a checkpoint is handed out as: a pack that predicts without the studio, and its weights in other formats."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.db import transaction
from django.template.loader import render_to_string

from studio.core import objects
from studio.core.zipping import CHUNK_BYTES, Entry, zipped
from studio.runs import shared_checkpoints
from studio.runs.checkpoints import manifest_bytes, path_of
from studio.runs.compare.layers import hosts_of
from studio.runs.engine_files import BUILDS, engine, exact_builds, requirements, script
from studio.runs.folder import readable_code
from studio.runs.models import Checkpoint, CheckpointFile
from studio.runs.texts import as_yaml
from trainer_core.spec import RunSpec

OUT = "out"
Kind = CheckpointFile.Kind
# What the trainer writes, see trainer_core.standalone.answers.
CKPT, SAFETENSORS, ONNX, RECIPE = "weights.ckpt", "weights.safetensors", "model.onnx", "preprocessing.json"
GONE = "the checkpoint made room for newer ones meanwhile"
SUFFIX = {Kind.PACK: "zip", Kind.SAFETENSORS: "safetensors", Kind.ONNX: "onnx"}


def keep(checkpoint: Checkpoint, out: Path, found: dict[str, Any]) -> list[CheckpointFile]:
    """Keep what a trainer wrote to `out`, and the pack of it, beside the checkpoint's own file; what was made before goes.

    ValueError for a file that is missing or none of its own, and when the checkpoint made room for newer ones meanwhile.
    """
    there = {name: out / name for name in (CKPT, SAFETENSORS, ONNX, RECIPE) if (out / name).exists()}
    for name in {*there, CKPT, SAFETENSORS, RECIPE}:
        path = out / name
        if path.is_symlink() or not path.is_file():
            raise ValueError(f"the trainer did not write {name}")
    sources = {
        Kind.PACK: (zipped(entries(checkpoint, there, found)), str(found.get("onnx_refused") or "")[:1000]),
        Kind.SAFETENSORS: (_read(there[SAFETENSORS]), ""),
    }
    if ONNX in there:
        sources[Kind.ONNX] = (_read(there[ONNX]), str(found.get("onnx") or "")[:1000])
    folder = path_of(checkpoint).parent
    placed = {kind: (*_placed(folder, chunks, SUFFIX[kind]), words) for kind, (chunks, words) in sources.items()}
    if objects.is_open():
        for kind, (sha256, _, _) in placed.items():
            shared_checkpoints.send_made(checkpoint, folder / f"{sha256}.{SUFFIX[kind]}")
    with transaction.atomic():
        if not Checkpoint.objects.select_for_update().filter(pk=checkpoint.pk, deleted_at=None).exists():
            raise ValueError(GONE)
        before = {place_of(row).name for row in checkpoint.made_files.all()}
        checkpoint.made_files.all().delete()
        rows = [
            CheckpointFile(
                project=checkpoint.run.project,
                checkpoint=checkpoint,
                kind=kind,
                sha256=sha,
                size_bytes=size,
                words=words,
            )
            for kind, (sha, size, words) in placed.items()
        ]
        made = CheckpointFile.objects.bulk_create(rows)
        size = manifest_bytes(checkpoint.run_id, checkpoint.name) + sum(row.size_bytes for row in made)
        Checkpoint.objects.filter(pk=checkpoint.pk).update(manifest_bytes=size)
    names = {place_of(row).name for row in made}
    for path in [*folder.glob(".made-*"), *(p for end in SUFFIX.values() for p in folder.glob(f"*.{end}"))]:
        if path.name not in names:
            path.unlink(missing_ok=True)
    if objects.is_open():
        shared_checkpoints.remove_made(checkpoint, sorted(before - names))
    return made


def place_of(made: CheckpointFile) -> Path:
    return path_of(made.checkpoint).with_name(f"{made.sha256}.{SUFFIX[Kind(made.kind)]}")


def bring(made: CheckpointFile) -> Path:
    """The file on this machine; StoreError when the object store alone has it and does not answer."""
    return shared_checkpoints.bring_made(made.checkpoint, place_of(made).name, made.sha256)


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _placed(folder: Path, chunks: Iterator[bytes], suffix: str) -> tuple[str, int]:
    """(sha256, bytes) of a new file of the folder, which has its digest as its name."""
    temporary, digest, size = folder / f".made-{secrets.token_hex(8)}", hashlib.sha256(), 0
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileNotFoundError as error:
        raise ValueError(GONE) from error
    try:
        with open(descriptor, "wb") as file:
            for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                file.write(chunk)
        temporary.rename(folder / f"{digest.hexdigest()}.{suffix}")
    finally:
        temporary.unlink(missing_ok=True)
    return digest.hexdigest(), size


def entries(checkpoint: Checkpoint, there: dict[str, Path], found: dict[str, Any]) -> Iterator[Entry]:
    """The files of the pack."""
    run, top = checkpoint.run, name_of(checkpoint)
    spec = RunSpec.from_dict(run.spec)
    host = hosts_of([run]).get(run.pk, {})
    recipe = json.loads(there[RECIPE].read_text(encoding="utf-8"))
    schema = recipe.get("takes", {})
    told = {
        "run": run, "checkpoint": checkpoint, "spec": spec, "found": found, "files": there, "recipe": recipe,
        "schema": schema, "example": _example(schema), "has_onnx": ONNX in there, "host": host,
        "builds": exact_builds(host),
    }  # fmt: skip
    yield Entry(f"{top}/README.md", render_to_string("runs/pack.md", told))
    yield script(top, "predict.py")
    yield Entry(f"{top}/requirements.txt", requirements(host))
    if told["builds"]:
        yield Entry(f"{top}/{BUILDS}", told["builds"])
    yield Entry(f"{top}/config.yaml", as_yaml(spec))
    for name, text in {**readable_code("model", spec.model), **readable_code("data", spec.data)}.items():
        yield Entry(f"{top}/{name}", text)
    for name, path in there.items():
        yield Entry(f"{top}/{name}", path)
    yield from engine(top)


def name_of(checkpoint: Checkpoint) -> str:
    run = checkpoint.run
    words = re.sub(r"[^A-Za-z0-9]+", "-", run.name).strip("-")[:40].lower()
    return f"{words or 'run'}-{run.number}-step-{checkpoint.step}"


def file_name(made: CheckpointFile) -> str:
    return f"{name_of(made.checkpoint)}.{SUFFIX[Kind(made.kind)]}"


def _example(schema: dict[str, Any]) -> str:
    """The arguments of predict.py for one thing that the model takes."""
    kind = schema.get("kind")
    if kind == "row":
        pairs = [f'"{c["name"]}={c.get("usual", (c.get("choices") or [""])[0])}"' for c in schema.get("columns", [])]
        return "--row " + " ".join(pairs[:4]) + (" …" if len(pairs) > 4 else "")
    return {"image": "--image FILE.png", "text": '--text "…"', "prompt": '--text "Once"'}.get(
        str(kind), "--array FILE.npy"
    )

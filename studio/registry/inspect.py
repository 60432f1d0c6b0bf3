"""The job that looks into code: a child imports it and writes down its classes; here their description becomes a version."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

from studio.registry.child import TIMEOUT_S, Ended, run_child
from studio.registry.errors import RegistryError
from studio.registry.git import fetch_commit
from studio.registry.models import DatasetVersion, ModelVersion, Version, VersionState
from studio.registry.projects import checked_project, files_of
from studio.registry.versions import begin_inspection, settle
from trainer_core.options import OptionSpec

MAX_ANSWER_BYTES = 4 << 20
MAX_REASON_CHARS = 2000
MAX_OUTPUT_CHARS = 4000
MAX_CLASSES = 200
MAX_LAYERS = 200
CODE = (Version.Source.FILE, Version.Source.PROJECT)
KEPT = (
    *(
        "doc",
        "task",
        "input",
        "hooks",
        "parameters",
        "trainable",
        "layers",
        "flops",
        "example",
        "example_error",
        "sampled",
    ),
)


def inspect_model_version(version_id: int) -> None:
    """Inspect a version that is INSPECTING; may be called again after a crash, and twice at once."""
    version = begin_inspection(ModelVersion, version_id)
    if version is not None:
        inspect_code(version)


def inspect_code(version: ModelVersion | DatasetVersion, *, timeout_s: float = TIMEOUT_S) -> None:
    """READY with parameters, CHOOSING between several classes, or REJECTED with reason, line and hint."""
    try:
        _fetch(version)
    except RegistryError as refused:
        _reject(version, refused.text)
        return
    with tempfile.TemporaryDirectory(prefix="studio-inspection-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        ended = run_child(
            "trainer_core.describe",
            _order(version, folder),
            str(folder / "answer.json"),
            folder=folder,
            timeout_s=timeout_s,
        )
        answer = _answer(folder / "answer.json")
    if answer is None:
        _reject(version, _why_no_answer(ended, timeout_s), output=ended.output)
    elif error := answer.get("error"):
        reason = f"{error['type']}: {error['message']}" if error["type"] != "NothingFound" else error["message"]
        where = {"line": error.get("line"), "file": error.get("file")}
        _reject(version, reason, where=where, hint=error.get("hint") or "", output=ended.output)
    else:
        _accept(version, answer["classes"], ended.output)


def _fetch(version: ModelVersion | DatasetVersion) -> None:
    """The code of a version that names a repository; noted at once, so that it is fetched once."""
    git = version.info.get("git")
    if not git or version.code:
        return
    fetched = fetch_commit(git["url"], git["revision"])
    version.code, left_out = checked_project(fetched.files, left_out=fetched.left_out)
    version.sha256 = hashlib.sha256(version.code.encode()).hexdigest()
    version.info = {**version.info, "git": {**git, "commit": fetched.commit}, "left_out": left_out}
    version.save(update_fields=["code", "sha256", "info"])


def _order(version: ModelVersion | DatasetVersion, folder: Path) -> str:
    """Write the order of `trainer_core.describe`; the code lies in a folder of its own, so that it shadows no module."""
    order: dict[str, Any] = {
        "source": version.source,
        "wants": "model" if isinstance(version, ModelVersion) else "data",
    }
    if version.source == Version.Source.FILE:
        path = folder / "code" / "user_code.py"
        path.parent.mkdir()
        path.write_text(version.code, encoding="utf-8")
        order |= {"path": str(path), "class": version.ref}
    elif version.source == Version.Source.PROJECT:
        for name, text in files_of(version.code).items():
            path = folder / "code" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        order |= {"path": str(folder / "code"), "class": version.ref}
    else:
        order["ref"] = version.ref
    (folder / "order.json").write_text(json.dumps(order), encoding="utf-8")
    return str(folder / "order.json")


def _answer(path: Path) -> dict[str, Any] | None:
    """What the child wrote, if it has the shape that is expected: the code that ran there could have written it too."""
    try:
        if path.is_symlink() or path.stat().st_size > MAX_ANSWER_BYTES:
            return None
        answer = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(answer, dict):
        return None
    error = answer.get("error")
    if isinstance(error, dict) and isinstance(error.get("type"), str) and isinstance(error.get("message"), str):
        return {"error": error}
    classes = answer.get("classes")
    if not isinstance(classes, list) or not 0 < len(classes) <= MAX_CLASSES:
        return None
    try:
        return {"classes": [_checked_class(c) for c in classes]}
    except (KeyError, TypeError, ValueError):
        return None


def _checked_class(found: dict[str, Any]) -> dict[str, Any]:
    """One description with parameters that are options; KeyError, TypeError or ValueError otherwise."""
    specs = [OptionSpec.from_dict(p) for p in found["params"]]
    if not (isinstance(found["name"], str) and isinstance(found["doc"], str) and len(found["name"]) <= 200):
        raise ValueError("name and doc are text")
    for spec in specs:
        words = (spec.name, spec.help, spec.group, spec.label, spec.unit)
        if not all(isinstance(w, str) for w in words):
            raise ValueError(f"{spec.name} is no option")
        spec.allowed()  # fails for a kind that does not exist and for bounds that are no numbers
    return {**found, "params": [spec.to_dict() for spec in specs], **_checked_layers(found)}


def _checked_layers(found: dict[str, Any]) -> dict[str, Any]:
    """The table of layers, each row as [name, class, weights, FLOPs or None, size in, size out]."""
    rows = found.get("layers") or []
    for row in rows:
        name, kind, count, flops, *sizes = row
        if not (all(isinstance(w, str) for w in (name, kind, *sizes)) and len(sizes) == 2 and isinstance(count, int)):
            raise ValueError("a layer is a row of words and numbers")
        if not (flops is None or isinstance(flops, int)):
            raise ValueError("FLOPs are a number")
    numbers = [found.get(k) for k in ("parameters", "trainable", "flops")]
    if not all(n is None or isinstance(n, int) for n in numbers) or not isinstance(found.get("sampled", {}), dict):
        raise ValueError("weights and FLOPs are numbers")
    return {"layers": rows[:MAX_LAYERS]} if rows else {}


def _why_no_answer(ended: Ended, timeout_s: float) -> str:
    if ended.timed_out:
        return (
            f"Reading it did not end within {timeout_s:.0f} s. Code that trains, downloads or waits does not belong at "
            "the top of a file: put it into a method, or under `if __name__ == '__main__':`."
        )
    if ended.code in (-9, -24):
        return "Reading it was stopped by the system: it used too much memory or processor time."
    if ended.code < 0:
        return f"Reading it crashed the process (signal {-ended.code})."
    if "MemoryError" in ended.output:
        return "Reading it took more memory than is allowed. Build large things in `setup` or `configure_model`."
    return (
        "The code ended the process while it was read. Remove `os._exit`, or put it under `if __name__ == '__main__':`."
    )


def _accept(version: ModelVersion | DatasetVersion, classes: list[dict[str, Any]], output: str) -> None:
    wanted = version.ref if version.source in CODE else ""
    names = ", ".join(c["name"] for c in classes)
    if wanted:
        classes = [c for c in classes if c["name"] == wanted]
        if not classes:
            _reject(version, f"There is no class {wanted} of the right kind in it; there is {names}.", output=output)
            return
    if len(classes) > 1:
        listed = [{"name": c["name"], "line": c.get("line"), "doc": c["doc"]} for c in classes]
        settle(version, VersionState.CHOOSING, info={**_kept(version), "classes": listed})
        return
    found, needed = classes[0], "training_step" if isinstance(version, ModelVersion) else "train_dataloader"
    if needed not in found.get("hooks", []):
        reason = f"{found['name']} has no {needed}, so it cannot be trained."
        hint = "Write one, or choose another class."
        _reject(version, reason, where=_place(found), hint=hint, output=output)
        return
    objects = [p["name"] for p in found["params"] if p.get("kind") == "object" and p.get("required")]
    if objects:
        reason = f"{found['name']} needs {', '.join(objects)} as an object, which no form can give."
        hint = "Give it a default, or build the object inside of the class from numbers and words."
        _reject(version, reason, where=_place(found), hint=hint, output=output)
        return
    info = {k: found[k] for k in KEPT if found.get(k) is not None}
    ref = version.ref if version.source == Version.Source.PACKAGE else found["name"]
    settle(version, VersionState.READY, ref=ref, params=found["params"], info={**_kept(version), **info}, reason="")


def _reject(
    version: ModelVersion | DatasetVersion,
    reason: str,
    *,
    where: dict[str, Any] | None = None,
    hint: str = "",
    output: str = "",
) -> None:
    line, file = (where or {}).get("line"), (where or {}).get("file")
    info = {
        **_kept(version),
        "line": line if isinstance(line, int) else None,
        "file": file[:200] if isinstance(file, str) else "",
        "hint": str(hint)[:MAX_REASON_CHARS],
        "output": output[-MAX_OUTPUT_CHARS:],
    }
    settle(version, VersionState.REJECTED, reason=reason[:MAX_REASON_CHARS], info=info)


def _place(found: dict[str, Any]) -> dict[str, Any]:
    """File (of a project) and line where a class is defined."""
    name = str(found.get("name", ""))
    return {"line": found.get("line"), "file": name.rpartition(":")[0]}


def _kept(version: ModelVersion | DatasetVersion) -> dict[str, Any]:
    """What of `info` an inspection does not replace."""
    return {k: v for k, v in version.info.items() if k in ("filename", "wanted", "left_out", "git")}

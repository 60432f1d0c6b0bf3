"""From the references of a specification to a model and its data."""

from __future__ import annotations

import hashlib
import importlib
import inspect
from pathlib import Path
from typing import Any

from trainer_core.compat import lightning
from trainer_core.describe import classes_in, load_file
from trainer_core.errors import DataChangedError, MisconfigurationException, SpecError
from trainer_core.projects import load_named, write_project
from trainer_core.spec import DataRef, ModelRef
from trainer_core.zoo.facts import Facts


def class_of(ref: ModelRef | DataRef, wants: str, folder: Path) -> type:
    """The class that a reference names; user code is written to `folder` and imported from there.

    Of a plain network, or a function that makes one, it is the class that trains it.
    """
    if ref.source == "zoo":
        from trainer_core import zoo

        return getattr(zoo, ref.ref)
    lightning.install()
    if ref.source == "package":
        name, _, attribute = ref.ref.partition(":")
        return _trainable(getattr(importlib.import_module(name), attribute), wants)
    if ref.source == "project":
        project = folder / f"project-{ref.sha256[:16]}"
        write_project(ref.code, project)
        return _trainable(load_named(project, ref.ref), wants)
    path = folder / f"user_{wants}.py"
    if not path.exists() or path.read_text(encoding="utf-8") != ref.code:  # Other processes of the run may read it now.
        path.write_text(ref.code, encoding="utf-8")
    module = load_file(path, f"user_{wants}")
    found = _trainable(getattr(module, ref.ref, None), wants)
    if not inspect.isclass(found):
        names = ", ".join(c.__name__ for c in classes_in(module, wants)) or "none"
        raise SpecError(f"The code has no class {ref.ref}; it has {names}.")
    return found


def _trainable(found: Any, wants: str) -> Any:
    from trainer_core.networks.offered import as_module

    return (as_module(found) or found) if wants == "model" else found


def data(ref: DataRef, folder: Path) -> Any:
    """The datamodule, not set up yet; DataChangedError for a file that is not what was registered."""
    check_unchanged(ref)
    cls = class_of(ref, "data", folder)
    return _make(cls, {**ref.args, **ref.files}, "dataset")


def check_unchanged(ref: DataRef) -> None:
    """DataChangedError if a marked file is gone or another; it is read only when its size or time is not the marked one."""
    for name, mark in ref.marks.items():
        path = Path(ref.files[name])
        try:
            found = path.stat()
            if (found.st_size, found.st_mtime_ns) == (mark["size_bytes"], mark["mtime_ns"]):
                continue
            is_same = found.st_size == mark["size_bytes"] and _sha256(path) == mark["sha256"]
        except OSError as error:
            raise DataChangedError(f"{path} is gone, or cannot be read any more: {error.strerror}.") from error
        if not is_same:
            raise DataChangedError(f"{path} has changed since it was registered.")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def model(ref: ModelRef, datamodule: Any, folder: Path) -> Any:
    """The module; required arguments that the data knows (num_features, num_classes, …) are filled in.

    So are those of a plain network that were left to the data.
    """
    cls = class_of(ref, "model", folder)
    parameters = inspect.signature(cls).parameters.values()
    missing = [
        p.name
        for p in parameters
        if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name not in ref.args
    ]
    missing += [name for name in getattr(cls, "from_data", ()) if ref.args.get(name) is None]
    args = dict(ref.args)
    if missing:
        datamodule.prepare_data()
        datamodule.setup("fit")
        facts = getattr(datamodule, "facts", None)
        known = facts.named() if isinstance(facts, Facts) else {}
        args.update({name: known[name] for name in missing if name in known})
    return _make(cls, args, "model")


def _make(cls: type, args: dict[str, Any], word: str) -> Any:
    try:
        inspect.signature(cls).bind(**args)
    except TypeError as error:
        raise MisconfigurationException(f"The {word} {cls.__name__} cannot be made: {error}.") from error
    return cls(**args)

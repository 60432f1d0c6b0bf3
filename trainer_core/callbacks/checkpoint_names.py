"""Names of checkpoint files: templates such as `{epoch}-{val_loss:.2f}`, names that are still free, second names."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from trainer_core.trainer import Trainer

_FIELD = re.compile(r"(\{.*?)[:\}]")


def format_name(
    template: str | None,
    metrics: dict[str, Any],
    *,
    prefix: str = "",
    join: str = "-",
    equals: str = "=",
    insert_names: bool = True,
) -> str:
    """Fill the template; metrics that are missing read 0.

    With `insert_names`, `{epoch}` becomes `epoch=3`, and `{a/b}` becomes `a/b=…`, that is a sub-folder.
    """
    filename = template or f"{{epoch}}{join}{{step}}"
    values = dict(metrics)
    for group in sorted(set(_FIELD.findall(filename)), key=len, reverse=True):
        name = group[1:]
        if insert_names:
            filename = filename.replace(group, f"{name}{equals}{{{name}")
        # A metric's name may hold characters that a format field may not, so each is looked up by key.
        filename = filename.replace(f"{{{name}", f"{{0[{name}]")
        values.setdefault(name, 0)
    plain = {k: v.item() if isinstance(v, Tensor) and v.numel() == 1 else v for k, v in values.items()}
    filename = filename.format(plain)
    return f"{prefix}{join}{filename}" if prefix else filename


def free_path(path: str, start: int, *, keep: str, join: str) -> str:
    """`path`, or `path` with `-v1`, `-v2` … when a file is there already; `keep` is about to be replaced anyway."""
    stem, extension = os.path.splitext(path)
    version = start
    while os.path.lexists(path) and path != keep:
        path = f"{stem}{join}v{version}{extension}"
        version += 1
    return path


def copy_or_link(source: str, target: str, *, link: bool) -> None:
    """Replace `target` by a copy of (or a relative link to) `source`, in one rename."""
    temporary = os.path.join(os.path.dirname(target), f".tmp-{os.getpid()}-{os.path.basename(target)}")
    if os.path.lexists(temporary):
        os.remove(temporary)
    if link:
        os.symlink(os.path.relpath(source, os.path.dirname(target)), temporary)
    else:
        shutil.copy(source, temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
    if os.path.isdir(target) and not os.path.islink(target):
        shutil.rmtree(target)
    os.replace(temporary, target)


def default_folder(trainer: Trainer) -> str:
    """Below the first logger's version, or the trainer's own folder."""
    if not trainer.loggers:
        return os.path.join(trainer.default_root_dir, "checkpoints")
    first = trainer.loggers[0]
    root = first.save_dir if first.save_dir is not None else trainer.default_root_dir
    version = first.version if isinstance(first.version, str) else f"version_{first.version}"
    return os.path.join(root, str(first.name), version, "checkpoints")

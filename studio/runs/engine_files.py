"""The engine and its packages as files, for what leaves the studio: it then needs nothing of the studio's own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from studio.core.zipping import Entry
from trainer_core import spec as contract

ENGINE = Path(contract.__file__).parent
NEEDED = ("torch", "numpy", "pillow", "PyYAML")
LEFT_OUT = ("__pycache__",)
BUILDS = "requirements-build.txt"
# Where torch's authors publish the builds that their versions name behind a +, such as 2.13.0+cpu.
BUILDS_AT = "https://download.pytorch.org/whl"
BUILD = re.compile(r"cpu|cu\d+|rocm[\d.]+|xpu")


def engine(folder: str) -> Iterator[Entry]:
    """The source of the engine below `folder` of a zip."""
    for path in sorted(ENGINE.rglob("*")):
        if path.is_file() and path.suffix != ".pyc" and not set(path.parts) & {*LEFT_OUT}:
            yield Entry(f"{folder}/trainer_core/{path.relative_to(ENGINE).as_posix()}", path)


def script(folder: str, name: str) -> Entry:
    """A program of `trainer_core.standalone` where people find it first."""
    return Entry(f"{folder}/{name}", ENGINE / "standalone" / name)


def requirements(host: Mapping[str, Any], also: Iterable[str] = ()) -> str:
    """Lines for pip: the versions that a run told, and what the engine needs besides, as it is installed here.

    What follows a + in a version (`2.13.0+cpu`) names a build of other indexes than the public one, and is left out: any
    build of that version will do for these lines, and `exact_builds` has the very ones.
    """
    told = {str(name): str(version) for name, version in dict(host.get("versions") or {}).items() if name != "python"}
    lower = {name.lower() for name in told}
    for name in (*NEEDED, *also):
        if name.lower() not in lower:
            told[name] = _installed(name)
    lines = [f"{name}=={version.partition('+')[0]}" if version else name for name, version in told.items()]
    return "\n".join(sorted(lines, key=str.lower)) + "\n"


def exact_builds(host: Mapping[str, Any]) -> str:
    """Lines for pip, to be tried first: the builds that a run had where its versions name them, and the index of those.

    Empty when it had none, or builds that nobody publishes.
    """
    told = {str(name): str(version) for name, version in dict(host.get("versions") or {}).items()}
    build = told.get("torch", "").partition("+")[2]
    if not BUILD.fullmatch(build):
        return ""
    lines = [f"{name}=={version}" for name, version in told.items() if version.partition("+")[2] == build]
    return "\n".join([f"--extra-index-url {BUILDS_AT}/{build}", *sorted(lines, key=str.lower)]) + "\n"


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""

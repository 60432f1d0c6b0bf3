"""`python -m trainer_core.train`: a run by itself, from flags or a specification, as the studio's workers execute it.

    python -m trainer_core.train --model zoo:TabularMLP --model.width 64 --data zoo:Wine --trainer.max_epochs 20 --seed 7
    python -m trainer_core.train run.yaml            # or - for what comes in by the pipe; flags win over the file
    python -m trainer_core.train run.yaml --folder results/first --trainer.max_epochs 30

A value is read as JSON, and as text where it is none: `8` is a number, `5%` a text, `"8"` a text too. `file:Class` takes
its code from `--model-code PATH`. Without a seed one is drawn. `train(spec)` is the same from Python.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from trainer_core.errors import SpecError
from trainer_core.options import RUN_EXTRAS, TRAINER_OPTIONS, parse_all
from trainer_core.spec import RunSpec

PARTS = ("model", "data", "trainer", "extras")
SOURCES = ("zoo", "file", "package")
MOST_BYTES = 16 << 20


def train(spec: RunSpec, folder: str | Path | None = None) -> int:
    """Execute the run in `folder` (`runs/<hash>` by default), which gets its checkpoints, log and metrics.

    Variables in the places of files, such as $STUDIO_DATA_DIR, are filled in. The same folder again goes on from its newest checkpoint. 0 when it succeeded, 3 when it was stopped, else 1.
    """
    from trainer_core import launch

    files = {name: os.path.expandvars(path) for name, path in spec.data.files.items()}
    start = spec.start and replace(spec.start, file=os.path.expandvars(spec.start.file))
    spec = replace(spec, data=replace(spec.data, files=files), start=start)
    root = Path(folder) if folder is not None else Path("runs") / spec.hash[:12]
    fence = 1 + sum(1 for _ in root.glob("a*")) if root.is_dir() else 1
    attempt = (root / f"a{fence}").resolve()
    attempt.mkdir(parents=True)
    kept = sorted((p.name for p in (root / "checkpoints").glob("step-*")), reverse=True)
    order: dict[str, Any] = {
        "run": 0,
        "fence": fence,
        "resume": kept or None,
        "checkpoints": "../checkpoints",
        "env": {},
    }
    (attempt / "spec.json").write_text(spec.to_json(), encoding="utf-8")
    (attempt / "attempt.json").write_text(json.dumps(order), encoding="utf-8")
    before = Path.cwd()
    try:
        code = launch.execute(attempt)
    finally:
        os.chdir(before)
    newest = max((root / "checkpoints").glob("step-*"), default=None)
    if newest is not None:
        print(f"Newest checkpoint: {newest / 'checkpoint.ckpt'}")
    return code


def spec_from(arguments: Sequence[str]) -> tuple[RunSpec, str | None]:
    """(the run that a command line describes, where it shall be written); SpecError says what is wrong and allowed."""
    data: dict[str, Any] = {"model": {}, "data": {}, "trainer": {}, "extras": {}}
    folder, rest = None, list(arguments)
    if rest and (rest[0] == "-" or not rest[0].startswith("-")):
        data = _merged(data, _read(rest.pop(0)))
    while rest:
        name = rest.pop(0)
        name, has_value, value = name.partition("=")
        if not name.startswith("--"):
            raise SpecError(f"{name!r} stands alone; allowed are flags such as --trainer.max_epochs 3.")
        if not has_value:
            if not rest:
                raise SpecError(f"{name} has no value.")
            value = rest.pop(0)
        if name == "--folder":
            folder = value
        else:
            _take(data, name[2:], value)
    return _spec(data), folder


def _take(data: dict[str, Any], name: str, value: str) -> None:
    part, _, option = name.partition(".")
    if option and part in ("trainer", "extras"):
        data[part][option] = _value(value)
    elif option and part in ("model", "data"):
        data[part].setdefault("args", {})[option] = _value(value)
    elif option and part == "files":
        data["data"].setdefault("files", {})[option] = value
    elif name in ("model", "data"):
        source, _, ref = value.partition(":")
        if source not in SOURCES or not ref:
            raise SpecError(f"--{name}: got {value!r}, allowed is {', '.join(f'{s}:…' for s in SOURCES)}.")
        data[name] |= {"source": source, "ref": ref}
    elif name in ("model-sha256", "data-sha256"):
        data[name[:-7]]["sha256"] = value
    elif name in ("model-code", "data-code"):
        data[name[:-5]]["code"] = Path(value).read_text(encoding="utf-8")
    elif name in ("start", "start-mode", "start-sha256"):
        key = {"start": "file", "start-mode": "mode", "start-sha256": "sha256"}[name]
        data.setdefault("start", {})[key] = value
    elif name == "seed":
        data["seed"] = _value(value)
    else:
        raise SpecError(
            f"--{name} is no flag; allowed are --model, --data, --seed, --start, --folder, --trainer.… and so on."
        )


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _read(path: str) -> dict[str, Any]:
    import yaml

    try:
        text = sys.stdin.read(MOST_BYTES) if path == "-" else Path(path).read_text(encoding="utf-8")
        found = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SpecError(f"{path} is no readable specification: {error}.") from error
    if not isinstance(found, dict):
        raise SpecError(f"{path} is no specification: it has to be a mapping with model, data, trainer, extras, seed.")
    for part in ("model", "data"):  # `ref: zoo:Wine`, as the studio shows it
        given = found.get(part)
        if isinstance(given, dict) and "source" not in given and ":" in str(given.get("ref")):
            source, _, ref = str(given["ref"]).partition(":")
            found[part] = {**given, "source": source, "ref": ref}
    return found


def _merged(base: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    return {**base, **{k: v for k, v in found.items() if v is not None}}


def _spec(data: dict[str, Any]) -> RunSpec:
    for part in ("model", "data"):
        if not data[part].get("ref"):
            raise SpecError(f"--{part} is missing, such as --{part} zoo:{'TabularMLP' if part == 'model' else 'Wine'}.")
    errors: dict[str, str] = {}
    for part, options in (("trainer", TRAINER_OPTIONS), ("extras", RUN_EXTRAS)):
        data[part], wrong = parse_all(options, data[part])
        errors |= wrong
    if errors:
        raise SpecError(" ".join(errors.values()))
    if data.get("start"):
        data["start"] = {"mode": "weights", **data["start"]}
        if not data["start"].get("sha256"):
            from trainer_core.checkpoint.io import sha256_of

            data["start"]["sha256"] = sha256_of(data["start"]["file"])
    data.setdefault("seed", secrets.randbelow(2**31))
    return RunSpec.from_dict(data)


def main(arguments: Sequence[str]) -> int:
    if not arguments or "--help" in arguments or "-h" in arguments:
        print(__doc__)
        return 0 if arguments else 2
    try:
        spec, folder = spec_from(arguments)
    except (SpecError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"Run {spec.hash[:12]}, seed {spec.seed}")
    return train(spec, folder)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # threads of user code must not keep a finished run alive

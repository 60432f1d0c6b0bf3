"""What several runs were made of, by layer, beside each other: data, choices, code, packages, hardware, seed."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from studio.registry.projects import files_of
from studio.runs import columns, diff
from studio.runs.models import Attempt, Run

Layer = Literal["data", "config", "code", "packages", "hardware", "seed"]
TITLES: dict[Layer, str] = {
    "data": "Data", "config": "Choices", "code": "Code", "packages": "Packages", "hardware": "Hardware", "seed": "Seed",
}  # fmt: skip
MISSING = "–"
MOST_DIFF_LINES, MOST_CODES, MOST_FILES = 400, 10, 20


@dataclass(frozen=True, slots=True)
class Row:
    """One fact of all runs, in their order."""

    layer: Layer
    name: str
    values: tuple[str, ...]

    @property
    def differs(self) -> bool:
        return len(set(self.values)) > 1

    @property
    def cells(self) -> list[tuple[str, bool]]:
        """Each value, and whether it is another than the first run's."""
        return [(value, value != self.values[0]) for value in self.values]


@dataclass(frozen=True, slots=True)
class CodeChange:
    """Lines of a unified difference of some run's code from the first one's; the sign of each is its first letter."""

    title: str
    lines: tuple[tuple[str, str], ...]  # (added, removed, place or same; the text)
    is_cut: bool


def rows_of(runs: Sequence[Run]) -> list[Row]:
    """Every fact that some run has; two queries. Runs need their versions selected."""
    hosts = hosts_of(runs)
    facts = [_facts(run, hosts.get(run.pk, {})) for run in runs]
    telling = [some for some in facts if any(layer == "packages" for layer, _ in some)]
    names = dict.fromkeys(key for some in facts for key in some)
    # A package that one run did not import, or did not tell of, is no difference between packages; nor is what only newer
    # trainers tell of their processor.
    partly = {key for key in names if key[0] == "packages" or key == ("hardware", "simd")}
    names = dict.fromkeys(key for key in names if key not in partly or all(key in some for some in telling))
    found = [Row(layer, name, tuple(some.get((layer, name), MISSING) for some in facts)) for layer, name in names]
    order = list(TITLES)
    return sorted(found, key=lambda row: order.index(row.layer))


def hosts_of(runs: Sequence[Run]) -> dict[int, dict[str, Any]]:
    """Of each run's newest attempt that began to train: what it told of its machine. One query."""
    found: dict[int, dict[str, Any]] = {}
    rows = Attempt.objects.filter(run__in=[run.pk for run in runs]).order_by("run_id", "fence")
    for pk, host in rows.values_list("run_id", "host"):
        if host:
            found[pk] = host
    return found


def code_changes(runs: Sequence[Run]) -> list[CodeChange]:
    """From the first run's code to every other code there is, of models and of datasets: each file that differs."""
    found: list[CodeChange] = []
    for part, title in (("model", "model"), ("data", "dataset")):
        codes: dict[str, list[Run]] = {}
        for run in runs:
            codes.setdefault(str(run.spec.get(part, {}).get("code", "")), []).append(run)
        first, *others = codes.values()
        old = _files(first[0].spec, part)
        for some in others[:MOST_CODES]:
            new = _files(some[0].spec, part)
            if len(old) == len(new) == 1:  # one file under another name is the same file
                new = dict(zip(old, new.values(), strict=True))
            numbers = ", ".join(f"#{run.number}" for run in some)
            names = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
            found += [
                _change(_titled(title, name, f"#{first[0].number} → {numbers}"), old.get(name, ""), new.get(name, ""))
                for name in names[:MOST_FILES]
            ]
            if len(names) > MOST_FILES:
                found.append(
                    CodeChange(
                        f"{len(names) - MOST_FILES} more files differ, #{first[0].number} → {numbers}", (), False
                    )
                )
    return found


def _titled(part: str, file: str, between: str) -> str:
    return f"Code of the {part}{', ' if file else ''}{file}, {between}"


def _files(spec: Mapping[str, Any], part: str) -> dict[str, str]:
    """The code by its files; one without a name where it is no project."""
    code = str(spec.get(part, {}).get("code", ""))
    if spec.get(part, {}).get("source") == "project":
        with contextlib.suppress(ValueError):
            return files_of(code)
    return {"": code} if code else {}


def _change(title: str, before: str, after: str) -> CodeChange:
    kinds = {"+": "added", "-": "removed", "@": "place"}
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=3))[2:]
    shown = tuple((kinds.get(line[:1], "same"), line) for line in lines[:MOST_DIFF_LINES])
    return CodeChange(title, shown, len(lines) > MOST_DIFF_LINES)


def _facts(run: Run, host: Mapping[str, Any]) -> dict[tuple[Layer, str], str]:
    found: dict[tuple[Layer, str], str] = {}
    spec = run.spec
    found["data", "dataset"] = str(run.dataset_version or MISSING)
    found["data", "sha256 of the data"] = str(spec.get("data", {}).get("sha256") or MISSING)[:12]
    for name, value in columns.choices(run).items():
        if name == "seed":
            found["seed", "seed"] = diff.show(value)
        elif name == "data" or name.startswith("data."):
            found["data", name] = diff.show(value)
        elif name != "model":
            found["config", name] = diff.show(value)
    found["code", "model"] = str(run.model_version or "logged from outside")
    found["code", "sha256 of the model"] = str(spec.get("model", {}).get("sha256") or MISSING)[:12]
    if code := spec.get("model", {}).get("code"):
        files = _files(spec, "model")
        lines = sum(len(text.splitlines()) for text in files.values())
        many = f" in {len(files)} files" if len(files) > 1 else ""
        found["code", "lines"] = f"{hashlib.sha256(str(code).encode()).hexdigest()[:8]}, {lines} lines{many}"
    if program := host.get("program"):
        found["code", "program"] = str(program)
    for name in ("python", "torch"):  # of programs that log from outside
        if name in host:
            found["packages", name] = str(host[name])
    for name, version in dict(host.get("versions") or {}).items():
        found["packages", str(name)] = str(version)
    for name in ("device", "host", "hostname", "system", "cpu", "simd", "threads", "gpus", "gpu", "memory_mb"):
        if name in host:
            found["hardware", name] = diff.show(host[name])
    for name in ("trainer.precision", "trainer.devices", "trainer.accelerator"):
        if ("config", name) in found:
            found["hardware", name.partition(".")[2]] = found.pop(("config", name))
    return found

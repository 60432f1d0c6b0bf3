"""A run as text: the YAML that people edit beside the form, and the command and the script that do the same elsewhere."""

from __future__ import annotations

import json
import pprint
import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import yaml
from django.conf import settings

from studio.core.option_fields import NOTHING, as_text
from studio.runs.errors import RunError
from trainer_core.options import OptionSpec
from trainer_core.spec import DataRef, ModelRef, RunSpec

MOST_CHARACTERS = 100_000
KEYS = ("seed", "model", "data", "trainer", "extras", "start")


def as_yaml(spec: RunSpec, *, with_seed: bool = True) -> str:
    """What of the run people may read and change; code, digests and places of files are left out."""
    shown: dict[str, Any] = {"seed": spec.seed} if with_seed else {}
    for part in (spec.model, spec.data):
        key = "model" if part is spec.model else "data"
        shown[key] = {"ref": f"{part.source}:{part.ref}", "args": dict(part.args)}
    shown |= {"trainer": dict(spec.trainer), "extras": dict(spec.extras)}
    if spec.start is not None:
        shown["start"] = {"mode": spec.start.mode, "name": spec.start.name}
    return yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, width=110)


def read_yaml(text: str, spec_options: Mapping[str, OptionSpec], *, model: str, data: str) -> dict[str, str]:
    """Form fields by name out of an edited text; RunError with a sentence by place for what is not known.

    `spec_options` are those of the form; `model` and `data` the references that are chosen in it (`zoo:MLP`).
    """
    found = _loaded(text)
    errors = {str(key): f"{key} is not known here. Known are: {', '.join(KEYS)}." for key in found if key not in KEYS}
    values: dict[str, str] = dict.fromkeys(spec_options, "")
    if found.get("seed") is not None:
        values["seed"] = as_text(found["seed"])
    for part, chosen in (("model", model), ("data", data), ("trainer", ""), ("extras", "")):
        section = found.get(part) or {}
        if not isinstance(section, dict):
            errors[part] = f"{part} has to be a mapping of names to values."
            continue
        if chosen:
            ref = section.get("ref", chosen)
            if ref != chosen:
                errors[f"{part}.ref"] = f"{part} is {chosen}; choose another one above the form."
            section = section.get("args") or {}
            if not isinstance(section, dict):
                errors[part] = f"{part}.args has to be a mapping of names to values."
                continue
        for name, value in section.items():
            option = spec_options.get(f"{part}.{name}")
            if option is None:
                known = ", ".join(n.partition(".")[2] for n in spec_options if n.startswith(f"{part}."))
                errors[f"{part}.{name}"] = f"{name} is no value of {part}. Known are: {known}."
            else:
                values[f"{part}.{name}"] = field_text(option, value)
    if errors:
        raise RunError(next(iter(errors.values())), errors=errors)
    return values


def lines_of(text: str) -> dict[str, int]:
    """The line, from 1, at which each place of a text stands, as `read_yaml` names places; "" is where it stops being YAML."""
    if len(text) > MOST_CHARACTERS:
        return {}
    try:
        root = yaml.compose(text, _Plain)
    except yaml.MarkedYAMLError as error:
        return {} if error.problem_mark is None else {"": error.problem_mark.line + 1}
    except (yaml.YAMLError, RecursionError, ValueError):
        return {}
    found = {}
    for part, section in _keys(root):
        found[part.value] = part.start_mark.line + 1
        for key, value in _keys(section):
            is_args = part.value in ("model", "data") and key.value == "args"
            for name, _ in _keys(value) if is_args else [(key, value)]:
                found[f"{part.value}.{name.value}"] = name.start_mark.line + 1
    return found


def _keys(node: yaml.Node | None) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return [(key, value) for key, value in pairs if isinstance(key, yaml.ScalarNode)]


def field_text(option: OptionSpec, value: Any) -> str:
    """A value as the form's field takes it; empty for the default."""
    if value is None:
        return NOTHING if option.default is not None else ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list) and option.kind == "value":
        return str(value)
    return as_text(value)


def as_command(spec: RunSpec, *, with_seed: bool = True) -> str:
    """What does the same in a shell where the engine is installed; code and all comes in by a pipe."""
    if spec.model.code or spec.data.code:
        whole = spec.to_dict()
        if not with_seed:
            del whole["seed"]
        return f"python -m trainer_core.train - <<'END-OF-RUN'\n{json.dumps(whole, ensure_ascii=False)}\nEND-OF-RUN\n"
    flags: list[tuple[str, str]] = []
    for name, part in (("model", spec.model), ("data", spec.data)):
        flags.append((name, f"{part.source}:{part.ref}"))
        flags += [(f"{name}-sha256", part.sha256)] if part.sha256 else []
        flags += [(f"{name}.{option}", _flag(value)) for option, value in part.args.items()]
    flags += [(f"files.{name}", path) for name, path in spec.data.files.items()]
    for name, values in (("trainer", spec.trainer), ("extras", spec.extras)):
        flags += [(f"{name}.{option}", _flag(value)) for option, value in values.items()]
    if spec.start is not None:
        flags += [("start", spec.start.file), ("start-mode", spec.start.mode), ("start-sha256", spec.start.sha256)]
    if with_seed:
        flags.append(("seed", str(spec.seed)))
    lines = [f"--{name} {shlex.quote(value)}" for name, value in flags]
    return " \\\n  ".join(["python -m trainer_core.train", *lines]) + "\n"


def without_places(spec: RunSpec) -> RunSpec:
    """The same run with files named from `$STUDIO_DATA_DIR` on, as it can be run where that is set."""

    def named(path: str) -> str:
        return path.replace(str(settings.DATA_DIR), "$STUDIO_DATA_DIR", 1)

    start = None if spec.start is None else replace(spec.start, file=named(spec.start.file))
    files = {name: named(path) for name, path in spec.data.files.items()}
    return replace(spec, data=replace(spec.data, files=files), start=start)


def _flag(value: Any) -> str:
    """Text that JSON would read as something else is quoted; all else is JSON."""
    if isinstance(value, str):
        try:
            json.loads(value)
        except ValueError:
            return value
    return json.dumps(value, ensure_ascii=False)


def as_script(spec: RunSpec, *, with_seed: bool = True) -> str:
    """A Python file that does the same where the engine is installed."""
    lines = [
        '"""A run of the studio, as it can be run anywhere."""',
        "",
        *([] if with_seed else ["from secrets import randbelow", ""]),
        f"from trainer_core.spec import DataRef, ModelRef, RunSpec{', StartRef' if spec.start else ''}",
        "from trainer_core.train import train",
        "",
        "spec = RunSpec(",
        f"    model={_call('ModelRef', spec.model)},",
        f"    data={_call('DataRef', spec.data)},",
        f"    trainer={_literal(spec.trainer)},",
        f"    extras={_literal(spec.extras)},",
        f"    seed={spec.seed if with_seed else 'randbelow(2**31)'},",
    ]
    if spec.start is not None:
        start = spec.start
        lines.append(f"    start=StartRef({start.mode!r}, {start.sha256!r}, {start.file!r}, {start.name!r}),")
    return "\n".join([*lines, ")", "", 'if __name__ == "__main__":', "    train(spec)", ""])


def _call(name: str, ref: ModelRef | DataRef) -> str:
    parts = {"source": str(ref.source), "ref": ref.ref, "args": ref.args, "sha256": ref.sha256, "code": ref.code}
    if isinstance(ref, DataRef):
        parts["files"] = ref.files
    given = [f"        {key}={_literal(value)}," for key, value in parts.items() if value]
    return "\n".join([f"{name}(", *given, "    )"])


def _literal(value: Any) -> str:
    return pprint.pformat(value, width=100, sort_dicts=False, compact=True)


class _Plain(yaml.SafeLoader):
    """Without anchors: a few lines of them stand for a text without end."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="aliases are not taken", problem_mark=mark)
        return super().compose_node(parent, index)


def _loaded(text: str) -> dict[str, Any]:
    if len(text) > MOST_CHARACTERS:
        raise RunError(f"The text has {len(text):,} characters; allowed are {MOST_CHARACTERS:,}.")
    try:
        found = yaml.load(text, _Plain)  # noqa: S506 - a safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"Line {mark.line + 1}" if mark is not None else "The text"
        raise RunError(f"{where} is not valid YAML: {error.problem or error}.") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise RunError(f"The text is not valid YAML: {error}.") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise RunError("The text has to be a mapping, such as `seed: 7`.")
    return found

"""What a run takes from a model and a dataset version: the parts of its spec, its form's options, and whether they fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from studio.core import blobs
from studio.registry.errors import RegistryError
from studio.registry.models import DatasetVersion, ModelVersion
from studio.registry.stored import cache_path
from trainer_core.options import OptionSpec, parse_all
from trainer_core.spec import DataRef, ModelRef

# Arguments by which models ask for what only the data knows; the launcher fills them in when they are left out.
FROM_DATA = frozenset(
    "in_features num_features n_features input_dim input_size in_dim d_in num_classes n_classes num_class n_class classes "
    "num_labels out_features output_dim output_size d_out in_channels channels in_chans input_channels n_channels height "
    "width image_size img_size input_shape vocab_size vocabulary num_tokens block_size max_len sequence_length max_seq_len "
    "seq_len".split()
)
WORDS = {
    "classification": "classes",
    "regression": "a number",
    "language": "the next character",
    "reconstruction": "its own input",
    "table": "tables",
    "image": "images",
    "text": "text",
}


def spec_parts(
    model_version: ModelVersion,
    dataset_version: DatasetVersion,
    model_args: dict[str, Any],
    data_args: dict[str, Any],
) -> tuple[ModelRef, DataRef]:
    """The model and data of a RunSpec: the given arguments over the fixed ones, files as paths of the blob store.

    RegistryError (`field` is `model.<name>` or `data.<name>`) for a version that is not ready, an argument that is
    unknown, fixed or does not fit its option, or a file that is gone. Values equal to their default are left out.
    """
    _check_ready(model_version)
    _check_ready(dataset_version)
    model = ModelRef(
        source=model_version.source,  # type: ignore[arg-type]
        ref=model_version.ref,
        args=_parsed(model_version, model_args, "model"),
        code=model_version.code,
        sha256=model_version.sha256,
    )
    return model, data_ref(dataset_version, data_args)


def data_ref(version: DatasetVersion, given: dict[str, Any]) -> DataRef:
    """The data of a RunSpec; RegistryError as for `spec_parts`."""
    _check_ready(version)
    files = {name: blobs.path_of(digest) for name, digest in version.data_blobs.items()}
    marks = {}
    if at := version.info.get("server_file"):
        files["path"] = Path(at["path"])
        marks["path"] = {**{k: at[k] for k in ("size_bytes", "mtime_ns")}, "sha256": version.blobs["path"]}
    if "stored" in version.info:  # each worker brings it to its own cache
        files["path"] = cache_path(version.blobs["path"])
    for name, path in files.items() if "stored" not in version.info else ():
        if not (path.is_file() if name in marks else blobs.exists(version.blobs[name])):
            where = f"{path}" if marks else "the studio's disk"
            raise RegistryError(f"The file of {version} is gone from {where}. Make a new version of it.")
    return DataRef(
        source=version.source,  # type: ignore[arg-type]
        ref=version.ref,
        args={**version.args, **_parsed(version, given, "data")},
        code=version.code,
        sha256=version.sha256,
        files={name: str(path) for name, path in files.items()},
        marks=marks,
    )


def _check_ready(version: ModelVersion | DatasetVersion) -> None:
    if not version.is_ready:
        raise RegistryError(f"{version} is not ready: it is {version.get_state_display().lower()}.")


def form_options(version: ModelVersion | DatasetVersion) -> dict[str, OptionSpec]:
    """The options that a run may set, in order: all of the class but those that the dataset version has fixed."""
    is_data = isinstance(version, DatasetVersion)
    fixed: set[str] = {*version.args, *version.blobs} if isinstance(version, DatasetVersion) else set()
    options = {}
    for name, spec in version.option_specs.items():
        if name in fixed or spec.kind == "object" or spec.level == "hidden":
            continue
        if is_data:
            spec = replace(spec, group="Data")
        elif spec.required and name in FROM_DATA:
            words = f"{spec.help} Left empty, it is taken from the data.".strip()
            spec = replace(spec, required=False, nullable=True, help=words)
        options[name] = spec
    return options


def compatibility(model_version: ModelVersion, dataset_version: DatasetVersion) -> tuple[bool, str]:
    """Whether they fit, as far as both say what they are, and a sentence for the page.

    What code does not declare cannot be compared: the answer is yes, with the advice to check one batch.
    """
    model, data = model_version.info, dataset_version.info
    wants_input, has_input = _any_of(model.get("input")), _any_of(data.get("input"))
    wants_task, has_task = _any_of(model.get("task")), _any_of(data.get("task"))
    if wants_input and has_input and not {*wants_input} & {*has_input}:
        given, wanted = in_words(has_input), in_words(wants_input)
        return False, f"{model_version.model} takes {wanted}, and {dataset_version.dataset} holds {given}."
    if wants_task and has_task and not {*wants_task} & {*has_task, "reconstruction"}:
        given, wanted = in_words(has_task), in_words(wants_task)
        return False, f"{model_version.model} predicts {wanted}, and {dataset_version.dataset} asks for {given}."
    if not (wants_input and has_input):
        unknown = model_version.model if not wants_input else dataset_version.dataset
        return True, f"{unknown} does not say what kind of data it is for: the first batch will show whether they fit."
    return True, f"{model_version.model} takes {in_words(has_input)} and fits {dataset_version.dataset}."


def suited(model_version: ModelVersion, dataset_version: DatasetVersion) -> bool:
    """Whether the model says that it is for such inputs and predicts just what the data asks for."""
    model, data = model_version.info, dataset_version.info
    return all({*_any_of(model.get(one))} & {*_any_of(data.get(one))} for one in ("input", "task"))


def _parsed(version: ModelVersion | DatasetVersion, given: dict[str, Any], part: str) -> dict[str, Any]:
    options = form_options(version)
    values, errors = parse_all(options, given)
    if isinstance(version, DatasetVersion):
        for name in set(given) & {*version.args, *version.blobs}:
            errors[name] = f"{name} is fixed by {version}. Make a new version of the dataset to change it."
    for name, text in errors.items():
        raise RegistryError(text, field=f"{part}.{name}")
    return values


def in_words(declared: str | list[str] | None) -> str:
    """What a version declares as its task or input, for people; empty for nothing."""
    return " or ".join(WORDS.get(one, one) for one in _any_of(declared))


def _any_of(declared: str | list[str] | None) -> list[str]:
    return [declared] if isinstance(declared, str) and declared else list(declared or ())

"""What a run takes from versions: fixed arguments win, files are paths, misfits are said in words."""

from __future__ import annotations

from typing import Any

import pytest

from studio.core import blobs
from studio.registry.errors import RegistryError
from studio.registry.models import DatasetVersion, ModelVersion, VersionState
from studio.registry.refs import FROM_DATA, compatibility, form_options, spec_parts
from tests import factories
from trainer_core.spec import RunSpec
from trainer_core.zoo.facts import Facts


@pytest.fixture
def versions(db: None) -> tuple[ModelVersion, DatasetVersion]:
    digest, _ = blobs.put_bytes(b"a,b\n1,2\n")
    params = [*factories.DATA_PARAMS, {"name": "target", "kind": "str"}, {"name": "path", "kind": "str"}]
    data = factories.make_dataset_version(
        ref="CSVTable", args={"target": "b"}, blobs={"path": digest}, params=params, info={"input": "table"}
    )
    return factories.make_model_version(code="class Net: pass\n", source="file", ref="Net"), data


def test_the_parts_make_a_spec(versions: tuple[ModelVersion, DatasetVersion]) -> None:
    model, data = spec_parts(*versions, {"hidden": "64", "lr": 0.001}, {"batch_size": "16"})
    assert (model.source, model.ref, model.code, model.args) == ("file", "Net", "class Net: pass\n", {"hidden": 64})
    assert data.args == {"target": "b", "batch_size": 16}
    assert data.files == {"path": str(blobs.path_of(versions[1].blobs["path"]))}
    assert (model.sha256, data.sha256) == (versions[0].sha256, versions[1].sha256)
    spec = RunSpec(model=model, data=data)
    assert RunSpec.from_dict({"model": vars_of(model), "data": vars_of(data)}).hash == spec.hash


def vars_of(ref: Any) -> dict[str, Any]:
    return {name: getattr(ref, name) for name in ref.__slots__}


def test_the_form_has_what_is_not_fixed(versions: tuple[ModelVersion, DatasetVersion]) -> None:
    assert list(form_options(versions[0])) == ["hidden", "lr"]
    assert list(form_options(versions[1])) == ["batch_size"]


def test_what_the_data_knows_need_not_be_entered(versions: tuple[ModelVersion, DatasetVersion]) -> None:
    asked = [{"name": n, "kind": "int", "required": True, "help": "How many."} for n in ("num_classes", "depth")]
    versions[0].params = asked
    options = form_options(versions[0])
    assert [options[n].required for n in ("num_classes", "depth")] == [False, True]
    assert options["num_classes"].help == "How many. Left empty, it is taken from the data."
    assert spec_parts(*versions, {"num_classes": "", "depth": 2}, {})[0].args == {"depth": 2}
    with pytest.raises(RegistryError, match="depth is required"):
        spec_parts(*versions, {}, {})


def test_the_names_that_the_data_fills_are_those_of_the_engine() -> None:
    classes = Facts("classification", "image", in_features=64, shape=(1, 8, 8), classes=10)
    text = Facts("language", "text", vocabulary=60, block_size=32)
    assert {*classes.named(), *text.named()} == FROM_DATA


@pytest.mark.parametrize(
    ("model_args", "data_args", "field", "words"),
    [
        ({"hidden": 0}, {}, "model.hidden", "at least 1"),
        ({"hiden": 1}, {}, "model.hiden", "not an option"),
        ({}, {"batch_size": "many"}, "data.batch_size", "whole number"),
        ({}, {"target": "a"}, "data.target", "fixed by"),
        ({}, {"path": "/etc/passwd"}, "data.path", "fixed by"),
    ],
)
def test_an_argument_that_does_not_fit_is_named(
    versions: tuple[ModelVersion, DatasetVersion], model_args: Any, data_args: Any, field: str, words: str
) -> None:
    with pytest.raises(RegistryError, match=words) as raised:
        spec_parts(*versions, model_args, data_args)
    assert raised.value.field == field


@pytest.mark.parametrize("state", [s for s in VersionState if s != VersionState.READY])
def test_a_version_that_is_not_ready_is_refused(versions: tuple[ModelVersion, DatasetVersion], state: str) -> None:
    versions[1].state = state
    with pytest.raises(RegistryError, match="not ready"):
        spec_parts(*versions, {}, {})


def test_a_file_that_is_gone_is_said(versions: tuple[ModelVersion, DatasetVersion]) -> None:
    blobs.path_of(versions[1].blobs["path"]).unlink()
    with pytest.raises(RegistryError, match="gone"):
        spec_parts(*versions, {}, {})


@pytest.mark.parametrize(
    ("model", "data", "fits", "words"),
    [
        ({"input": "table", "task": "classification"}, {"input": "table", "task": "classification"}, True, "fits"),
        ({"input": "image"}, {"input": "table"}, False, "takes images, and D holds tables"),
        (
            {"input": "table", "task": "regression"},
            {"input": "table", "task": "classification"},
            False,
            "predicts a number, and D asks for classes",
        ),
        (
            {"input": ["table", "image"], "task": ["classification", "regression"]},
            {"input": "image", "task": "classification"},
            True,
            "takes images and fits",
        ),
        ({"input": "image", "task": "reconstruction"}, {"input": "image", "task": "classification"}, True, "fits"),
        ({}, {"input": "table", "task": "classification"}, True, "M does not say"),
        ({"input": "table"}, {}, True, "D does not say"),
    ],
)
def test_whether_they_fit_is_said_in_words(model: Any, data: Any, fits: bool, words: str) -> None:
    model_version = ModelVersion(model=factories.Model(name="M"), info=model)
    dataset_version = DatasetVersion(dataset=factories.Dataset(name="D"), info=data)
    said = compatibility(model_version, dataset_version)
    assert said[0] is fits
    assert words in said[1]

"""Presets and datasets by reference over REST and by the client: made, listed, used, refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from studio.client import Client, StudioError
from studio.registry.models import DatasetVersion
from studio.runs.models import Preset, Run
from tests import factories
from tests.access.people import People


def test_a_preset_fills_in_what_is_not_given(studio: Client, client_of: Any, people: People) -> None:
    model = factories.make_model_version(project=people.project)
    dataset = factories.make_dataset_version(project=people.project)
    values = {"trainer.max_epochs": 7, "model.lr": "1/100", "model.other": 3, "queue.priority": "5", "seed": "1"}
    made = studio.presets.create("short", values, team=people.team.pk)
    assert (made.values["trainer.max_epochs"], "seed" in made.values) == ("7", False)
    assert [one.name for one in studio.presets.list(people.team.pk)] == ["short"]
    given = {"project": people.project.pk, "model": model.pk, "dataset": dataset.pk, "preset": "short"}
    run = Run.objects.get(pk=studio.runs.create(**given, trainer={"max_steps": 9}).id)
    assert run.spec["trainer"] == {"max_epochs": 7, "max_steps": 9}
    assert (run.spec["model"]["args"], run.priority) == ({"lr": 0.01}, 5)
    run = Run.objects.get(pk=studio.runs.create(**given, trainer={"max_epochs": 3}).id)
    assert run.spec["trainer"] == {"max_epochs": 3}
    with pytest.raises(StudioError, match="No preset is called 'long'. Known are: short"):
        studio.runs.create(**{**given, "preset": "long"})
    with pytest.raises(StudioError):
        made.make_default()
    assert client_of("owner").presets.get(made.id).make_default().is_default
    studio.presets.create("short", {"trainer.max_epochs": "many"}, team=people.team.pk)
    with pytest.raises(StudioError, match="The preset short: trainer.max_epochs: 'many' does not fit"):
        studio.runs.create(**given)
    made.delete()
    assert not Preset.objects.exists()


def test_data_is_made_by_reference(studio: Client, people: People, open_folder: Path) -> None:
    with pytest.raises(StudioError, match="begins with https://|not below") as refused:
        studio.datasets.create_reference("ftp://host/a.csv", project=people.project.pk)
    assert "address" in refused.value.fields
    (open_folder / "table.csv").write_text("a,b\n1,2\n")
    version = studio.datasets.create_reference(
        str(open_folder / "table.csv"), project=people.project.pk, target="b", split="shuffled"
    )
    row = DatasetVersion.objects.get(pk=version.id)
    assert (row.dataset.name, row.info["wanted"]) == ("table", {"target": "b", "split": "shuffled"})
    assert row.info["server_file"]["path"] == str(open_folder / "table.csv")
    with pytest.raises(StudioError, match="Say one of `upload`"):
        studio._connection.create("/datasets", {"project": people.project.pk, "name": "x"})

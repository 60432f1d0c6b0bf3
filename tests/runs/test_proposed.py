"""A run that begins at a dataset needs no choice of a model: one that is for such data is proposed."""

from __future__ import annotations

import pytest
from django.urls import reverse

from studio.registry.builtin import sync_builtins
from studio.registry.models import DatasetVersion
from tests.access.people import People


@pytest.mark.parametrize(
    ("data", "model"),
    [
        ("Wine", "Tabular MLP"),
        ("Diabetes", "Tabular MLP"),
        ("Digits", "Image CNN"),
        ("Sonnets", "Character transformer"),
    ],
)
def test_a_model_for_the_data_is_proposed(people: People, data: str, model: str) -> None:
    sync_builtins()
    version = DatasetVersion.objects.get(dataset__name=data, dataset__project=None)
    url = reverse("run-create", args=[people.project.pk])
    text = people.client("editor").get(url, {"dataset": version.pk}).content.decode()
    assert f"selected>{model} v1 · built in</option>" in text
    assert "Start the run" in text


def test_data_of_which_nothing_is_known_leaves_the_choice(people: People) -> None:
    sync_builtins()
    version = DatasetVersion.objects.get(dataset__name="Wine", dataset__project=None)
    DatasetVersion.objects.filter(pk=version.pk).update(info={})
    url = reverse("run-create", args=[people.project.pk])
    text = people.client("editor").get(url, {"dataset": version.pk}).content.decode()
    assert "What should learn, and from what?" in text

"""Who may use the pages of models, datasets and uploads. Registering code needs one right more than editing."""

from __future__ import annotations

from typing import Any

from studio.accounts.models import Membership
from studio.registry.models import VersionState
from studio.registry.uploads import begin_upload, path_of
from tests.access.matrix import SIGNED_OUT, Maker, Route, edits, in_project, reads, signed_in
from tests.access.people import PEOPLE, People
from tests.factories import make_dataset, make_dataset_version, make_model, make_model_version

CODE = "class Net: pass\n"
SCHEMA = {
    "rows": 40,
    "encoding": "utf-8",
    "delimiter": ",",
    "notices": [],
    "columns": [
        {"name": "x", "type": "number", "missing": 0, "distinct": 40, "distinct_is_exact": True, "notices": []}
        | {"whole": False, "min": 0.0, "max": 1.0, "mean": 0.5, "std": 0.1, "quartiles": [0.2, 0.5, 0.8]},
        {"name": "kind", "type": "category", "missing": 0, "distinct": 2, "distinct_is_exact": True, "notices": []}
        | {"top": [["a", 20], ["b", 20]]}
        | {"classes": {"counts": [["a", 20], ["b", 20]], "singles": 0, "single": ""}},
    ],
}
CHOICES = {"target": "kind", "use_0": "number", "use_1": "category", "val_fraction": "0.2", "test_fraction": "0"}


def with_right(make: Maker) -> Maker:
    """The editor was given the right to run code; administrators have it."""

    def made(people: People) -> dict[str, Any]:
        Membership.objects.filter(user=people.editor).update(may_run_code=True)
        return make(people)

    return made


def a_model(people: People) -> dict[str, Any]:
    return {"pk": make_model_version(project=people.project).model_id}


def a_model_version(people: People) -> dict[str, Any]:
    return {"pk": make_model_version(project=people.project).pk}


def a_built_in_model(people: People) -> dict[str, Any]:
    return {"pk": make_model_version(make_model(built_in=True)).model_id}


def a_built_in_model_version(people: People) -> dict[str, Any]:
    return {"pk": make_model_version(make_model(built_in=True)).pk}


def two_classes(people: People) -> dict[str, Any]:
    info = {"classes": [{"name": "A"}, {"name": "B"}]}
    return {"pk": make_model_version(project=people.project, state=VersionState.CHOOSING, info=info).pk}


def a_dataset(people: People) -> dict[str, Any]:
    return {"pk": make_dataset_version(project=people.project).dataset_id}


def a_dataset_version(people: People) -> dict[str, Any]:
    return {"pk": make_dataset_version(project=people.project).pk}


def a_built_in_dataset(people: People) -> dict[str, Any]:
    return {"pk": make_dataset_version(make_dataset(built_in=True)).dataset_id}


def a_built_in_dataset_version(people: People) -> dict[str, Any]:
    return {"pk": make_dataset_version(make_dataset(built_in=True)).pk}


def a_table(people: People, state: str = VersionState.CHOOSING) -> dict[str, Any]:
    fields = {"ref": "CSVTable", "schema": SCHEMA, "blobs": {"path": "0" * 64}, "preview": {"rows": [["0.5", "a"]]}}
    return {"pk": make_dataset_version(project=people.project, state=state, **fields).pk}


def a_ready_table(people: People) -> dict[str, Any]:
    return a_table(people, VersionState.READY)


def data_classes(people: People) -> dict[str, Any]:
    info = {"classes": [{"name": "A"}, {"name": "B"}]}
    return {"pk": make_dataset_version(project=people.project, state=VersionState.CHOOSING, info=info).pk}


def an_upload(people: People) -> dict[str, Any]:
    """The editor's; the file is there."""
    upload = begin_upload(project=people.project, user=people.editor, filename="a.csv", size_bytes=3)
    assert path_of(upload).exists()
    return {"pk": upload.pk}


def of_sender(method: str, ok: int, **options: Any) -> Route:
    """An upload is its sender's alone; to others it is not there."""
    expect = dict.fromkeys(PEOPLE, 404) | {"editor": ok, "anonymous": SIGNED_OUT[method]}
    return Route("upload", an_upload, method, expect, **options)


def fields(**given: str) -> Any:
    return lambda p, kwargs: given


def nobody_changes(name: str, make: Maker, **options: Any) -> Route:
    """What is built in is read by everybody who is signed in."""
    expect = dict.fromkeys(PEOPLE, 403) | {"anonymous": 302}
    return Route(name, make, "POST", expect, **options)


ROUTES = [
    reads("model-list", in_project),
    edits("model-create", with_right(in_project), method="GET", ok=200),
    edits("model-create", with_right(in_project), data=fields(name="Net", code=CODE)),
    Route(
        "model-create",
        in_project,
        "GET",
        {"owner": 200, "editor": 403, "viewer": 403, "stranger": 404, "anonymous": 302},
    ),
    reads("model", a_model),
    signed_in("model", a_built_in_model, anonymous=302),
    edits("model-archive", a_model),
    nobody_changes("model-archive", a_built_in_model),
    reads("model-version", a_model_version),
    signed_in("model-version", a_built_in_model_version, anonymous=302),
    reads("model-version-diff", a_model_version),
    signed_in("model-version-diff", a_built_in_model_version, anonymous=302),
    edits("model-version-class", with_right(two_classes), data=fields(class_name="B")),
    edits("model-version-retry", a_model_version),
    edits("model-version-note", a_model_version, data=fields(note="better")),
    nobody_changes("model-version-note", a_built_in_model_version, data=fields(note="mine")),
    reads("dataset-list", in_project),
    edits("dataset-create", in_project, method="GET", ok=200),
    edits("dataset-create", in_project, data=fields(name="T", text="a,b\n1,2\n")),
    edits("dataset-create", with_right(in_project), method="GET", ok=200, query=lambda p, kwargs: "from=code"),
    reads("dataset", a_dataset),
    signed_in("dataset", a_built_in_dataset, anonymous=302),
    edits("dataset-archive", a_dataset),
    nobody_changes("dataset-archive", a_built_in_dataset),
    reads("dataset-version", a_dataset_version),
    signed_in("dataset-version", a_built_in_dataset_version, anonymous=302),
    reads("dataset-version-diff", a_dataset_version),
    signed_in("dataset-version-diff", a_built_in_dataset_version, anonymous=302),
    edits("dataset-version-choices", a_table, method="GET", ok=200),
    edits("dataset-version-choices", a_table, data=fields(seed="0", **CHOICES)),
    edits("dataset-version-again", a_ready_table),
    edits("dataset-version-batch", a_dataset_version),
    edits("dataset-version-class", with_right(data_classes), data=fields(class_name="B")),
    edits("dataset-version-retry", a_dataset_version),
    edits("dataset-version-sheet", a_dataset_version, data=fields(sheet="Two")),
    edits("dataset-version-note", a_dataset_version, data=fields(note="better")),
    nobody_changes("dataset-version-note", a_built_in_dataset_version, data=fields(note="mine")),
    edits("upload-create", in_project, ok=201, data=fields(filename="a.csv", size_bytes="3")),
    of_sender("GET", 200),
    of_sender("PUT", 200, data=lambda p, kwargs: b"a,b", headers={"Upload-Offset": "0"}),
    of_sender("DELETE", 204),
]

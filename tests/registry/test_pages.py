"""The pages of models and datasets as people meet them: what they show, refuse and lead to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from studio.registry.models import Dataset, DatasetVersion, Model, ModelVersion, VersionState
from studio.registry.tables.reading import MAX_COLUMNS
from studio.registry.uploads import begin_upload, receive_chunk
from studio.registry.views import models
from tests import factories
from tests.access.people import People
from tests.registry.conftest import ControlQueue

XSS = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}"
CODE = "class Net:\n    x = '<b>'\n"
CSV = "size,kind\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(40, 80))


def page(people: People, url: str, who: str = "editor", **headers: str) -> str:
    answer = people.client(who).get(url, headers=headers)
    assert answer.status_code == 200, answer.status_code
    return answer.content.decode()


def post(people: People, url: str, data: dict[str, Any], who: str = "editor") -> Any:
    return people.client(who).post(url, data)


def url_of(name: str, pk: int, query: str = "") -> str:
    return reverse(name, args=[pk]) + query


def test_an_empty_list_says_what_it_is_for_and_offers_one_action(people: People) -> None:
    factories.make_model_version(factories.make_model("Tabular MLP", built_in=True))
    factories.make_dataset_version(factories.make_dataset("Digits", built_in=True))
    for name, words, example in (
        ("model", "A model is a LightningModule", "Tabular MLP"),
        ("dataset", "A dataset is a table", "Digits"),
    ):
        html = page(people, url_of(f"{name}-list", people.project.pk))
        assert words in html
        assert example in html
        assert html.count(f'class="btn btn-primary" href="{url_of(f"{name}-create", people.project.pk)}"') == 2
        seen_by_viewer = page(people, url_of(f"{name}-list", people.project.pk), "viewer")
        assert url_of(f"{name}-create", people.project.pk) not in seen_by_viewer


@pytest.mark.parametrize("name", ["model", "dataset"])
def test_a_list_asks_the_same_number_of_queries_for_many(people: People, name: str) -> None:
    make: Any = getattr(factories, f"make_{name}_version")
    counts = []
    for _ in range(2):
        for _ in range(6):
            entry = getattr(make(project=people.project), name)
            make(entry)
        client = people.client("editor")
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert client.get(url_of(f"{name}-list", people.project.pk)).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 12, counts


@pytest.mark.parametrize("name", ["model", "dataset"])
def test_a_list_has_pages(people: People, name: str) -> None:
    for _ in range(51):
        getattr(factories, f"make_{name}")(project=people.project)
    html = page(people, url_of(f"{name}-list", people.project.pk))
    assert html.count("<bdi>") == 50
    assert "page=2" in html


def test_pasted_code_is_shown_escaped_with_line_numbers(people: People, control: ControlQueue) -> None:
    answer = post(people, url_of("model-create", people.project.pk), {"name": XSS[:80], "code": CODE}, "owner")
    version = ModelVersion.objects.get()
    assert answer.headers["Location"] == url_of("model-version", version.pk)
    html = page(people, answer.headers["Location"])
    assert "&#x27;&lt;b&gt;&#x27;" in html
    assert 'id="L2"' in html
    assert "<script>alert" not in html
    assert "49" not in re.findall(r"<bdi>(.*?)</bdi>", html)[0]


def test_an_uploaded_file_is_code_too(people: People, control: ControlQueue) -> None:
    file = SimpleUploadedFile("my net.py", b"\xef\xbb\xbfclass Net: pass\n")
    post(people, url_of("model-create", people.project.pk), {"name": "Net", "file": file}, "owner")
    version = ModelVersion.objects.get()
    assert (version.code, version.info["filename"]) == ("class Net: pass\n", "my net.py")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"name": "", "code": "net = make()"}, "Give it a name"),
        ({"name": "x" * 81, "code": CODE}, "at most 80 fit"),
        ({"name": "N", "code": ""}, "There is no code"),
        ({"name": "N", "code": CODE, "class_name": "a b"}, "letters, digits and underscores"),
        ({"name": "N", "file": SimpleUploadedFile("a.py", b"\xff\xfe\x00")}, "not text in UTF-8"),
    ],
)
def test_a_refused_model_says_why_at_its_field(
    people: People, control: ControlQueue, data: dict[str, Any], words: str
) -> None:
    answer = post(people, url_of("model-create", people.project.pk), data, "owner")
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert not ModelVersion.objects.exists()


def test_a_model_without_a_name_takes_that_of_its_class_or_file(people: People, control: ControlQueue) -> None:
    url, file = url_of("model-create", people.project.pk), SimpleUploadedFile("my net.py", b"class Net: pass\n")
    post(people, url, {"name": "", "code": CODE}, "owner")
    post(people, url, {"name": "", "file": file}, "owner")
    post(people, url, {"name": "", "code": CODE, "class_name": "Other"}, "owner")
    post(people, f"{url}?from=package", {"name": "", "path": "lib.nets:Wide"}, "owner")
    assert [*Model.objects.order_by("pk").values_list("name", flat=True)] == ["Net", "my net", "Other", "Wide"]
    assert models._name_from({"url": "https://example.org/team/shapes.git/"}) == "shapes"


def test_without_the_right_the_page_names_who_can_give_it(people: People) -> None:
    answer = people.client("editor").get(url_of("model-create", people.project.pk))
    assert answer.status_code == 403
    assert "<strong>owner</strong>" in answer.content.decode()


def test_a_page_that_waits_asks_again_and_one_that_is_done_does_not(people: People) -> None:
    waiting = factories.make_model_version(project=people.project, state=VersionState.INSPECTING)
    assert 'hx-trigger="every 1s"' in page(people, url_of("model-version", waiting.pk))
    part = page(people, url_of("model-version", waiting.pk), **{"HX-Request": "true"})
    assert part.lstrip().startswith('<div id="version"')
    assert "<html" not in part
    ModelVersion.objects.filter(pk=waiting.pk).update(state=VersionState.READY)
    part = page(people, url_of("model-version", waiting.pk), **{"HX-Request": "true"})
    assert "hx-trigger" not in part
    assert "New run with this" in part


def test_a_rejected_version_marks_the_line_and_can_be_tried_again(people: People, control: ControlQueue) -> None:
    version = factories.make_model_version(
        project=people.project,
        state=VersionState.REJECTED,
        code="import x\nclass Net(\n",
        reason="SyntaxError: '(' was never closed",
        info={"line": 2, "hint": "Close it.", "output": XSS},
    )
    html = page(people, url_of("model-version", version.pk))
    assert "Rejected at line 2" in html
    assert '<span class="line line-error" id="L2">' in html
    assert "Close it." in html
    assert "<img src=x" not in html
    post(people, url_of("model-version-retry", version.pk), {})
    version.refresh_from_db()
    assert version.state == "inspecting"


def test_the_runs_of_others_are_not_shown(people: People) -> None:
    version = factories.make_model_version(factories.make_model("Shared", built_in=True))
    factories.make_run(people.project, model_version=version, name="our run")
    factories.make_run(people.other_project, model_version=version, name="their run")
    html = page(people, url_of("model-version", version.pk))
    assert "our run" in html
    assert "their run" not in html


def test_a_version_of_another_team_cannot_be_the_project_in_view(people: People) -> None:
    version = factories.make_model_version(factories.make_model("Shared", built_in=True))
    url = url_of("model-version", version.pk, f"?project={people.other_project.pk}")
    assert people.client("editor").get(url).status_code == 404


def test_the_next_version_begins_with_the_code_of_the_newest(people: People, control: ControlQueue) -> None:
    version = factories.make_model_version(project=people.project, source="file", code="class Net: x = 1\n")
    html = page(people, url_of("model-create", people.project.pk, f"?model={version.model_id}"), "owner")
    assert "class Net: x = 1" in html
    assert f'value="{version.model.name}"' in html


def create_table(people: People, control: ControlQueue, **data: Any) -> DatasetVersion:
    answer = post(people, url_of("dataset-create", people.project.pk), {"name": "T", "text": CSV, **data})
    assert answer.status_code == 302, answer.content.decode()
    control.work()
    return DatasetVersion.objects.latest("pk")


def test_a_pasted_table_goes_through_the_wizard_to_a_dataset(people: People, control: ControlQueue) -> None:
    version = create_table(people, control)
    answer = people.client("editor").get(url_of("dataset-version", version.pk))
    wizard = url_of("dataset-version-choices", version.pk)
    assert answer.headers["Location"] == wizard
    html = page(people, wizard)
    assert "What should be predicted?" in html
    assert '<option value="kind" selected>kind</option>' in html
    assert "<rect" in html
    data = {
        "target": "kind",
        "use_0": "number",
        "use_1": "category",
        "val_fraction": ".25",
        "test_fraction": "0",
        "seed": "3",
    }
    assert post(people, wizard, data).headers["Location"] == url_of("dataset-version", version.pk)
    version.refresh_from_db()
    assert version.state == "ready"
    assert version.info["rows"] == {"train": 30, "val": 10, "test": 0}
    html = page(people, url_of("dataset-version", version.pk))
    for words in ("Train on this", "First 40 rows", "30 rows", "50.0", "seed 3"):
        assert words in html, words


def test_a_file_without_a_name_takes_its_own(people: People, control: ControlQueue) -> None:
    file = SimpleUploadedFile("my flowers.csv", CSV.encode())
    create_table(people, control, name="", text="", file=file)
    assert Dataset.objects.get().name == "my flowers"


def test_an_upload_in_chunks_is_taken_by_its_id(people: People, control: ControlQueue) -> None:
    upload = begin_upload(project=people.project, user=people.editor, filename="big.csv", size_bytes=len(CSV))
    receive_chunk(upload, offset=0, data=CSV.encode())
    version = create_table(people, control, name="", text="", upload=str(upload.pk))
    assert (version.dataset.name, version.state) == ("big", "choosing")


def test_a_bad_table_is_rejected_on_its_page(people: People, control: ControlQueue) -> None:
    version = create_table(people, control, text="a,b\n1,2\n1\n")
    html = page(people, url_of("dataset-version", version.pk))
    assert "Rejected at line 3" in html
    assert "1 of 2 rows does not have 2 cells" in html
    assert "Traceback" not in html


def test_the_wizard_says_what_does_not_do_and_keeps_what_was_entered(people: People, control: ControlQueue) -> None:
    version = create_table(people, control, text=CSV + "1,\n")
    wizard = url_of("dataset-version-choices", version.pk)
    data = {
        "target": "kind",
        "use_0": "ignore",
        "use_1": "category",
        "val_fraction": "0.31",
        "test_fraction": "0",
        "seed": "0",
    }
    answer = post(people, wizard, data)
    html = answer.content.decode()
    assert answer.status_code == 422
    assert "1 row has no value in “kind”" in html
    assert "at least one column besides the target" in html
    assert 'value="0.31"' in html
    version.refresh_from_db()
    assert version.state == "choosing"


@pytest.mark.parametrize(
    "change", [{"target": "nope"}, {"use_0": "x"}, {"val_fraction": "a"}, {"seed": "1.5"}, {"seed": "-1"}]
)
def test_a_forged_choice_is_refused(people: People, control: ControlQueue, change: dict[str, str]) -> None:
    version = create_table(people, control)
    data = {
        "target": "kind",
        "use_0": "number",
        "use_1": "category",
        "val_fraction": "0.2",
        "test_fraction": "0",
        "seed": "0",
    }
    assert post(people, url_of("dataset-version-choices", version.pk), data | change).status_code == 422


def test_a_table_with_as_many_columns_as_allowed_passes_the_wizard(people: People, control: ControlQueue) -> None:
    names = [f"c{n}" for n in range(MAX_COLUMNS)]
    content = (
        ",".join(names) + "\n" + "".join(",".join(str(r * n % 9) for n in range(MAX_COLUMNS)) + "\n" for r in range(8))
    )
    version = create_table(people, control, text=content)
    wizard = url_of("dataset-version-choices", version.pk)
    page(people, wizard)
    uses = {f"use_{n}": "number" for n in range(MAX_COLUMNS)}
    data = {"target": "c1", "split": "shuffled", "val_fraction": "0.25", "test_fraction": "0", "seed": "0", **uses}
    assert post(people, wizard, data).status_code == 302
    page(people, url_of("dataset-version", version.pk))


def test_odd_names_and_cells_are_text_on_every_page(people: People, control: ControlQueue) -> None:
    cell = '"' + XSS.replace('"', '""') + '"'
    content = f"{cell},kind\n" + "".join(f"{cell},{'ab'[i % 2]}\n{i},b\n" for i in range(30))
    version = create_table(people, control, text=content, name=XSS[:80])
    for url in (url_of("dataset-version-choices", version.pk), url_of("dataset-list", people.project.pk)):
        html = page(people, url)
        assert "<script>alert" not in html
        assert "<img src=x" not in html


def test_another_target_makes_another_version_of_the_same_file(people: People, control: ControlQueue) -> None:
    version = create_table(people, control)
    DatasetVersion.objects.filter(pk=version.pk).update(state=VersionState.READY)
    answer = post(people, url_of("dataset-version-again", version.pk), {})
    other = DatasetVersion.objects.latest("number")
    assert answer.headers["Location"] == url_of("dataset-version-choices", other.pk)
    assert (other.number, other.blobs, other.state) == (2, version.blobs, "choosing")
    assert control.jobs == []


def test_a_text_becomes_a_dataset_without_questions(people: People, control: ControlQueue) -> None:
    url = url_of("dataset-create", people.project.pk, "?from=text")
    post(people, url, {"name": "Play", "text": "To be, or not to be.\n" * 60})
    control.work()
    version = DatasetVersion.objects.get()
    assert (version.state, version.ref, version.info["characters"]) == ("ready", "TextFile", 1260)
    html = page(people, url_of("dataset-version", version.pk))
    assert "1,260 characters" in html
    assert "To be, or not to be." in html


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "submitted file is empty"),
        (b"x" * 50, "50 characters only"),
        (b"x" * 1300 + b"\0", "NUL"),
        (b"PK\x03\x04" + b"x" * 300, "zip"),
    ],
)
def test_a_bad_text_is_refused_in_words(people: People, control: ControlQueue, content: bytes, words: str) -> None:
    url = url_of("dataset-create", people.project.pk, "?from=text")
    answer = post(people, url, {"name": "Play", "file": SimpleUploadedFile("a.txt", content)})
    control.work()
    if answer.status_code == 302:
        answer = people.client("editor").get(answer.headers["Location"])
    assert words in answer.content.decode()


def test_a_text_that_is_not_utf_8_is_read_with_a_notice(people: People, control: ControlQueue, tmp_path: Path) -> None:
    from studio.registry.texts import inspect_text

    path = tmp_path / "a.txt"
    path.write_bytes(b"plain\n" * 200_000 + "Größe\n".encode("latin-1"))
    found = inspect_text(path)
    assert (found.encoding, found.characters) == ("latin-1", 1_200_006)
    assert "line 200,001" in found.notices[0]


def test_a_note_is_all_that_changes_of_a_version(people: People) -> None:
    for name in ("model", "dataset"):
        version: Any = getattr(factories, f"make_{name}_version")(project=people.project)
        post(people, url_of(f"{name}-version-note", version.pk), {"note": XSS, "state": "rejected", "ref": "x"})
        version.refresh_from_db()
        assert (version.note, version.state) == (XSS, "ready")
        assert "<script>alert" not in page(people, url_of(f"{name}-version", version.pk))


def test_an_archived_model_leaves_the_list_and_comes_back(people: People) -> None:
    version = factories.make_model_version(factories.make_model("Old one", project=people.project))
    listed = url_of("model-list", people.project.pk)
    post(people, url_of("model-archive", version.model_id), {})
    assert "Old one" not in page(people, listed)
    assert "Old one" in page(people, listed + "?archived")
    post(people, url_of("model-archive", version.model_id), {"restore": "1"})
    assert "Old one" in page(people, listed)
    assert Model.objects.get().archived_at is None


def test_a_rejected_line_is_marked_in_the_editor_of_the_next_version(people: People, control: ControlQueue) -> None:
    info = {"line": 2, "hint": "Mend it.", "filename": "net.py"}
    fields = {"source": "file", "code": "a = 1\nb = 1 / 0\n", "reason": "ZeroDivisionError"}
    version = factories.make_model_version(project=people.project, state=VersionState.REJECTED, info=info, **fields)
    html = page(people, url_of("model-create", people.project.pk, f"?model={version.model_id}"), "owner")
    assert '<code-editor data-line="2" data-reason="ZeroDivisionError Mend it.">' in html
    assert "b = 1 / 0" in html
    assert "data-line" not in page(people, url_of("model-create", people.project.pk), "owner")

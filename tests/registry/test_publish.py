"""Registering: names, rights, the same thing twice, versions that never change once they are ready."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.accounts.models import AuditEntry, Membership
from studio.core import blobs
from studio.registry import versions
from studio.registry.errors import CodeRightMissing, RegistryError
from studio.registry.files import create_dataset_from_csv, create_dataset_from_text
from studio.registry.models import Dataset, DatasetVersion, Model, ModelVersion, Upload, VersionState
from studio.registry.publish import (
    MAX_CODE_BYTES,
    archive_entry,
    choose_class,
    clean_name,
    create_dataset_from_code,
    create_model_from_code,
    create_model_from_package,
)
from studio.registry.uploads import begin_upload, path_of, receive_chunk
from studio.registry.versions import MAX_INSPECTIONS, requeue_silent_inspections, settle
from tests.access.people import People
from tests.registry.conftest import ControlQueue

CODE = "import lightning as L\n\nclass Net(L.LightningModule):\n    pass\n"
CSV = b"x,kind\n" + b"".join(b"%d,%s\n" % (i * 7 % 13, b"ab"[i % 2 : i % 2 + 1]) for i in range(40))


def model(people: People, user: str = "owner", **given: Any) -> ModelVersion:
    values = {"name": "Net", "code": CODE, **given}
    return create_model_from_code(project=people.project, user=getattr(people, user), **values)


def table(people: People, **given: Any) -> DatasetVersion:
    values = {"name": "Flowers", "data": CSV, "filename": "flowers.csv", **given}
    return create_dataset_from_csv(project=people.project, user=people.editor, **values)


def test_code_becomes_a_version_that_waits_for_its_inspection(people: People, control: ControlQueue) -> None:
    version = model(people, filename="net.py", note="first")
    assert (version.number, version.state, version.source, version.note) == (1, "inspecting", "file", "first")
    assert control.jobs == [("studio.registry.inspect.inspect_model_version", {"version_id": version.pk})]
    assert AuditEntry.objects.get(action="model.register").actor == people.owner


def test_the_same_code_gives_the_same_version(people: People, control: ControlQueue) -> None:
    first = model(people)
    assert model(people, code=CODE.replace("\n", "\r\n")).pk == first.pk
    second = model(people, code=CODE + "# more\n")
    assert (second.model_id, second.number) == (first.model_id, 2)
    assert len(control.jobs) == 2


def test_another_class_of_the_same_file_is_another_version(people: People, control: ControlQueue) -> None:
    first = model(people, class_name="Net")
    assert model(people, class_name="Net").pk == first.pk
    assert model(people, class_name="Other").number == 2


def test_code_that_was_rejected_is_inspected_again(people: People, control: ControlQueue) -> None:
    version = model(people)
    settle(version, VersionState.REJECTED, reason="No module named 'timm'.")
    again = model(people)
    assert (again.pk, again.state, again.reason) == (version.pk, "inspecting", "")
    assert len(control.jobs) == 2


def test_code_needs_the_right_to_run_it(people: People, control: ControlQueue) -> None:
    for register in (model, lambda p, user: _data_code(p, user), lambda p, user: _package(p, user)):
        with pytest.raises(CodeRightMissing):
            register(people, "editor")
    assert not Model.objects.exists()
    assert not Dataset.objects.exists()
    Membership.objects.filter(user=people.editor).update(may_run_code=True)
    assert model(people, "editor").number == 1


def _data_code(people: People, user: str) -> DatasetVersion:
    return create_dataset_from_code(project=people.project, user=getattr(people, user), name="D", code=CODE)


def _package(people: People, user: str, path: str = "torch.nn:Linear") -> ModelVersion:
    return create_model_from_package(project=people.project, user=getattr(people, user), name="P", path=path)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("", "no code"),
        (" \n\t\n", "no code"),
        ("x = 1\0", "NUL"),
        ("x = '\ud800'", "broken characters"),
        ("#" * (MAX_CODE_BYTES + 1), "at most 1,048,576"),
    ],
)
def test_code_that_is_none_is_refused_at_its_field(
    people: People, control: ControlQueue, code: str, words: str
) -> None:
    with pytest.raises(RegistryError, match=words) as raised:
        model(people, code=code)
    assert raised.value.field == "code"
    assert not Model.objects.exists()


@pytest.mark.parametrize(
    "path", ["", "torch", "torch.nn", "torch.nn:", ":Linear", "a b:C", "../x:Y", "os:system()", "a:b:c", "1a:B"]
)
def test_a_package_path_names_a_module_and_a_class(people: People, control: ControlQueue, path: str) -> None:
    with pytest.raises(RegistryError) as raised:
        _package(people, "owner", path)
    assert raised.value.field == "path"


def test_the_same_package_path_gives_the_same_version(people: People, control: ControlQueue) -> None:
    assert _package(people, "owner").pk == _package(people, "owner").pk
    assert _package(people, "owner", "torch.nn:Conv2d").number == 2


@pytest.mark.parametrize("name", ["", "   ", "x" * 81, "a\nb", "a\0b", "\u2028", "\ud800", "a\tb"])
def test_a_name_that_cannot_be_shown_is_refused(name: str) -> None:
    with pytest.raises(RegistryError) as raised:
        clean_name(name)
    assert raised.value.field == "name"


@pytest.mark.parametrize(
    "name",
    ["<script>alert(1)</script>", "=cmd|' /C calc'!A0", "../../etc", "שלום", "é", "👩‍👩‍👧", "a" * 80, "{{ 7*7 }}"],
)
def test_odd_names_are_kept_as_they_are(people: People, control: ControlQueue, name: str) -> None:
    assert Model.objects.get(pk=model(people, name=name).model_id).name == name


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=100))
def test_any_name_is_kept_or_refused(name: str) -> None:
    try:
        kept = clean_name(name)
    except RegistryError:
        return
    assert 0 < len(kept) <= 80
    assert clean_name(kept) == kept


@pytest.mark.django_db(transaction=True)
def test_two_people_at_once_get_different_numbers(people: People, control: ControlQueue) -> None:
    errors: list[BaseException] = []

    def register(number: int) -> None:
        try:
            model(people, code=f"{CODE}# {number}\n")
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=register, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors
    assert sorted(ModelVersion.objects.values_list("number", flat=True)) == [1, 2, 3, 4, 5, 6]
    assert Model.objects.count() == 1


def test_a_ready_version_is_never_changed(people: People, control: ControlQueue) -> None:
    version = model(people)
    assert settle(version, VersionState.READY, ref="Net")
    assert not settle(version, VersionState.REJECTED, reason="no")
    assert not versions.inspect_again(version)
    with pytest.raises(ValueError, match="never changes"):
        settle(version, VersionState.REJECTED, was=VersionState.READY)
    version.refresh_from_db()
    assert (version.state, version.ref, version.reason) == ("ready", "Net", "")


def test_one_of_several_classes_is_chosen(people: People, control: ControlQueue) -> None:
    version = model(people)
    settle(version, VersionState.CHOOSING, info={"classes": [{"name": "A"}, {"name": "B"}]})
    with pytest.raises(RegistryError, match="A, B"):
        choose_class(version=version, user=people.owner, class_name="C")
    assert choose_class(version=version, user=people.owner, class_name="B")
    version.refresh_from_db()
    assert (version.state, version.ref) == ("inspecting", "B")
    assert len(control.jobs) == 2


def test_bytes_become_a_blob_and_a_table_that_waits(people: People, control: ControlQueue) -> None:
    version = table(people)
    assert (version.ref, version.state, version.size_bytes) == ("CSVTable", "inspecting", len(CSV))
    control.work()
    version.refresh_from_db()
    assert version.state == "choosing"
    assert blobs.path_of(version.blobs["path"]).read_bytes() == CSV
    assert version.info["filename"] == "flowers.csv"


def test_the_same_table_gives_the_same_version(people: People, control: ControlQueue) -> None:
    first = table(people)
    assert table(people).pk == first.pk
    assert table(people, wanted={"target": "kind"}).number == 2
    assert table(people, data=CSV + b"9,a\n").number == 3


def test_an_upload_becomes_a_dataset(people: People, control: ControlQueue) -> None:
    upload = begin_upload(project=people.project, user=people.editor, filename="f.csv", size_bytes=len(CSV))
    with pytest.raises(RegistryError, match="not finished"):
        table(people, data=None, upload=upload)
    receive_chunk(upload, offset=0, data=CSV)
    version = table(people, data=None, upload=upload)
    control.work()
    version.refresh_from_db()
    assert (version.state, version.size_bytes) == ("choosing", len(CSV))
    assert blobs.path_of(version.blobs["path"]).read_bytes() == CSV
    assert not path_of(upload).exists()
    assert not Upload.objects.exists()


def test_an_upload_of_somebody_else_is_refused(people: People, control: ControlQueue) -> None:
    upload = begin_upload(project=people.project, user=people.owner, filename="f.csv", size_bytes=len(CSV))
    receive_chunk(upload, offset=0, data=CSV)
    with pytest.raises(RegistryError, match="not yours"):
        table(people, data=None, upload=upload)


def test_an_upload_that_is_not_what_was_announced_is_rejected(people: People, control: ControlQueue) -> None:
    upload = begin_upload(
        project=people.project, user=people.editor, filename="f.csv", size_bytes=len(CSV), sha256="1" * 64
    )
    receive_chunk(upload, offset=0, data=CSV)
    version = table(people, data=None, upload=upload)
    control.work()
    version.refresh_from_db()
    assert version.state == "rejected"
    assert "not the file that was announced" in version.reason


def test_nothing_chosen_and_an_empty_file_are_refused(people: People, control: ControlQueue) -> None:
    for source, words in (({"data": None}, "Choose a file"), ({"data": b""}, "0 bytes")):
        with pytest.raises(RegistryError, match=words) as raised:
            table(people, **source)
        assert raised.value.field == "file"
    assert not Dataset.objects.exists()


def test_a_name_keeps_its_kind(people: People, control: ControlQueue) -> None:
    table(people, name="D")
    with pytest.raises(RegistryError, match="another kind") as raised:
        create_dataset_from_text(project=people.project, user=people.editor, name="D", data=b"x" * 300)
    assert raised.value.field == "name"


def test_an_archived_name_takes_no_versions(people: People, control: ControlQueue) -> None:
    version = model(people)
    archive_entry(entry=version.model, archived=True, user=people.owner)
    with pytest.raises(RegistryError, match="archived"):
        model(people, code=CODE + "#\n")
    archive_entry(entry=version.model, archived=False, user=people.owner)
    assert model(people, code=CODE + "#\n").number == 2


def test_a_silent_inspection_is_queued_again_and_given_up_in_the_end(people: People, control: ControlQueue) -> None:
    version = model(people)
    assert requeue_silent_inspections() == 0
    for again in range(1, MAX_INSPECTIONS + 1):
        silence(version)
        assert versions.begin_inspection(ModelVersion, version.pk) is not None
        silence(version)
        assert requeue_silent_inspections() == 1
        assert len(control.jobs) == min(again, MAX_INSPECTIONS - 1) + 1
    version.refresh_from_db()
    assert version.state == "rejected"
    assert "3 times without a result" in version.reason


def silence(version: ModelVersion) -> None:
    ModelVersion.objects.filter(pk=version.pk).update(touched_at=timezone.now() - timedelta(minutes=10))

"""A run as a folder: downloaded, unzipped somewhere else, trained again there by a Python without the studio."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from typing import Any

import PIL.Image  # noqa: F401 - a package that is installed by another name
import pytest
import torch
from django.test import Client
from django.urls import reverse

from studio.core import blobs
from studio.core.zipping import SMALL_BYTES, Entry, zipped
from studio.runs import folder
from studio.runs.checkpoints import folder_of, path_of
from studio.runs.engine_files import exact_builds, requirements
from studio.runs.models import Run, State
from tests.access.people import People
from tests.factories import (
    make_attempt,
    make_checkpoint,
    make_dataset_version,
    make_external_run,
    make_project,
    make_run,
    write_checkpoint,
)
from trainer_core.checkpoint.io import sha256_of
from trainer_core.launch import Attempt
from trainer_core.launching.packages import imported
from trainer_core.spec import DataRef, ModelRef, RunSpec
from trainer_core.standalone import again, reproduce

CODE = """
import torch
from lightning.pytorch import LightningModule


class Mine(LightningModule):
    def __init__(self, in_features: int):
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Linear(in_features, 8), torch.nn.Dropout(0.2), torch.nn.Linear(8, 2))

    def training_step(self, batch, batch_idx):
        return torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1]))

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=0.01)
"""
BUILT = "--extra-index-url https://download.pytorch.org/whl/cpu\ntorch==2.99.0+cpu\n"
TABLE = "x,y,kind\n" + "".join(f"{i % 7},{i * 3 % 11},{'ab'[i * i % 5 % 2]}\n" for i in range(60))


@pytest.fixture
def finished(people: People, own_lightning: None, tmp_path: Path, monkeypatch: Any) -> Run:
    """A run of code of one's own on an uploaded table, trained as workers do it."""
    digest, _ = blobs.put_bytes(TABLE.encode())
    data = DataRef("zoo", "CSVTable", {"target": "kind"}, files={"path": str(blobs.path_of(digest))})
    trainer = {"max_epochs": 2, "accelerator": "cpu", "enable_model_summary": False}
    spec = RunSpec(ModelRef("file", "Mine", code=CODE), data, trainer=trainer, seed=11)
    version = make_dataset_version(project=people.project, ref="CSVTable", blobs={"path": digest})
    run = make_run(
        people.project, state=State.SUCCEEDED, dataset_version=version, spec=spec.to_dict(), spec_hash=spec.hash
    )
    place = tmp_path / "a1"
    place.mkdir()
    (place / "spec.json").write_text(spec.to_json())
    (place / "attempt.json").write_text(json.dumps({"fence": 1}))
    monkeypatch.chdir(place)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    assert Attempt(place).run() == 0
    torch.set_num_threads(threads)
    saved = max((tmp_path / "checkpoints").iterdir())
    made = make_checkpoint(run, step=int(saved.name[5:13]), manifest_sha256=sha256_of(saved / "manifest.json"))
    shutil.copytree(saved, folder_of(run.pk) / made.name)
    make_attempt(
        run,
        host={"versions": {"torch": "2.99.0+cpu", "python": "3.11.2"}, "threads": 1, "device": "cpu", "simd": "AVX9"},
    )
    return run


def body(response: Any) -> bytes:
    async def collect() -> bytes:
        return b"".join([piece async for piece in response])

    return asyncio.run(collect())


def download(reader: People | Client, run: Run, query: str = "data=1&weights=1") -> zipfile.ZipFile:
    client = reader.client("viewer") if isinstance(reader, People) else reader
    response = client.get(reverse("run-folder-zip", args=[run.pk]) + f"?{query}")
    assert response.status_code == 200
    assert f'filename="{folder.folder_name(run)}.zip"' in response["Content-Disposition"]
    return zipfile.ZipFile(io.BytesIO(body(response)))


def without_studio(place: Path) -> Path:
    """The Python of an environment that has what this one has, but neither the studio nor what serves it."""
    venv.create(place, with_pip=False)
    into = next((place / "lib").glob("python3*")) / "site-packages"
    away = ("django", "studio", "trainer_core", "training_studio", "__editable__", "redis", "rq", "channels")
    for folder_ in {Path(module.__file__).parents[1] for name in ("torch", "numpy", "PIL", "yaml")
                    if (module := __import__(name)).__file__}:  # fmt: skip
        for entry in folder_.iterdir():
            if not entry.name.lower().startswith(away) and entry.suffix != ".pth" and not (into / entry.name).exists():
                (into / entry.name).symlink_to(entry)
    return place / "bin" / "python"


@pytest.mark.django_db
def test_the_unzipped_folder_trains_the_same_bits_without_the_studio(
    people: People, finished: Run, tmp_path: Path
) -> None:
    download(people, finished).extractall(tmp_path / "elsewhere")
    (home,) = (tmp_path / "elsewhere").iterdir()
    python = without_studio(tmp_path / "env")
    clean = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    seen = subprocess.run([python, "-c", "import django"], env=clean, capture_output=True, text=True, check=False)
    assert "No module named 'django'" in seen.stderr
    command = [sys.executable, "-I", str(home / "reproduce.py"), "--python", str(python)]
    done = subprocess.run(command, env=clean, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == again.EQUAL, done.stdout + done.stderr
    assert "bit-equal" in done.stdout
    assert f"the run used torch 2.99.0+cpu, this is {torch.__version__}: another version may" in done.stdout
    assert "computed with AVX9, this one does with" in done.stdout
    expected = json.loads((home / again.EXPECTED).read_text())
    newest = max((home / again.AGAIN / "checkpoints").iterdir())
    other = {**expected, "weights_sha256": "0" * 64}
    weights = torch.load(newest / "checkpoint.ckpt", weights_only=True)
    weights["state_dict"]["net.0.bias"][1] += 0.5
    torch.save(weights, home / expected["weights"])
    assert again._compared(home, other) == again.DIFFERENT


@pytest.mark.django_db
def test_it_holds_what_a_reader_needs_and_nothing_of_the_machine(
    people: People, finished: Run, django_assert_max_num_queries: Any, settings: Any
) -> None:
    viewer = people.client("viewer")
    with django_assert_max_num_queries(12):
        whole = download(viewer, finished)
    top = folder.folder_name(finished)
    texts = {n.removeprefix(f"{top}/"): whole.read(n) for n in whole.namelist() if "trainer_core" not in n}
    assert set(texts) == {
        "README.md", "requirements.txt", "config.yaml", "run/spec.json", "run/expected.json", "code/model.py",
        "reproduce.py", "data/path", "weights/checkpoint.ckpt", "requirements-build.txt",
    }  # fmt: skip
    assert texts["requirements-build.txt"].decode() == BUILT
    assert "the run had torch 2.99.0+cpu" in texts["README.md"].decode()
    assert f"{top}/trainer_core/launch.py" in whole.namelist()
    assert texts["data/path"].decode() == TABLE
    assert texts["code/model.py"].decode() == CODE
    assert "torch==2.99.0\n" in texts["requirements.txt"].decode()
    assert "numpy==" in texts["requirements.txt"].decode()
    said = b"".join(v for n, v in texts.items() if n != "weights/checkpoint.ckpt")
    for secret in (str(settings.DATA_DIR), str(settings.RUNS_DIR), people.owner.email, "user", "token"):
        assert secret.encode() not in said.replace(b"user's", b""), secret
    assert "Dropout" in texts["code/model.py"].decode()


@pytest.mark.django_db
def test_data_that_is_left_out_is_named_by_its_digest_and_asked_for(
    people: People, finished: Run, tmp_path: Path, capsys: Any
) -> None:
    small = download(people, finished, "weights=1")
    top = folder.folder_name(finished)
    assert f"{top}/data/path" not in small.namelist()
    digest = finished.dataset_version.blobs["path"]  # type: ignore[union-attr]
    assert f"sha256 `{digest}`: **not in this folder**" in small.read(f"{top}/README.md").decode()
    small.extractall(tmp_path / "small")
    home = tmp_path / "small" / top
    assert again.train_again(home, {}) == again.UNKNOWN
    assert f"sha256 is {digest}: python3 reproduce.py --data path=FILE" in capsys.readouterr().out
    table = tmp_path / "mine.csv"
    table.write_text(TABLE)
    spec = again._placed(RunSpec.read(home / again.SPEC), home, {"path": str(table)})
    assert spec.data.files == {"path": str(table)}
    assert spec.hash == finished.spec_hash


@pytest.mark.django_db
def test_data_by_its_path_on_the_server_never_leaves(people: People, finished: Run) -> None:
    files = finished.spec["data"]["files"]
    mark = {"size_bytes": len(TABLE), "mtime_ns": 1, "sha256": "5" * 64}
    finished.spec["data"]["marks"] = {"path": mark}
    finished.save(update_fields=["spec"])
    whole = download(people, finished)
    top = folder.folder_name(finished)
    assert f"{top}/data/path" not in whole.namelist()
    assert files["path"] not in whole.read(f"{top}/README.md").decode()
    page = people.client("viewer").get(reverse("run-folder", args=[finished.pk])).content.decode()
    assert "so it stays there" in page
    assert files["path"] not in page


@pytest.mark.django_db
def test_weights_of_another_project_that_a_run_began_with_are_asked_for(
    people: People, tmp_path: Path, capsys: Any
) -> None:
    mine, other = (
        write_checkpoint(make_run(p, state=State.SUCCEEDED)) for p in (people.project, make_project(team=people.team))
    )
    for number, checkpoint in enumerate((mine, other)):
        run = make_run(people.project, state=State.SUCCEEDED, start_checkpoint=checkpoint)
        run.spec["start"] = {"mode": "weights", "sha256": "c" * 64, "file": str(path_of(checkpoint)), "name": "one"}
        run.save(update_fields=["spec"])
        whole, top = download(people, run), folder.folder_name(run)
        assert (f"{top}/start/checkpoint.ckpt" in whole.namelist()) is (checkpoint == mine)
        assert str(path_of(checkpoint)) not in whole.read(f"{top}/run/spec.json").decode()
        whole.extractall(tmp_path / str(number))
    assert f"sha256 is `{'c' * 64}`" in " ".join(whole.read(f"{top}/README.md").decode().split())
    assert again.train_again(tmp_path / "1" / top, {}) == again.UNKNOWN
    assert f"sha256 is {'c' * 64} at start/checkpoint.ckpt" in capsys.readouterr().out


@pytest.mark.django_db
def test_what_cannot_be_trained_again_says_why(people: People) -> None:
    outside = make_external_run(people.project, state=State.SUCCEEDED)
    for name, status in (("run-folder", 200), ("run-folder-zip", 409)):
        response = people.client("viewer").get(reverse(name, args=[outside.pk]))
        assert response.status_code == status
        assert "outside of the studio" in response.content.decode()
    failed = make_run(people.project, state=State.FAILED)
    with download(people, failed) as whole:
        expected = json.loads(whole.read(f"{folder.folder_name(failed)}/run/expected.json"))
    assert expected["weights_sha256"] == ""


def test_each_tensor_that_differs_is_named() -> None:
    one = {"a": torch.zeros(3), "b": torch.ones(2), "c": torch.ones(1)}
    other = {"a": torch.tensor([0, 0.25, 0]), "b": torch.ones(2, 1), "d": torch.ones(1)}
    assert again.differences(one, one) == []
    first, second, third, fourth = again.differences(one, other)
    assert first == "  a: 1 of 3 values, by up to 0.25."
    assert "(2,) torch.float32 became (2, 1)" in second
    assert "c is in one" in third
    assert "d is in one" in fourth
    assert again.differences({f"w{i}": torch.zeros(1) for i in range(30)}, {})[-1] == "  and 20 more tensors."


def test_builds_are_named_with_their_index_or_not_at_all() -> None:
    host = {"versions": {"torchvision": "0.30.0+cu130", "torch": "2.13.0+cu130", "numpy": "2.3.4", "other": "1+local"}}
    assert exact_builds(host).splitlines() == [
        "--extra-index-url https://download.pytorch.org/whl/cu130", "torch==2.13.0+cu130", "torchvision==0.30.0+cu130",
    ]  # fmt: skip
    assert requirements(host).splitlines()[:2] == ["numpy==2.3.4", "other==1"]
    for version in ("2.13.0", "2.14.0a0+git1a2b3c", "2.13.0+cpu/../x", ""):
        assert exact_builds({"versions": {"torch": version}}) == ""


def test_another_build_is_told_apart_from_another_version() -> None:
    assert again._other_torch("2.13.0+cpu", "2.13.0+cpu") == again._other_torch("", "2.13.0") == ""
    assert "the same version in another build" in again._other_torch("2.13.0+cpu", "2.13.0+cu130")
    assert "another version" in again._other_torch("2.12.1+cpu", "2.13.0+cpu")


@pytest.mark.parametrize("is_there", [True, False])
def test_the_builds_of_the_run_are_installed_or_what_differs_is_said(
    tmp_path: Path, monkeypatch: Any, capfd: Any, is_there: bool
) -> None:
    """pip finds `tiny` 1.0 in its local build +cpu and plainly, or plainly alone; there is no other index."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for version in ("1.0", *(["1.0+cpu"] if is_there else [])):
        write_wheel(wheels, version)
    (tmp_path / "requirements.txt").write_text("tiny==1.0\n")
    (tmp_path / "requirements-build.txt").write_text("tiny==1.0+cpu\n")
    monkeypatch.setattr(reproduce, "HERE", tmp_path)
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    python = reproduce._environment()
    code = "from importlib.metadata import version; print(version('tiny'))"
    found = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    said = capfd.readouterr().out
    assert found == ("1.0+cpu" if is_there else "1.0")
    assert ("the builds that the run had (tiny==1.0+cpu) cannot be had here" in said) is not is_there
    reproduce._environment()
    assert capfd.readouterr().out == "", "once"


def write_wheel(folder: Path, version: str) -> None:
    with zipfile.ZipFile(folder / f"tiny-{version}-py3-none-any.whl", "w") as wheel:
        info = f"tiny-{version}.dist-info"
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def test_a_trainer_tells_what_it_has_imported() -> None:
    found = imported()
    assert found["torch"] == torch.__version__
    assert {"numpy", "pillow"} <= set(found)
    assert not {"os", "json", "trainer_core", "tests"} & set(found)


@pytest.mark.usefixtures("own_lightning")
def test_what_the_engine_stands_for_is_no_package_that_a_reader_needs() -> None:
    from trainer_core.compat.lightning import install

    install()
    import lightning.pytorch

    assert "trainer_core" in str(lightning.pytorch.__file__)
    assert "lightning" not in imported()


def test_a_zip_is_made_piece_by_piece(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(os.urandom(1000) * (SMALL_BYTES // 1000 + 1000))
    pieces = list(zipped([Entry("top/a.txt", "ä"), Entry("top/large", large)]))
    assert max(map(len, pieces)) <= 2 << 20
    assert pieces == list(zipped([Entry("top/a.txt", "ä"), Entry("top/large", large)]))
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as whole:
        assert whole.testzip() is None
        assert whole.read("top/a.txt").decode() == "ä"
        assert whole.read("top/large") == large.read_bytes()

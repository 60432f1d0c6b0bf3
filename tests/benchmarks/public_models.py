"""Models that others published, through a real studio: `python -m tests.benchmarks.public_models FOLDER [CLASS …]`.

FOLDER has them as they were published: packages as `pip download --no-deps` and unpacking their wheels leave them, and
single files of repositories under the path that `MODELS` names. Each is registered as a person does, inspected, held to
the fields it should have, and trained for a few steps on fitting data. Prints a table and "n of n"; what is not in the
folder counts as missing. The exit code is 1 unless all train. Packages that they import are those of this environment.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from studio.client import Client
from studio.client.errors import StudioError
from tests.ops.stack import Browser, Studio, eventually, token_of

STEPS, LIMIT_S = 6, 180.0
DATA = '''
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, TensorDataset


class Batches(LightningDataModule):
    """Random examples: inputs and targets of a shape, as numbers or as classes below a limit; '-' is a scalar.

    Args:
        x: Sizes of an input.
        y: Sizes of a target; empty for none.
    """

    def __init__(self, x: str = "3 32 32", y: str = "-", x_classes: int = 0, y_classes: int = 10, batch_size: int = 4):
        super().__init__()
        self.parts = [(x, x_classes), *([(y, y_classes)] if y != "none" else [])]
        self.batch_size = batch_size

    def train_dataloader(self):
        made = []
        for shape, classes in self.parts:
            size = (8 * self.batch_size, *(() if shape == "-" else map(int, shape.split())))
            made.append(torch.randint(0, classes, size) if classes else torch.rand(size))
        data = TensorDataset(*made)
        return DataLoader(Bare(*made) if len(made) == 1 else data, batch_size=self.batch_size)

    val_dataloader = train_dataloader


class Bare(TensorDataset):
    def __getitem__(self, index):
        return super().__getitem__(index)[0]
'''


@dataclass(frozen=True)
class Published:
    """`fields` must be among those that inspection finds; `data` is a built-in dataset, or arguments of `Batches`."""

    name: str
    path: str
    cls: str
    licence: str
    fields: str
    args: dict[str, Any] = field(default_factory=dict)
    data: str | dict[str, Any] = field(default_factory=dict)


VIT: dict[str, Any] = {"patch_size": 8, "dim": 32, "depth": 1, "heads": 2, "mlp_dim": 32}
FLAT: dict[str, Any] = {"x": "32", "y": "none"}
DEMOS = "lightning/pytorch/demos"
MODELS = [
    Published("Lightning demo", f"{DEMOS}/boring_classes.py", "BoringModel", "Apache-2.0", "", {}, FLAT),
    Published("Lightning demo", f"{DEMOS}/boring_classes.py", "ManualOptimBoringModel", "Apache-2.0", "", {}, FLAT),
    Published("Lightning demo", f"{DEMOS}/boring_classes.py", "DemoModel", "Apache-2.0", "out_dim learning_rate", {}, FLAT),
    Published("pytorch-cifar", "pytorch-cifar/models/lenet.py", "LeNet", "MIT", "cifar100 lr"),
    Published("pytorch-cifar", "pytorch-cifar/models/mobilenet.py", "MobileNet", "MIT", "num_classes lr"),
    Published("vit-pytorch", "vit_pytorch/vit.py", "ViT", "MIT",
              "image_size patch_size num_classes dim depth heads mlp_dim pool channels dim_head dropout lr", {**VIT, "image_size": 32, "num_classes": 10}),
    Published("vit-pytorch", "vit_pytorch/simple_vit.py", "SimpleViT", "MIT", "image_size patch_size channels lr",
              {**VIT, "patch_size": 2}, "Digits"),
    Published("vit-pytorch", "vit_pytorch/deepvit.py", "DeepViT", "MIT", "image_size patch_size pool", {**VIT, "patch_size": 4}, "Digits"),
    Published("vit-pytorch", "vit_pytorch/cait.py", "CaiT", "MIT", "image_size cls_depth",
              {**VIT, "cls_depth": 1, "image_size": 32, "num_classes": 10}),
    Published("vit-pytorch", "vit_pytorch/nest.py", "NesT", "MIT", "image_size patch_size num_hierarchies block_repeats",
              {"patch_size": 4, "dim": 16, "heads": 2, "num_hierarchies": 2, "block_repeats": 1, "image_size": 32, "num_classes": 10}),
    Published("vit-pytorch", "vit_pytorch/cvt.py", "CvT", "MIT", "num_classes s1_emb_dim s3_depth",
              {"num_classes": 10, "s1_emb_dim": 16, "s2_emb_dim": 16, "s3_emb_dim": 16, "s3_depth": 1, "s2_heads": 1, "s3_heads": 1}),
    Published("mlp-mixer-pytorch", "mlp_mixer_pytorch/mlp_mixer_pytorch.py", "MLPMixer", "MIT", "image_size channels patch_size dim depth num_classes lr",
              {"patch_size": 4, "dim": 16, "depth": 1}, "Digits"),
    Published("g-mlp-pytorch", "g_mlp_pytorch/g_mlp_pytorch.py", "gMLPVision", "MIT", "image_size patch_size num_classes dim depth heads",
              {"patch_size": 4, "dim": 16, "depth": 1, "image_size": 32, "num_classes": 10}),
    Published("res-mlp-pytorch", "res_mlp_pytorch/res_mlp_pytorch.py", "ResMLP", "MIT", "image_size patch_size dim depth num_classes",
              {"patch_size": 4, "dim": 16, "depth": 1, "image_size": 32, "num_classes": 10}),
    Published("rtdl_revisiting_models", "rtdl_revisiting_models.py", "MLP", "Apache-2.0", "d_in d_out n_blocks d_block dropout lr",
              {"n_blocks": 2, "d_block": 16, "dropout": 0.1}, "Wine"),
    Published("rtdl_revisiting_models", "rtdl_revisiting_models.py", "ResNet", "Apache-2.0", "d_in d_out n_blocks d_block d_hidden_multiplier dropout1",
              {"n_blocks": 2, "d_block": 16, "d_hidden_multiplier": 2.0, "dropout1": 0.1, "dropout2": 0.0}, "Diabetes"),
]  # fmt: skip


def source_of(model: Published, folder: Path) -> str | None:
    """Its text: of the folder, or of the package installed here."""
    path = folder / model.path
    if not path.is_file() and model.path.startswith("lightning/"):
        found = importlib.util.find_spec("lightning")
        path = Path(found.origin).parents[1] / model.path if found and found.origin else path
    return path.read_text(encoding="utf-8") if path.is_file() else None


def register_data(studio: Studio, browser: Browser, client: Client) -> None:
    """Paste `Batches`; returns once it is ready."""
    url = f"{studio.url}/projects/1/datasets/new/?from=code"
    browser.send(browser.get(url), url, name="Batches", code=DATA, class_name="")

    def is_ready() -> bool:
        try:
            return client.datasets.version_id_of("Batches", 1) > 0
        except StudioError:
            return False

    eventually(is_ready, "the data is ready", LIMIT_S)


def trained(client: Client, model: Published, code: str) -> str:
    """How many fields it has and what its run says; StudioError if it is refused, lacks fields, or does not train."""
    version = client.models.create(f"{model.name} {model.cls}", code, project=1, class_name=model.cls).wait(LIMIT_S)
    names = {param["name"] for param in version.params}
    if missing := {*model.fields.split()} - names:
        raise StudioError(f"fields missing: {', '.join(sorted(missing))}")
    built_in = isinstance(model.data, str)
    run = client.runs.create(
        project=1,
        model=version,
        dataset=model.data if isinstance(model.data, str) else "Batches",
        model_args=model.args,
        data_args={} if built_in else model.data,
        trainer={"max_steps": STEPS, "limit_val_batches": 1, "accelerator": "cpu"},
    ).wait(LIMIT_S)
    if run.state != "succeeded":
        raise StudioError(f"{run.state}: {run.reason}")
    return f"{len(names)} fields, trained; it logs {', '.join(run.summary) or 'nothing'}"


def main() -> int:
    folder, trains = Path(sys.argv[1] if len(sys.argv) > 1 else "."), 0
    models = [model for model in MODELS if model.cls in sys.argv[2:] or not sys.argv[2:]]
    with tempfile.TemporaryDirectory() as name:
        studio, browser = Studio(Path(name) / "data", "--port", "0").wait_ready(), Browser()
        try:
            client = Client(studio.url, token_of(studio, browser))
            register_data(studio, browser, client)
            for model in models:
                code = source_of(model, folder)
                try:
                    words = trained(client, model, code) if code is not None else f"MISSING: {model.path}"
                    trains += code is not None
                except StudioError as error:
                    words = f"FAILED: {error}"
                print(f"{model.name:<24} {model.cls:<24} {model.licence:<11} {words}", flush=True)
        finally:
            studio.stop()
    print(f"{trains} of {len(models)}")
    return int(trains < len(models))


if __name__ == "__main__":
    sys.exit(main())

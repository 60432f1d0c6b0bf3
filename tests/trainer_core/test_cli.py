"""LightningCLI: subcommands, configuration files, chosen classes, optimizers, links, seeds and errors in words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from trainer_core import Callback, LightningDataModule, LightningModule, Trainer
from trainer_core.callbacks import EarlyStopping, LambdaCallback
from trainer_core.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from trainer_core.errors import MisconfigurationException
from trainer_core.loggers import CSVLogger


class Block(torch.nn.Module):
    def __init__(self, width: int = 2) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


class Line(LightningModule):
    def __init__(self, width: int = 1, rate: float = 0.1) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(2, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        loss = self(batch[0]).square().mean()
        self.log("loss", loss)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val", self(batch[0]).square().mean())

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.log("test", self(batch[0]).square().mean())

    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        return self(batch[0])

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=self.hparams.rate)


class Wide(Line):
    def __init__(self, block: torch.nn.Module, rate: float = 0.1) -> None:
        LightningModule.__init__(self)
        self.save_hyperparameters()
        self.layer = block  # type: ignore[assignment]


class CalledAlone(Line):
    """Can be chosen by its name alone, which no other class has."""


class Data(LightningDataModule):
    def __init__(self, rows: int = 8, batch_size: int = 2) -> None:
        super().__init__()
        self.rows, self.batch_size, self.columns = rows, batch_size, 2

    def loader(self) -> Any:
        data = torch.utils.data.TensorDataset(torch.ones(self.rows, self.columns))
        return torch.utils.data.DataLoader(data, batch_size=self.batch_size)

    train_dataloader = val_dataloader = test_dataloader = predict_dataloader = loader  # type: ignore[assignment]


QUIET = {
    "accelerator": "cpu",
    "max_epochs": 2,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "log_every_n_steps": 1,
}


def cli(args: list[str] | dict[str, Any], folder: Path, *classes: Any, kind: Any = LightningCLI, **kwargs: Any) -> Any:
    defaults = {**QUIET, "default_root_dir": str(folder), **kwargs.pop("trainer_defaults", {})}
    return kind(*(classes or (Line, Data)), args=args, trainer_defaults=defaults, **kwargs)


def printed(capsys: pytest.CaptureFixture[str], args: list[str], folder: Path, *classes: Any, **kwargs: Any) -> Any:
    with pytest.raises(SystemExit) as ended:
        cli([*args, "--print_config"], folder, *classes, **kwargs)
    assert ended.value.code in (0, None)
    return yaml.safe_load(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], args: list[str], folder: Path, *classes: Any, **kwargs: Any) -> str:
    with pytest.raises(SystemExit) as ended:
        cli(args, folder, *classes, **kwargs)
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_fit_trains_the_configured_model(tmp_path: Path) -> None:
    made = cli(["fit", "--model.width=3", "--data.rows=4", "--trainer.max_epochs=3"], tmp_path)
    assert made.subcommand == "fit"
    assert made.model.layer.out_features == 3
    assert made.trainer.global_step == 6
    assert made.trainer.current_epoch == 3


def test_the_written_configuration_repeats_the_run_bit_for_bit(tmp_path: Path) -> None:
    first = cli(["fit", "--model.width=3", "--seed_everything=7", "--optimizer=Adam"], tmp_path / "a")
    written = Path(first.trainer.log_dir) / "config.yaml"
    second = cli(["fit", "--config", str(written), f"--trainer.default_root_dir={tmp_path / 'b'}"], tmp_path)
    assert torch.equal(first.model.layer.weight, second.model.layer.weight)
    assert not torch.equal(
        cli(["fit", "--seed_everything=8"], tmp_path / "c").model.layer.weight, first.model.layer.weight
    )


@pytest.mark.parametrize("subcommand", ["validate", "test", "predict"])
def test_every_subcommand_runs_its_function(subcommand: str, tmp_path: Path) -> None:
    seen: list[str] = []
    hooks = {f"on_{kind}_end": lambda *_, kind=kind: seen.append(kind) for kind in ("validation", "test", "predict")}
    cli([subcommand], tmp_path, trainer_defaults={"callbacks": LambdaCallback(**hooks)})
    assert seen == ["validation" if subcommand == "validate" else subcommand]


def test_print_config_has_every_key_and_what_was_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = printed(capsys, ["fit", "--model.width=5"], tmp_path)
    assert list(config) == [
        "seed_everything", "trainer", "model", "data", "optimizer", "lr_scheduler", "ckpt_path", "weights_only",
    ]  # fmt: skip
    assert config["model"] == {"width": 5, "rate": 0.1}
    assert config["trainer"]["max_epochs"] == 2


REAL = """
import sys, yaml, io, contextlib
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LightningCLI
class Line(LightningModule):
    def __init__(self, width: int = 1, rate: float = 0.1): super().__init__()
out = io.StringIO()
with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
    LightningCLI(Line, args=["fit", "--optimizer=SGD", "--lr_scheduler=StepLR", "--lr_scheduler.step_size=3",
        "--trainer.callbacks=EarlyStopping", "--trainer.callbacks.monitor=loss", "--print_config"])
config = yaml.safe_load(out.getvalue())
config["trainer"]["callbacks"] = [sorted(c["init_args"]) for c in config["trainer"]["callbacks"]]
print(yaml.safe_dump(config))
"""


def test_print_config_is_that_of_the_real_package(tmp_path: Path) -> None:
    def run(code: str) -> Any:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path.cwd(), timeout=100)
        assert done.returncode == 0, done.stderr
        return yaml.safe_load(done.stdout)

    theirs = run(REAL)
    ours = run(REAL.replace("lightning.pytorch.cli", "trainer_core.cli").replace("lightning.pytorch", "trainer_core"))
    ours["trainer"] = {name: ours["trainer"][name] for name in theirs["trainer"]}  # this trainer has more arguments
    assert ours == theirs


def test_the_model_is_chosen_by_name_and_a_wrong_name_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = cli(["--model=CalledAlone", "--model.width=4", f"--data={__name__}.Data"], tmp_path, None, None, run=False)
    assert type(made.model) is CalledAlone
    assert made.model.layer.out_features == 4
    assert type(made.datamodule) is Data
    text = refused(capsys, ["fit", "--model=NoSuchModel"], tmp_path, None, None)
    assert "NoSuchModel" in text


def test_optimizer_and_scheduler_come_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = cli(
        ["fit", "--optimizer=Adam", "--optimizer.lr=0.01", "--lr_scheduler=ExponentialLR", "--lr_scheduler.gamma=0.5"],
        tmp_path,
    )
    (optimizer,) = made.trainer.optimizers
    assert isinstance(optimizer, torch.optim.Adam)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.01 * 0.5**2)
    assert "Line.configure_optimizers is replaced" in capsys.readouterr().err


def test_plateau_scheduler_watches_the_monitor_that_was_given(tmp_path: Path) -> None:
    made = cli(
        ["fit", "--optimizer=SGD", "--optimizer.lr=0", "--lr_scheduler=ReduceLROnPlateau"]
        + ["--lr_scheduler.monitor=val", "--lr_scheduler.patience=0", "--trainer.max_epochs=3"],
        tmp_path,
    )
    (config,) = made.trainer.lr_scheduler_configs
    assert (config.monitor, config.reduce_on_plateau) == ("val", True)
    assert config.scheduler.num_bad_epochs == 0
    assert config.scheduler.best == made.trainer.callback_metrics["val"]


class Linked(LightningCLI):
    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_lightning_class_args(EarlyStopping, "stop")
        parser.set_defaults({"stop.monitor": "val", "stop.patience": 9})
        parser.link_arguments("data.batch_size", "model.width")
        parser.link_arguments("data.columns", "model.rate", apply_on="instantiate")


def test_arguments_are_linked_and_callbacks_have_their_own_key(tmp_path: Path) -> None:
    made = cli(["fit", "--data.batch_size=4", "--stop.patience=5"], tmp_path, kind=Linked)
    assert made.model.layer.out_features == 4
    assert made.model.hparams.rate == 2
    assert (made.trainer.early_stopping_callback.monitor, made.trainer.early_stopping_callback.patience) == ("val", 5)


class TwoRates(LightningModule):
    def __init__(self, make: Any = None, plan: Any = None) -> None:
        super().__init__()
        self.layer, self.make, self.plan = torch.nn.Linear(2, 1), make, plan

    def configure_optimizers(self) -> Any:
        optimizer = self.make(self.parameters())
        return [optimizer], [self.plan(optimizer)]


class LinkedOptimizer(LightningCLI):
    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_optimizer_args((torch.optim.SGD, torch.optim.Adam), "first", link_to="model.make")
        parser.add_lr_scheduler_args(torch.optim.lr_scheduler.StepLR, "plan", link_to="model.plan")


def test_a_linked_optimizer_is_built_by_the_module(tmp_path: Path) -> None:
    args = ["--first=Adam", "--first.lr=0.5", "--plan.step_size=7"]
    made = cli(args, tmp_path, TwoRates, Data, kind=LinkedOptimizer, run=False)
    (optimizer,), (scheduler,) = made.model.configure_optimizers()
    assert isinstance(optimizer, torch.optim.Adam)
    assert optimizer.defaults["lr"] == 0.5
    assert scheduler.step_size == 7


def test_two_optimizers_without_a_link_are_refused(tmp_path: Path) -> None:
    class Two(LightningCLI):
        def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
            parser.add_optimizer_args(nested_key="one")
            parser.add_optimizer_args(nested_key="other")

    with pytest.raises(MisconfigurationException, match=r"Only one optimizer .* got one, other"):
        cli(["--one=SGD", "--one.lr=1"], tmp_path, kind=Two, run=False)


def test_an_existing_configuration_is_not_overwritten(tmp_path: Path) -> None:
    args = ["fit", "--trainer.logger=false", "--trainer.enable_checkpointing=false"]
    cli(args, tmp_path)
    with pytest.raises(RuntimeError, match=r"config\.yaml is there already .*save_config_kwargs"):
        cli(args, tmp_path)
    cli(args, tmp_path, save_config_kwargs={"overwrite": True})
    cli(args, tmp_path, save_config_kwargs={"config_filename": "other.yaml"})
    assert {p.name for p in tmp_path.glob("*.yaml")} == {"config.yaml", "other.yaml"}


def test_the_configuration_can_go_somewhere_else(tmp_path: Path) -> None:
    seen: list[Any] = []

    class Elsewhere(SaveConfigCallback):
        def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
            seen.append((stage, self.parser.dump(self.config)))

    cli(["fit"], tmp_path, save_config_callback=Elsewhere, save_config_kwargs={"save_to_log_dir": False})
    ((stage, text),) = seen
    assert stage == "fit"
    assert "width: 1" in text
    assert not list(tmp_path.rglob("config.yaml"))
    cli(["fit", "--trainer.fast_dev_run=1"], tmp_path, save_config_callback=Elsewhere)
    assert len(seen) == 1


def test_run_false_only_builds_and_a_dict_stands_in_for_the_command_line(tmp_path: Path) -> None:
    made = cli({"model": {"width": 6}, "trainer": {"max_epochs": 5}}, tmp_path, run=False)
    assert made.subcommand is None
    assert made.model.layer.out_features == 6
    assert (made.trainer.max_epochs, made.trainer.global_step) == (5, 0)


def test_trainer_defaults_are_kept_beside_what_is_given(tmp_path: Path) -> None:
    stop = EarlyStopping("val")
    args = ["--trainer.callbacks=LearningRateMonitor", "--trainer.logger=CSVLogger"]
    args += [f"--trainer.logger.save_dir={tmp_path}", "--trainer.logger.name=here"]
    made = cli(args, tmp_path, run=False, trainer_defaults={"callbacks": [stop], "max_epochs": 9})
    kinds = [type(c).__name__ for c in made.trainer.callbacks]
    assert stop in made.trainer.callbacks
    assert "LearningRateMonitor" in kinds
    assert isinstance(made.trainer.logger, CSVLogger)
    assert made.trainer.logger.name == "here"
    assert made.trainer.max_epochs == 9


@pytest.mark.parametrize(
    ("given", "kept"), [([], 12), (["--seed_everything=5"], 5), (["--seed_everything=false"], False)]
)
def test_the_seed_is_set_and_kept(given: list[str], kept: Any, tmp_path: Path) -> None:
    torch.manual_seed(999)
    before = torch.initial_seed()
    made = cli(given, tmp_path, run=False, seed_everything_default=12)
    assert made.config["seed_everything"] == kept
    assert torch.initial_seed() == (before if kept is False else kept)


def test_the_environment_can_give_arguments_where_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PL_FIT__MODEL__WIDTH", "7")
    assert cli(["fit"], tmp_path / "a", parser_kwargs={"default_env": True}).model.layer.out_features == 7
    assert cli(["fit"], tmp_path / "b").model.layer.out_features == 1


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["fit", "--model.width=wide"], "model.width"),
        (["fit", "--trainer.max_epoch=1"], "trainer.max_epoch"),
        (["fly"], "fly"),
        (["fit", "--optimizer=NoSuch"], "NoSuch"),
        (["fit", "--config=/no/such.yaml"], "/no/such.yaml"),
        ([], "subcommand"),
    ],
)
def test_wrong_arguments_are_named(
    args: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refused(capsys, args, tmp_path)


def test_only_classes_of_the_engine_can_be_added(tmp_path: Path) -> None:
    with pytest.raises(MisconfigurationException, match="allowed are subclasses of Trainer"):
        LightningArgumentParser().add_lightning_class_args(torch.nn.Linear, "layer")


@pytest.mark.parametrize("by_name", [False, True])
def test_nested_classes_are_kept_as_descriptions_and_loaded_again(by_name: bool, tmp_path: Path) -> None:
    chosen = [f"--model={__name__}.Wide"] if by_name else []
    args = ["fit", *chosen, f"--model.block={__name__}.Block", "--model.block.width=3"]
    made = cli(args, tmp_path, Wide, Data, subclass_mode_model=by_name)
    assert made.model.hparams["block"] == {"class_path": f"{__name__}.Block", "init_args": {"width": 3}}
    file = made.trainer.checkpoint_callback.best_model_path
    again = Wide.load_from_checkpoint(file)
    assert torch.equal(again.layer.layer.weight, made.model.layer.layer.weight)  # type: ignore[union-attr]
    other = Wide.load_from_checkpoint(file, rate=0.7)
    assert other.hparams.rate == 0.7


def test_a_checkpoint_says_how_its_model_was_built(tmp_path: Path) -> None:
    first = cli(["fit", "--model.width=5"], tmp_path / "a")
    file = first.trainer.checkpoint_callback.best_model_path
    made = cli(["test", f"--ckpt_path={file}"], tmp_path / "b")
    assert torch.equal(made.model.layer.weight, first.model.layer.weight)


def test_what_comes_before_and_after_a_subcommand_is_called(tmp_path: Path) -> None:
    seen: list[str] = []

    class Watched(LightningCLI):
        def before_instantiate_classes(self) -> None:
            seen.append(f"config {self.config['fit']['model']['width']}")

        def after_instantiate_classes(self) -> None:
            seen.append(f"model {self.model.layer.out_features}")

        def before_fit(self) -> None:
            seen.append(f"before {self.trainer.global_step}")

        def after_fit(self) -> None:
            seen.append(f"after {self.trainer.global_step}")

    cli(["fit"], tmp_path, kind=Watched)
    assert seen == ["config 1", "model 1", "before 0", "after 8"]


def test_a_function_stands_in_for_a_class(tmp_path: Path) -> None:
    def make_trainer(max_epochs: int = 1, marks: int = 4) -> Trainer:
        trainer = Trainer(**{**QUIET, "max_epochs": max_epochs, "default_root_dir": tmp_path, "logger": False})
        trainer.marks = marks  # type: ignore[attr-defined]
        return trainer

    def make_line(size: int = 3) -> Line:
        return Line(width=size)

    made = LightningCLI(
        make_line, Data, trainer_class=make_trainer, save_config_callback=None, args=["--model.size=2"], run=False
    )
    assert made.model.layer.out_features == 2
    assert made.trainer.marks == 4  # type: ignore[attr-defined]


def test_a_trainer_class_of_ones_own_brings_its_arguments(tmp_path: Path) -> None:
    class Loud(Trainer):
        def __init__(self, volume: int = 3, callbacks: list[Callback] | None = None, **kwargs: Any) -> None:
            super().__init__(callbacks=callbacks, **kwargs)
            self.volume = volume

    made = cli(["--trainer.volume=11"], tmp_path, trainer_class=Loud, run=False)
    assert made.trainer.volume == 11
    assert made.trainer.max_epochs == 2

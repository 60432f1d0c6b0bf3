"""Programs written for Lightning, run in processes of their own through the map."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.trainer_core.compat import published

ROOT = Path(__file__).parents[3]


def run(
    folder: Path, code: str, *arguments: str, runner: tuple[str, ...] = (), fails: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run `code` as a script in `folder`; the output is asked for by the tests."""
    script = folder / "program.py"
    script.write_text(textwrap.dedent(code))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *runner, str(script), *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert (done.returncode != 0) == fails, done.stderr[-3000:]
    return done


RUNNER = ("-m", "trainer_core.compat.lightning")
pytestmark = pytest.mark.timeout(300)  # processes of their own on a busy machine


def test_the_names_of_all_import_roots_are_the_engine_s_own(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        import pickle
        from importlib.metadata import version
        from importlib.util import find_spec

        import lightning as L
        import pytorch_lightning as pl
        import trainer_core
        from lightning.pytorch import Trainer, callbacks
        from lightning.pytorch.callbacks import *
        from lightning.pytorch.callbacks.early_stopping import EarlyStopping as Stopping
        from lightning.fabric.utilities.seed import seed_everything
        from pytorch_lightning.utilities.rank_zero import rank_zero_only

        assert L.Trainer is L.pytorch.Trainer is pl.Trainer is Trainer is trainer_core.Trainer
        assert L.LightningModule is trainer_core.LightningModule
        assert issubclass(callbacks.ModelCheckpoint, pl.Callback)
        assert EarlyStopping is Stopping is callbacks.EarlyStopping
        assert isinstance(Stopping("loss"), L.Callback)
        assert L.__version__ == pl.__version__ == version("lightning") == version("pytorch-lightning") == "2.6.6"
        assert find_spec("lightning.pytorch.cli") is not None
        assert pickle.loads(pickle.dumps(L.Trainer)) is trainer_core.Trainer
        assert L.LightningModule.__module__ == "trainer_core.module"
        assert seed_everything(3) == 3
        assert rank_zero_only.rank == 0

        for statement, words in {
            "from lightning.pytorch.strategies import FSDPStrategy": "strategies.FSDPStrategy is not offered",
            "import lightning.pytorch.strategies.deepspeed": "strategy='ddp' is what shares work",
            "from lightning import Fabric": "write a LightningModule",
            "import lightning.app": "lightning.app is not offered",
            "from pytorch_lightning.loops.utilities import check_finite_loss": "hooks, callbacks",
        }.items():
            try:
                exec(statement)
            except ImportError as error:
                assert words in str(error), error
            else:
                raise AssertionError(statement)
        """,
        runner=RUNNER,
    )


def test_install_again_is_harmless_and_after_the_real_package_an_error(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        import sys, types

        from trainer_core.compat.lightning import install

        sys.modules["pytorch_lightning"] = types.ModuleType("pytorch_lightning")
        try:
            install()
        except RuntimeError as error:
            assert "pytorch_lightning package is imported already" in str(error)
        else:
            raise AssertionError
        del sys.modules["pytorch_lightning"]
        install()
        install()
        assert sum(type(f).__name__ == "_Finder" for f in sys.meta_path) == 1
        """,
    )


def test_a_script_and_a_module_run_with_their_arguments(tmp_path: Path) -> None:
    code = """
        import sys
        import lightning
        import beside
        print(__name__, sys.argv[1:], beside.HERE, lightning.LightningModule.__module__)
        """
    (tmp_path / "beside.py").write_text("HERE = 'beside'\n")
    expected = "__main__ ['--lr', '3'] beside trainer_core.module\n"
    assert run(tmp_path, code, "--lr", "3", runner=RUNNER).stdout == expected
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "__init__.py").touch()
    (tmp_path / "part" / "begin.py").write_text((tmp_path / "program.py").read_text())
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *RUNNER, "-m", "part.begin", "--lr", "3"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280)
    assert done.stdout == expected, done.stderr
    usage = subprocess.run([sys.executable, *RUNNER], cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert usage.returncode == 1
    assert "usage: python -m trainer_core.compat.lightning script.py" in usage.stderr


def test_a_lightning_program_trains_saves_and_goes_on(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        """
        import torch
        import pytorch_lightning as pl
        from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint
        from lightning.pytorch.demos.boring_classes import BoringDataModule, BoringModel
        from lightning.pytorch.loggers import CSVLogger
        from lightning.pytorch.plugins import AsyncCheckpointIO

        class Model(BoringModel):
            def __init__(self, lr: float = 0.1, loss_of=torch.nn.MSELoss()):
                super().__init__()
                self.save_hyperparameters()
            def training_step(self, batch, batch_idx):
                loss = self.step(batch)
                self.log("loss", loss, on_step=True, on_epoch=True)
                return loss
            def validation_step(self, batch, batch_idx):
                self.log("val", self.step(batch))

        pl.seed_everything(1)
        saver = ModelCheckpoint(monitor="val", save_last=True)
        trainer = pl.Trainer(
            max_epochs=2, limit_train_batches=4, limit_val_batches=2, accelerator="cpu", enable_progress_bar=False,
            enable_model_summary=False, logger=CSVLogger("logs"), plugins=AsyncCheckpointIO(),
            callbacks=[saver, EarlyStopping("val"), LearningRateMonitor()],
        )
        trainer.fit(Model(lr=0.2), datamodule=BoringDataModule())
        saved = torch.load(saver.best_model_path, weights_only=False)
        assert type(saved["hyper_parameters"]["loss_of"]) is torch.nn.MSELoss
        print(sorted(saved))
        assert saved["pytorch-lightning_version"] == "2.6.6"
        assert Model.load_from_checkpoint(saver.best_model_path, weights_only=False).hparams.lr == 0.2
        again = pl.Trainer(max_epochs=3, limit_train_batches=4, limit_val_batches=2, accelerator="cpu",
                           enable_progress_bar=False, enable_model_summary=False, logger=False)
        again.fit(Model(), datamodule=BoringDataModule(), ckpt_path=saver.last_model_path,
                  weights_only=False)
        assert again.current_epoch == 3 and again.global_step == 12
        assert again.fit_loop.epoch_loop.val_loop._data_source.is_defined()
        assert again._accelerator_connector.is_distributed is False
        """,
        runner=RUNNER,
    )
    for key in ("callbacks", "epoch", "global_step", "hyper_parameters", "loops", "lr_schedulers", "optimizer_states"):
        assert f"'{key}'" in done.stdout


def test_processes_of_ddp_run_the_script_through_the_map_too(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        import lightning as L
        from lightning.pytorch.demos.boring_classes import BoringModel

        trainer = L.Trainer(
            accelerator="cpu", devices=2, strategy="ddp", max_steps=2, limit_val_batches=0, logger=False,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        )
        trainer.fit(BoringModel())
        with open(f"rank_{trainer.global_rank}", "w") as file:
            file.write(f"{trainer.world_size} {L.Trainer.__module__}")
        """,
        runner=RUNNER,
    )
    for rank in (0, 1):
        assert (tmp_path / f"rank_{rank}").read_text() == "2 trainer_core.trainer"


@pytest.mark.skipif(not published.is_installed(), reason="the lightning package is not installed (extra: test)")
def test_the_real_package_beside_it_is_not_touched(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        """
        import sys
        from lightning.pytorch import Trainer
        import lightning_utilities
        real = [name for name, m in sys.modules.items()
                if name.split(".")[0] in ("lightning", "pytorch_lightning", "lightning_fabric")
                and "trainer_core" not in (getattr(m, "__file__", None) or "trainer_core")]
        print(real, "site-packages" in lightning_utilities.__file__)
        """,
        runner=RUNNER,
    )
    assert done.stdout == "[] True\n"

"""A command line out of a module, a datamodule and the trainer's arguments.

`LightningCLI(Model, Data)` gives `fit | validate | test | predict` with `--config file.yaml`, `--model.…`, `--data.…`,
`--trainer.…`, `--optimizer`, `--lr_scheduler`, `--seed_everything` and `--print_config`.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch.optim import Optimizer

from trainer_core.callback import Callback
from trainer_core.checkpoint.io import read_file
from trainer_core.cli import build
from trainer_core.cli.parser import ArgsType, LightningArgumentParser, Namespace
from trainer_core.cli.save import SaveConfigCallback
from trainer_core.datamodule import LightningDataModule
from trainer_core.module import LightningModule
from trainer_core.seed import seed_everything
from trainer_core.trainer import Trainer

SUBCOMMANDS: dict[str, set[str]] = {
    "fit": {"model", "train_dataloaders", "val_dataloaders", "datamodule"},
    "validate": {"model", "dataloaders", "datamodule"},
    "test": {"model", "dataloaders", "datamodule"},
    "predict": {"model", "dataloaders", "datamodule"},
}


class LightningCLI:
    """Builds trainer, model and datamodule from the command line and runs the chosen subcommand.

    `run=False` only builds them, without subcommands; the objects are `trainer`, `model` and `datamodule`. Without a
    `model_class` the model is chosen by name (`--model Name`), as with `subclass_mode_model`; likewise the data.
    `args` stands in for the command line: a list as one would type it, or a dict. `seed_everything_default` is a seed,
    True (PL_GLOBAL_SEED, or 0) or False (no seed is set).
    """

    def __init__(
        self,
        model_class: type[LightningModule] | Callable[..., LightningModule] | None = None,
        datamodule_class: type[LightningDataModule] | Callable[..., LightningDataModule] | None = None,
        save_config_callback: type[SaveConfigCallback] | None = SaveConfigCallback,
        save_config_kwargs: dict[str, Any] | None = None,
        trainer_class: type[Trainer] | Callable[..., Trainer] = Trainer,
        trainer_defaults: dict[str, Any] | None = None,
        seed_everything_default: bool | int = True,
        parser_kwargs: dict[str, Any] | None = None,
        parser_class: type[LightningArgumentParser] = LightningArgumentParser,
        subclass_mode_model: bool = False,
        subclass_mode_data: bool = False,
        args: ArgsType = None,
        run: bool = True,
        auto_configure_optimizers: bool = True,
        load_from_checkpoint_support: bool = True,
    ) -> None:
        self.save_config_callback, self.save_config_kwargs = save_config_callback, save_config_kwargs or {}
        self.trainer_class, self.trainer_defaults = trainer_class, trainer_defaults or {}
        self.seed_everything_default = seed_everything_default
        self.parser_kwargs, self.parser_class = parser_kwargs or {}, parser_class
        self.auto_configure_optimizers = auto_configure_optimizers
        self.load_from_checkpoint_support = load_from_checkpoint_support
        self.model_class, self.datamodule_class = model_class or LightningModule, datamodule_class
        self.subclass_mode_model = model_class is None or subclass_mode_model
        self.subclass_mode_data = datamodule_class is None or subclass_mode_data
        self.subcommand: str | None = None
        self._subcommand_parsers: dict[str, LightningArgumentParser] = {}
        self.parser = self._make_parser(run)
        self.parse_arguments(self.parser, args)
        self.subcommand = self.config["subcommand"] if run else None
        self._use_hyperparameters_of_checkpoint()
        self._set_seed()
        self.before_instantiate_classes()
        self.instantiate_classes()
        self.after_instantiate_classes()
        if self.subcommand is not None:
            self._run_subcommand(self.subcommand)

    # What users override; so are `before_fit`, `after_fit` and those of the other subcommands, where they exist.

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Override to add arguments or link them."""

    def before_instantiate_classes(self) -> None:
        """Override to run something before the objects are built."""

    def after_instantiate_classes(self) -> None:
        """Override to run something after the objects are built."""

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Subcommand → arguments of the trainer's method that are not on the command line."""
        return {name: set(skip) for name, skip in SUBCOMMANDS.items()}

    @staticmethod
    def configure_optimizers(lightning_module: LightningModule, optimizer: Optimizer, lr_scheduler: Any = None) -> Any:
        """What the module's `configure_optimizers` returns when the command line chose the optimizer."""
        return build.combine(lightning_module, optimizer, lr_scheduler)

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        return self.parser_class(**kwargs)

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument(
            "--seed_everything",
            type=bool | int,
            default=self.seed_everything_default,
            help="A number seeds python, numpy and torch; true takes PL_GLOBAL_SEED, or 0; false sets no seed.",
        )

    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_lightning_class_args(self.trainer_class, "trainer")
        parser.set_defaults({f"trainer.{k}": v for k, v in self.trainer_defaults.items() if k != "callbacks"})
        parser.add_lightning_class_args(self.model_class, "model", subclass_mode=self.subclass_mode_model)
        data, required = self.datamodule_class or LightningDataModule, self.datamodule_class is not None
        parser.add_lightning_class_args(data, "data", subclass_mode=self.subclass_mode_data, required=required)

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Set `self.config`; ends the process with a message when the arguments are wrong."""
        if args is not None and len(sys.argv) > 1:
            print("The command line is not read, since LightningCLI was given args=….", file=sys.stderr)
        is_object = isinstance(args, dict | Namespace)
        self.config: Namespace = parser.parse_object(args) if is_object else parser.parse_args(args)  # type: ignore[arg-type]

    def instantiate_classes(self) -> None:
        """Build datamodule, model and trainer from `self.config`."""
        bases: list[type] = [LightningModule, LightningDataModule]
        scope = self.config if self.subcommand is None else self.config[self.subcommand]
        with build.keep_specs(bases, scope, ["model", "data"]):
            self.config_init: Namespace = self.parser.instantiate(self.config)
        self.datamodule = self._get(self.config_init, "data")
        self.model = self._get(self.config_init, "model")
        if self.auto_configure_optimizers:
            scope = self.config_init if self.subcommand is None else self.config_init[self.subcommand]
            functions = build.chosen(self._parser(self.subcommand), scope)
            if functions is not None:
                build.use(self.model, functions, self.configure_optimizers)
        self.trainer = self.instantiate_trainer()

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Build the trainer from the configuration; `kwargs` win over it."""
        keys = self._parser(self.subcommand).callback_keys
        extra = [callback for key in keys if (callback := self._get(self.config_init, key)) is not None]
        given = {**vars(self._get(self.config_init, "trainer")), **kwargs}
        return self._instantiate_trainer(given, extra)

    def _instantiate_trainer(self, config: dict[str, Any], callbacks: list[Callback]) -> Trainer:
        defaults = self.trainer_defaults.get("callbacks")
        every = [*_as_list(config.get("callbacks")), *callbacks, *_as_list(defaults)]
        if self.save_config_callback is not None and not config.get("fast_dev_run"):
            scope = self.config if self.subcommand is None else self.config[self.subcommand]
            parser = self._parser(self.subcommand)
            every.append(self.save_config_callback(parser, scope, **self.save_config_kwargs))
        if "callbacks" not in inspect.signature(self.trainer_class).parameters and not isinstance(
            self.trainer_class, type
        ):
            if every:
                names = ", ".join(type(callback).__name__ for callback in every)
                print(f"The function that makes the trainer takes no callbacks; left out: {names}.", file=sys.stderr)
            return self.trainer_class(**config)
        return self.trainer_class(**{**config, "callbacks": every})

    # The parser.

    def _make_parser(self, run: bool) -> LightningArgumentParser:
        commands = self.subcommands() if run else {}
        own = {k: v for k, v in self.parser_kwargs.items() if k not in SUBCOMMANDS}
        parser = self.init_parser(**own)
        self.add_default_arguments_to_parser(parser)
        if not run:
            self._add_arguments(parser)
            return parser
        added = parser.add_subcommands()
        for name, skip in commands.items():
            self._subcommand_parsers[name] = child = self.init_parser(**{**own, **self.parser_kwargs.get(name, {})})
            self.add_default_arguments_to_parser(child)
            self._add_arguments(child)
            owner = _class_of(self.trainer_class)
            child.add_method_arguments(owner, name, skip=set(skip))
            summary = (inspect.getdoc(getattr(owner, name)) or name).split("\n", 1)[0]
            added.add_subcommand(name, child, help=summary)
        return parser

    def _add_arguments(self, parser: LightningArgumentParser) -> None:
        self.add_core_arguments_to_parser(parser)
        self.add_arguments_to_parser(parser)
        if self.auto_configure_optimizers:
            if not parser._optimizers:
                parser.add_optimizer_args()
            if not parser._lr_schedulers:
                parser.add_lr_scheduler_args()
        build.link(parser)

    def _parser(self, subcommand: str | None) -> LightningArgumentParser:
        return self.parser if subcommand is None else self._subcommand_parsers[subcommand]

    def _get(self, config: Namespace, key: str, default: Any = None) -> Any:
        """A value of the chosen subcommand's part of `config`."""
        scope = config if self.subcommand is None else config.get(self.subcommand, {})
        return scope.get(key, default)

    # Running.

    def _use_hyperparameters_of_checkpoint(self) -> None:
        """With `--ckpt_path file` the model is built as the file's was."""
        path = self._get(self.config, "ckpt_path") if self.subcommand is not None else None
        if not path or not Path(path).is_file():
            return
        saved = dict(read_file(path).get(LightningModule.CHECKPOINT_HYPER_PARAMS_KEY) or {})
        saved.pop("_instantiator", None)
        if self.subclass_mode_model:
            name = saved.pop("_class_path", None)
            saved = {"class_path": name, "init_args": saved} if name else {}
        else:
            known = set(vars(self._get(self.config, "model")))
            saved = {k: v for k, v in saved.items() if k in known}
        if saved:
            self.config = self.parser.parse_object({self.subcommand: {"model": saved}}, self.config)

    def _set_seed(self) -> None:
        seed = self._get(self.config, "seed_everything")
        if seed is False or seed is None:
            return
        used = seed_everything(workers=True) if seed is True else seed_everything(seed, workers=True)
        scope = self.config if self.subcommand is None else self.config[self.subcommand]
        scope["seed_everything"] = used

    def _run_subcommand(self, subcommand: str) -> None:
        if callable(before := getattr(self, f"before_{subcommand}", None)):
            before()
        getattr(self.trainer, subcommand)(**self._prepare_subcommand_kwargs(subcommand))
        if callable(after := getattr(self, f"after_{subcommand}", None)):
            after()

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        accepted = set(inspect.signature(getattr(_class_of(self.trainer_class), subcommand)).parameters)
        accepted -= self.subcommands()[subcommand] | {"self"}
        given = {k: v for k, v in vars(self.config_init[subcommand]).items() if k in accepted}
        given["model"] = self.model
        if self.datamodule is not None:
            given["datamodule"] = self.datamodule
        return given


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _class_of(trainer_class: Any) -> type[Trainer]:
    """The class itself, or the one that a function says it returns."""
    if isinstance(trainer_class, type):
        return trainer_class
    made = inspect.signature(trainer_class, eval_str=True).return_annotation
    return made if isinstance(made, type) and issubclass(made, Trainer) else Trainer

"""LightningDataModule: where the data of all stages comes from, in one object."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from torch.utils.data import DataLoader, Dataset, IterableDataset

from trainer_core.hooks import DataHooks
from trainer_core.hparams import HyperparametersMixin

if TYPE_CHECKING:
    from trainer_core.trainer import Trainer


class LightningDataModule(DataHooks, HyperparametersMixin):
    """Override `setup` and the `*_dataloader` methods; the trainer calls them in every process."""

    name: str | None = None
    CHECKPOINT_HYPER_PARAMS_KEY = "datamodule_hyper_parameters"
    CHECKPOINT_HYPER_PARAMS_NAME = "datamodule_hparams_name"
    CHECKPOINT_HYPER_PARAMS_TYPE = "datamodule_hparams_type"

    def __init__(self) -> None:
        super().__init__()
        self.trainer: Trainer | None = None
        self.prepare_data_per_node = True
        self.allow_zero_length_dataloader_with_multiple_devices = False

    def state_dict(self) -> dict[str, Any]:
        """State to keep in a checkpoint."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None: ...

    def on_exception(self, exception: BaseException) -> None:
        """Clean up after a failure."""

    @classmethod
    def from_datasets(
        cls,
        train_dataset: Any = None,
        val_dataset: Any = None,
        test_dataset: Any = None,
        predict_dataset: Any = None,
        batch_size: int = 1,
        num_workers: int = 0,
        **datamodule_kwargs: Any,
    ) -> Self:
        """Build loaders around datasets; only map-style training data is shuffled. Lists and dicts give several."""

        def loader(dataset: Dataset[Any], shuffle: bool) -> DataLoader[Any]:
            shuffle = shuffle and not isinstance(dataset, IterableDataset)
            return DataLoader(
                dataset, batch_size=batch_size, shuffle=shuffle, num_workers=num_workers, pin_memory=_has_cuda()
            )

        def loaders(source: Any, shuffle: bool) -> Any:
            if isinstance(source, Mapping):
                return {key: loader(dataset, shuffle) for key, dataset in source.items()}
            if isinstance(source, Sequence) and not isinstance(source, Dataset):
                return [loader(dataset, shuffle) for dataset in source]
            return loader(source, shuffle)

        module = cls(**datamodule_kwargs)
        for stage, source in (
            ("train", train_dataset),
            ("val", val_dataset),
            ("test", test_dataset),
            ("predict", predict_dataset),
        ):
            if source is not None:
                made = _Loaders(loaders, source, stage == "train")
                setattr(module, f"{stage}_dataloader", made)
        return module

    @classmethod
    def load_from_checkpoint(
        cls,
        checkpoint_path: str | Path,
        map_location: Any = None,
        hparams_file: str | Path | None = None,
        weights_only: bool | None = None,
        **kwargs: Any,
    ) -> Self:
        """A new datamodule with the hyper-parameters and the state of a checkpoint."""
        from trainer_core.checkpoint.load import load_datamodule

        return load_datamodule(cls, checkpoint_path, map_location, hparams_file, weights_only, kwargs)

    def __str__(self) -> str:
        """The datasets of every stage with their sizes."""
        lines: list[str] = []
        for stage in ("train", "val", "test", "predict"):
            try:
                source = getattr(self, f"{stage}_dataloader")()
            except (NotImplementedError, AttributeError, TypeError, RuntimeError):
                continue
            lines.extend(f"{stage}: {_describe(loader)}" for loader in _flat(source))
        return "\n".join(lines) if lines else f"{type(self).__name__}: no dataloaders"


class _Loaders:
    """Makes the loaders of one stage anew at each call."""

    def __init__(self, make: Any, source: Any, shuffle: bool) -> None:
        self.make, self.source, self.shuffle = make, source, shuffle

    def __call__(self) -> Any:
        return self.make(self.source, self.shuffle)


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _flat(source: Any) -> Iterable[Any]:
    if isinstance(source, Mapping):
        return source.values()
    return source if isinstance(source, list | tuple) else [source]


def _describe(loader: Any) -> str:
    dataset = getattr(loader, "dataset", loader)
    size = len(dataset) if hasattr(dataset, "__len__") else "unknown size"
    return f"{type(dataset).__name__}, {size} items" if isinstance(size, int) else f"{type(dataset).__name__}, {size}"

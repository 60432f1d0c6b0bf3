"""Tables as data: any CSV file, and four real data sets that come with the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch.utils.data import TensorDataset

from trainer_core.describe import Range
from trainer_core.errors import MisconfigurationException
from trainer_core.zoo.examples import PARTS, Examples
from trainer_core.zoo.facts import Facts
from trainer_core.zoo.numerals import NumberStyle
from trainer_core.zoo.preprocess import Preprocess, guess_kind, is_missing, read_table, split_rows, words_to_gaps
from trainer_core.zoo.splitting import split_groups, split_in_order

DATA = Path(__file__).parent / "data"


class CSVTable(Examples):
    """A CSV file: one row an example, one column the target.

    Args:
        path: The file.
        target: Name of the column that is to be predicted.
        task: Classes, or amounts.
        numeric: Columns used as numbers; with categorical empty too, every column is used as it looks.
        categorical: Columns used as categories.
        val_fraction: Share of the rows kept for validation.
        test_fraction: Share of the rows kept for a test at the end.
        stratify: Split each class in the same shares.
        group_by: Column whose equal values stay together: all rows of a patient, say, lie in the same part.
        order_by: Column of a time or number: the last rows by it are kept for test and validation.
        split_seed: Which rows go where; the same seed gives the same split.
        delimiter: What stands between two values.
        encoding: How the file writes its letters.
        number_style: How it writes its numbers: plain as 1234.5, point as $1,234.5, comma as 1.234,5.
        words_as_missing: In columns used as numbers, words count as missing; else they are refused.
        dates: Columns used as dates and times: the day, the season, the weekday, and the time of the day.
        batch_size: Rows in each step.
        num_workers: Processes that prepare batches; 0 does it in the trainer, which is fastest for tables.
    """

    task: Any

    def __init__(
        self,
        path: str,
        target: str,
        task: Literal["classification", "regression"] = "classification",
        numeric: list[str] | None = None,
        categorical: list[str] | None = None,
        val_fraction: Annotated[float, Range(0.01, 0.9)] = 0.2,
        test_fraction: Annotated[float, Range(0, 0.9)] = 0.0,
        stratify: bool = True,
        group_by: str | None = None,
        order_by: str | None = None,
        split_seed: Annotated[int, Range(0, 2**32 - 1)] = 0,
        delimiter: str = ",",
        encoding: str = "utf-8-sig",
        number_style: NumberStyle = "plain",
        words_as_missing: bool = False,
        dates: list[str] | None = None,
        batch_size: Annotated[int, Range(1, 1_000_000)] = 128,
        num_workers: Annotated[int, Range(0, 64)] = 0,
    ) -> None:
        super().__init__()
        self.path, self.target, self.task = path, target, task
        self.numeric, self.categorical, self.dates = list(numeric or []), list(categorical or []), list(dates or [])
        self.val_fraction, self.test_fraction = val_fraction, test_fraction
        self.stratify, self.split_seed = stratify, split_seed
        self.group_by, self.order_by = group_by, order_by
        self.delimiter, self.encoding = delimiter, encoding
        self.number_style, self.words_as_missing = number_style, words_as_missing
        self.batch_size, self.num_workers = batch_size, num_workers
        self.preprocess: Preprocess | None = None
        self._rows: dict[str, Any] = {}

    def setup(self, stage: str) -> None:
        if self._parts:
            return
        columns = self._columns()
        if self.target not in columns:
            raise MisconfigurationException(
                f"target: there is no column {self.target!r}; the table has {', '.join(columns)}."
            )
        goal = columns.pop(self.target)
        if self.words_as_missing:
            columns |= {name: words_to_gaps(columns[name]) for name in self.numeric if name in columns}
        rows = np.array([i for i, v in enumerate(goal) if not is_missing(v)], dtype=np.int64)
        if len(rows) < 4:
            raise MisconfigurationException(
                f"Only {len(rows)} rows have a value in {self.target!r}; at least 4 are needed."
            )
        split = self._split(rows, goal, columns)
        self._prepare(columns, goal, split[0])
        assert self.preprocess is not None
        for name, part in zip(PARTS, split, strict=True):
            x = (
                torch.from_numpy(self.preprocess.apply(columns, part))
                if len(part)
                else torch.empty(0, self.preprocess.width)
            )
            y = torch.from_numpy(self.preprocess.apply_target(goal, part))
            self._parts[name] = TensorDataset(self._shaped(x), y)
            self._rows[name] = part
        self.facts = self._describe(self.preprocess)

    def _columns(self) -> dict[str, list[str]]:
        return read_table(self.path, delimiter=self.delimiter, encoding=self.encoding, style=self.number_style)

    def _split(self, rows: Any, goal: list[str], columns: dict[str, list[str]]) -> Any:
        shares = {"val_fraction": self.val_fraction, "test_fraction": self.test_fraction}
        for name in (self.group_by, self.order_by):
            if name and name not in columns:
                raise MisconfigurationException(f"There is no column {name!r} to split by.")
        if self.order_by:
            return split_in_order(rows, columns[self.order_by], **shares)
        if self.group_by:
            return split_groups(rows, columns[self.group_by], **shares, seed=self.split_seed)
        labels = [v.strip() for v in goal] if self.task == "classification" and self.stratify else None
        return split_rows(rows, labels, **shares, seed=self.split_seed)

    def _prepare(self, columns: dict[str, list[str]], goal: list[str], train: Any) -> None:
        if self.preprocess is not None:  # restored from a checkpoint
            return
        numeric, categorical = self.numeric, self.categorical
        if not numeric and not categorical and not self.dates:
            kinds = {name: guess_kind(values) for name, values in columns.items()}
            numeric = [n for n, k in kinds.items() if k == "numeric"]
            categorical = [n for n, k in kinds.items() if k == "categorical"]
        unknown = [n for n in (*numeric, *categorical, *self.dates) if n not in columns]
        if unknown:
            raise MisconfigurationException(
                f"There is no column {', '.join(unknown)}; the table has {', '.join(columns)}."
            )
        if not numeric and not categorical and not self.dates:
            raise MisconfigurationException("No column is left to learn from besides the target.")
        made = Preprocess(list(numeric), list(categorical), dates=self.dates, target=self.target)
        made.fit(columns, train)
        made.fit_target(goal, train, self.task)
        if made.classes is not None and len(made.classes) < 2:
            raise MisconfigurationException(f"{self.target!r} has one value only; there is nothing to tell apart.")
        self.preprocess = made

    def _shaped(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def input_in_words(self, position: int, x: torch.Tensor) -> dict[str, Any] | None:
        """The row at a position of the validation split: its number in the file (from 1) and its columns as text."""
        if self.preprocess is None or "val" not in self._rows:
            return None
        return {"row": int(self._rows["val"][position]) + 1, "values": self.preprocess.in_words(x.tolist())}

    def _describe(self, made: Preprocess) -> Facts:
        return Facts(
            task=self.task,
            input="table",
            in_features=made.width,
            classes=len(made.classes) if made.classes is not None else None,
            class_names=tuple(made.classes or ()),
            target_scale=(made.target_mean, made.target_scale),
        )

    def state_dict(self) -> dict[str, Any]:
        return {"preprocess": self.preprocess.state()} if self.preprocess is not None else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if "preprocess" in state_dict and not self._parts:
            self.preprocess = Preprocess.from_state(state_dict["preprocess"])


class _Shipped(CSVTable):
    """A data set of the zoo: a CSV of `data/` with its own target and task."""

    file = ""
    column = ""
    kind: Literal["classification", "regression"] = "classification"

    def __init__(
        self,
        batch_size: Annotated[int, Range(1, 100_000)] = 64,
        val_fraction: Annotated[float, Range(0.01, 0.9)] = 0.2,
        split_seed: Annotated[int, Range(0, 2**32 - 1)] = 0,
        num_workers: Annotated[int, Range(0, 64)] = 0,
    ) -> None:
        super().__init__(
            path=str(DATA / self.file),
            target=self.column,
            task=self.kind,
            val_fraction=val_fraction,
            split_seed=split_seed,
            batch_size=batch_size,
            num_workers=num_workers,
        )


class Digits(_Shipped):
    """1,797 handwritten digits as grey images of 8 by 8 pixels, ten classes.

    Args:
        batch_size: Images in each step.
        val_fraction: Share of the images kept for validation.
        split_seed: Which images go where; the same seed gives the same split.
        num_workers: Processes that prepare batches; 0 does it in the trainer.
    """

    task = ("classification",)
    input = "image"
    file, column = "digits.csv.gz", "digit"

    def _prepare(self, columns: dict[str, list[str]], goal: list[str], train: Any) -> None:
        if self.preprocess is None:
            names = list(columns)
            made = Preprocess(numeric=names, target=self.target)
            made.means, made.scales = dict.fromkeys(names, 8.0), dict.fromkeys(names, 8.0)  # pixels are 0 to 16
            made.fit_target(goal, train, "classification")
            self.preprocess = made

    def _shaped(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(-1, 1, 8, 8)

    def input_in_words(self, position: int, x: torch.Tensor) -> dict[str, Any] | None:
        return None  # the image says more

    def _describe(self, made: Preprocess) -> Facts:
        names = tuple(made.classes or ())
        return Facts("classification", "image", in_features=64, shape=(1, 8, 8), classes=10, class_names=names)


class BreastCancer(_Shipped):
    """569 tumours described by 30 measurements: benign or malignant.

    Args:
        batch_size: Rows in each step.
        val_fraction: Share of the rows kept for validation.
        split_seed: Which rows go where; the same seed gives the same split.
        num_workers: Processes that prepare batches; 0 does it in the trainer.
    """

    task = ("classification",)
    input = "table"
    file, column = "breast_cancer.csv.gz", "diagnosis"


class Wine(_Shipped):
    """178 wines described by 13 chemical measurements: three cultivars.

    Args:
        batch_size: Rows in each step.
        val_fraction: Share of the rows kept for validation.
        split_seed: Which rows go where; the same seed gives the same split.
        num_workers: Processes that prepare batches; 0 does it in the trainer.
    """

    task = ("classification",)
    input = "table"
    file, column = "wine.csv.gz", "cultivar"


class Diabetes(_Shipped):
    """442 patients described by ten measurements: progression of the disease after a year.

    Args:
        batch_size: Rows in each step.
        val_fraction: Share of the rows kept for validation.
        split_seed: Which rows go where; the same seed gives the same split.
        num_workers: Processes that prepare batches; 0 does it in the trainer.
    """

    task = ("regression",)
    input = "table"
    file, column, kind = "diabetes.csv.gz", "progression", "regression"

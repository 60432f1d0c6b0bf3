"""What the names in filters, sort orders and columns mean: facts of a run, its choices, or numbers of its metrics.

`lr` is the choice `model.lr`; `val_acc.max` a number of a metric, `val_acc` its last value. `config.` or `metric.` in
front decides where a name is both.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from studio.accounts.models import Project
from studio.runs.directions import direction, rises
from studio.runs.models import RunColumn

Kind = Literal["fact", "config", "metric"]
STATS = {
    "last": "last", "min": "min", "max": "max", "mean": "mean", "argmin": "step of min", "argmax": "step of max",
    "count": "points", "nonfinite": "not finite", "first_step": "first step", "last_step": "last step",
}  # fmt: skip
BEST = {"best": ("min", "max"), "best_step": ("argmin", "argmax")}
#: What a filter may ask; those with a title can be columns, those of SORTED can order the rows.
FACTS = {
    "state": "State", "model": "Model", "dataset": "Dataset", "best": "Best", "progress": "Progress", "when": "When",
    "by": "Who", "tags": "Tags", "note": "Note", "duration": "Time", "started": "Started", "ended": "Ended",
    "parent": "Parent", "pool": "Pool",
}  # fmt: skip
ALIASES = {
    "status": "state", "user": "by", "who": "by", "created": "when", "tag": "tags", "took": "duration", "data": "dataset",
    "id": "number",
}  # fmt: skip
SORTED = ("number", "name", "state", "model", "dataset", "by", "when", "started", "ended", "duration")
FILTERED = (
    "state", "name", "tag", "model", "dataset", "by", "created", "started", "ended", "age", "duration", "note", "number",
    "parent", "pool", "together", "is", "has", "review",
)  # fmt: skip
PARTS = ("model", "data", "trainer", "extras")  # what people mean by a short name, in this order
MOST_SUGGESTED_FROM = 2000


@dataclass(frozen=True, slots=True)
class Field:
    """`ids` are the numbers of its columns (a short name may be several choices); `stat` is for metrics only."""

    kind: Kind
    name: str
    ids: tuple[int, ...] = ()
    stat: str = ""
    rises: bool = False  # a larger value of the metric is better

    @property
    def key(self) -> str:
        """As it is written in an address."""
        return f"{self.name}.{self.stat}" if self.kind == "metric" else self.name

    @property
    def title(self) -> str:
        if self.kind == "metric":
            return self.name
        return FACTS.get(self.name, self.name) if self.kind == "fact" else self.name.removeprefix("model.")

    @property
    def note(self) -> str:
        """The second line of a column's head."""
        return STATS[self.stat] if self.kind == "metric" else ""

    @property
    def is_judged(self) -> bool:
        """Whether a change of this number is for the better or the worse, as far as its name tells."""
        return self.is_value and bool(direction(self.name))

    @property
    def is_value(self) -> bool:
        """Whether it is a value of a metric, not a step or a count of points."""
        return self.kind == "metric" and self.stat in ("last", "min", "max", "mean")


class UnknownName(LookupError):
    """Nothing has this name; the message says what is close to it."""


@dataclass
class Fields:
    """The names of a project's runs. Two queries for all that are asked, when `prepare` was told them before."""

    project: Project
    _metrics: dict[str, int] = field(default_factory=dict)
    _asked: set[str] = field(default_factory=set)

    def prepare(self, names: Iterable[str]) -> None:
        """Look up in one query what these names may be as metrics."""
        wanted = {part for name in names if fact_of(name) is None for part in _metric_names(name)} - self._asked
        if wanted:
            rows = RunColumn.objects.filter(
                project=self.project, kind=RunColumn.Kind.METRIC, name__in=list(wanted)[:500]
            )
            self._metrics.update(rows.values_list("name", "pk"))
            self._asked |= wanted

    @cached_property
    def config(self) -> dict[str, int]:
        """All choices by their whole names, by how many runs have them: no more than 5,000."""
        rows = RunColumn.objects.filter(project=self.project, kind=RunColumn.Kind.CONFIG)
        return dict(rows.order_by("pk").values_list("name", "pk")[:5000])

    def find(self, name: str) -> Field:
        """UnknownName when it is neither a fact nor a choice nor a metric, or may be several of them."""
        if (fact := fact_of(name)) is not None:
            return Field("fact", fact)
        self.prepare([name])
        config = None if name.startswith("metric.") else self._config(name)
        metric = None if name.startswith("config.") else self._metric(name.removeprefix("metric."))
        if config and metric:
            raise UnknownName(f"“{name}” is a choice and a metric; write config.{name} or metric.{name}.")
        if found := config or metric:
            return found
        close = self.close_to(name)
        raise UnknownName(
            f"No run of this project has “{name}”." + (f" Did you mean {' or '.join(close)}?" if close else "")
        )

    def close_to(self, name: str) -> list[str]:
        """Names that look like it; one query."""
        metrics = RunColumn.objects.filter(project=self.project, kind=RunColumn.Kind.METRIC).order_by("pk")
        known = [*FILTERED, *FACTS, *self.config, *(key.rpartition(".")[2] for key in self.config)]
        known += metrics.values_list("name", flat=True)[:MOST_SUGGESTED_FROM]
        return difflib.get_close_matches(name, dict.fromkeys(known), n=3, cutoff=0.6)

    def _config(self, name: str) -> Field | None:
        for whole in (name, name.removeprefix("config.")):
            if whole in self.config:
                return Field("config", whole, (self.config[whole],))
        name = name.removeprefix("config.")
        own = next((key for part in PARTS if (key := f"{part}.{name}") in self.config), "")
        told = f"config.{name}"  # by programs that log from outside
        if own and told in self.config:
            return Field("config", name, (self.config[own], self.config[told]))
        name = own or (told if told in self.config else "")
        return Field("config", name, (self.config[name],)) if name else None

    def _metric(self, name: str) -> Field | None:
        if name in self._metrics:
            return Field("metric", name, (self._metrics[name],), "last", rises(name))
        bare, _, stat = name.rpartition(".")
        if bare in self._metrics and stat in (*STATS, *BEST):
            up = rises(bare)
            return Field("metric", bare, (self._metrics[bare],), BEST[stat][up] if stat in BEST else stat, up)
        return None


def fact_of(name: str) -> str | None:
    """The fact of a run that is called so."""
    fact = ALIASES.get(name.lower(), name.lower())
    return fact if fact in (*FACTS, "number", "name") else None


def _metric_names(name: str) -> set[str]:
    found = set()
    for text in (name, name.removeprefix("metric.")):
        found |= {text, text.rpartition(".")[0]}
    return {text for text in found if text}

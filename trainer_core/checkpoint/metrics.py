"""States of metric objects (`torchmetrics`) for an exact resume: what they have seen of an epoch so far.

Metrics leave their states out of `state_dict`, so a run that goes on inside an epoch would count only its rest. They are
known by their parts, so that nothing is imported for it; a module without metrics costs one walk over its children.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from trainer_core.data.nested import map_tensors
from trainer_core.rank import OnceEach

#: Beside the declared states: how often it was updated, what is cached, and the counters of wrappers.
COUNTERS = ("_update_count", "_computed", "_forward_cache", "_num_vals_seen", "min_val", "max_val")
_PLAIN = (bool, int, float, str, type(None), Tensor, torch.dtype, torch.device)
_warn_once = OnceEach()


def metric_states(module: nn.Module, *, fresh: Collection[Any] = ()) -> dict[str, Any]:
    """Copies on the CPU of what each metric of `module` has seen, by its path; None for those in `fresh`.

    Metrics of a collection that share a state each get a copy of it.
    """
    found: dict[str, Any] = {}
    leaders, anew = _leaders(module), {id(metric) for metric in fresh}
    for path, metric in _metrics(module):
        if id(metric) in anew:
            found[path] = None
            continue
        seen = leaders.get(id(metric), metric)
        state = {name: getattr(seen, name) for name in metric._defaults}
        counters = {name: getattr(metric, name) for name in COUNTERS if hasattr(metric, name)}
        # A cached value that cannot be kept is computed again.
        state |= {name: value if _is_plain(value) else None for name, value in counters.items()}
        state["_update_count"] = seen._update_count
        if _is_plain(state):
            found[path] = {name: _copy(value) for name, value in state.items()}
        else:
            _warn_once.warn(
                f"The state of the metric `{path}` ({type(metric).__name__}) holds objects that cannot be read back "
                "safely: it is not kept in checkpoints, and begins anew when a run goes on from one."
            )
    for path, collection in _collections(module):
        found[path] = {"groups": {int(key): list(names) for key, names in collection._groups.items()}}
    for path, tracker in _trackers(module):
        found[path] = {"steps": tracker.n_steps}
    return found


def grow_trackers(module: nn.Module, saved: dict[str, Any]) -> None:
    """Give each tracker as many metrics as it had, one for every step; what they have seen is restored after that."""
    for path, tracker in list(_trackers(module)):
        steps = (saved.get(path) or {}).get("steps", tracker.n_steps)
        while tracker.n_steps < steps:
            tracker.increment()
        while tracker.n_steps > steps:
            tracker._modules.popitem()


def restore_metrics(module: nn.Module, saved: dict[str, Any]) -> None:
    """Go on with what `metric_states` found; metrics that the file does not know stay as they are."""
    grow_trackers(module, saved)
    for path, metric in _metrics(module):
        if path not in saved:
            continue
        state = saved[path]
        if state is None:
            metric.reset()
            continue
        for name, value in state.items():
            if name in metric._defaults or hasattr(metric, name):
                setattr(metric, name, map_tensors(value, _mover(metric)))
    for path, collection in module.named_modules():
        groups = (saved.get(path) or {}).get("groups")
        if groups is not None and hasattr(collection, "_groups_checked"):
            collection._groups, collection._groups_checked = groups, True
            # Its metrics have states of their own now; the next update links them again.
            collection._state_is_copy = True


def _metrics(module: nn.Module) -> Iterator[tuple[str, Any]]:
    for path, child in module.named_modules():
        if isinstance(getattr(child, "_defaults", None), dict) and hasattr(child, "_update_count"):
            yield path, child


def _collections(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Collections whose metrics have been found to share states."""
    for path, child in module.named_modules():
        if getattr(child, "_groups_checked", False) is True and isinstance(getattr(child, "_groups", None), dict):
            yield path, child


def _trackers(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Lists of metrics that grow by one with every step, such as an epoch."""
    for path, child in module.named_modules():
        if hasattr(child, "_increment_called") and hasattr(child, "n_steps"):
            yield path, child


def _leaders(module: nn.Module) -> dict[int, Any]:
    """For metrics that share a state: the one of them that is updated."""
    found = {}
    for _, collection in _collections(module):
        if collection._state_is_copy:
            continue
        for first, *others in collection._groups.values():
            found.update({id(getattr(collection, name)): getattr(collection, first) for name in others})
    return found


def _copy(value: Any) -> Any:
    return map_tensors(value, lambda t: t.detach().cpu().clone())


def _is_plain(value: Any) -> bool:
    if type(value) in (list, tuple):
        return all(_is_plain(one) for one in value)
    if type(value) is dict:
        return all(_is_plain(one) for pair in value.items() for one in pair)
    return type(value) in _PLAIN


def _mover(metric: Any) -> Callable[[Tensor], Tensor]:
    device = getattr(metric, "device", torch.device("cpu"))
    return lambda tensor: tensor.to(device)

"""HookTable: who really overrides which hook, found out once per stage, so that the others cost nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from trainer_core.callback import Callback
from trainer_core.overrides import is_overridden

if TYPE_CHECKING:
    from trainer_core.trainer import Trainer

Hooks = tuple[Callable[..., Any], ...]


class HookTable:
    """The overriding methods of callbacks and module by hook name.

    `trainer.hooks` is replaced by a new table at the start of every stage and epoch, so callbacks that join in between
    are heard from then on.
    """

    def __init__(self, trainer: Trainer) -> None:
        from trainer_core.module import LightningModule

        self.trainer = trainer
        self.module = trainer.lightning_module
        self._base = LightningModule
        self._callback_hooks: dict[str, Hooks] = {}
        self._module_hooks: dict[str, Callable[..., Any] | None] = {}
        self._module_calls: dict[str, Callable[..., Any]] = {}

    def callbacks(self, name: str) -> Hooks:
        """Bound methods of the callbacks that override `name`, in order; call them with (trainer, module, …)."""
        found = self._callback_hooks.get(name)
        if found is None:
            found = tuple(self._bound(callback, name) for callback in self._overriding(name))
            self._callback_hooks[name] = found
        return found

    def own(self, name: str) -> Callable[..., Any] | None:
        """The module's `name` when it is overridden, else None."""
        if name not in self._module_hooks:
            overridden = self.module is not None and is_overridden(name, self.module, self._base)
            self._module_hooks[name] = self._profiled(self.module, name, "LightningModule") if overridden else None
        return self._module_hooks[name]

    def any(self, name: str) -> bool:
        return bool(self.callbacks(name)) or self.own(name) is not None

    def call(self, name: str, *args: Any) -> None:
        """Callbacks first, then the module; the loops call this outside of the hot path."""
        self.call_callbacks(name, *args)
        self.call_own(name, *args)

    def call_callbacks(self, name: str, *args: Any, monitoring: bool | None = None) -> None:
        """`monitoring` True or False picks those that watch a metric (early stopping, checkpoints) or the others."""
        hooks = self.callbacks(name)
        if not hooks:
            return
        previous = self._enter(name)
        for hook in hooks:
            if monitoring is None or monitoring is _watches_metric(hook):
                hook(self.trainer, self.module, *args)
        self._leave(previous)

    def call_own(self, name: str, *args: Any) -> Any:
        """The module's hook if it is overridden; returns what it returns."""
        hook = self.own(name)
        if hook is None:
            return None
        previous = self._enter(name)
        result = hook(*args)
        self._leave(previous)
        return result

    def call_module(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """The module's method, overridden or not."""
        hook = self._module_calls.get(name)
        if hook is None:
            hook = self.own(name) or self._profiled(self.module, name, "LightningModule")
            self._module_calls[name] = hook
        previous = self._enter(name)
        result = hook(*args, **kwargs)
        self._leave(previous)
        return result

    def _enter(self, name: str) -> str | None:
        results = self.trainer.results
        if results is None:
            return None
        previous: str | None = results.fx
        results.enter(name)
        return previous

    def _leave(self, previous: str | None) -> None:
        results = self.trainer.results
        if results is not None:
            results.enter(previous)

    def _overriding(self, name: str) -> list[Callback]:
        return [c for c in self.trainer.callbacks if is_overridden(name, c, Callback)]

    def _bound(self, callback: Callback, name: str) -> Callable[..., Any]:
        return self._profiled(callback, name, "Callback")

    def _profiled(self, owner: Any, name: str, kind: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(owner, name)
        profiler = self.trainer.profiler
        if profiler.is_passthrough:
            return method
        label = f"[{kind}]{owner.state_key if kind == 'Callback' else type(owner).__qualname__}.{name}"

        def profiled(*args: Any, **kwargs: Any) -> Any:
            with profiler.profile(label):
                return method(*args, **kwargs)

        profiled.__self__ = owner  # type: ignore[attr-defined]
        return profiled


def _watches_metric(hook: Callable[..., Any]) -> bool:
    return bool(getattr(getattr(hook, "__self__", None), "watches_metric", False))

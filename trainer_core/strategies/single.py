"""One process, one device."""

from __future__ import annotations

from trainer_core.strategies.base import Strategy


class SingleDeviceStrategy(Strategy):
    """Everything that the base class does is right for one device."""

    strategy_name = "single_device"

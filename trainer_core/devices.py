"""Accelerators: which devices exist, and which of them an `accelerator=`/`devices=` pair means."""

from __future__ import annotations

from typing import Any

import torch

from trainer_core.errors import MisconfigurationException

MOST = 4096
"""Devices of one machine, at most."""
NAMES = ("auto", "cpu", "gpu", "cuda", "mps", "tpu")


class Accelerator:
    """One kind of device."""

    name = ""

    @staticmethod
    def is_available() -> bool:
        return False

    @staticmethod
    def auto_device_count() -> int:
        return 0

    def setup_device(self, device: torch.device) -> None:
        """Make `device` the current one."""

    def get_device_stats(self, device: torch.device) -> dict[str, Any]:
        return {}

    def teardown(self) -> None: ...


class CPUAccelerator(Accelerator):
    name = "cpu"

    @staticmethod
    def is_available() -> bool:
        return True

    @staticmethod
    def auto_device_count() -> int:
        return 1

    def get_device_stats(self, device: torch.device) -> dict[str, Any]:
        """Load and memory in percent; needs psutil."""
        import psutil

        return {
            "cpu_percent": float(psutil.cpu_percent()),
            "cpu_vm_percent": float(psutil.virtual_memory().percent),
            "cpu_swap_percent": float(psutil.swap_memory().percent),
        }


class CUDAAccelerator(Accelerator):
    name = "cuda"

    @staticmethod
    def is_available() -> bool:
        return torch.cuda.is_available()

    @staticmethod
    def auto_device_count() -> int:
        return torch.cuda.device_count()

    def setup_device(self, device: torch.device) -> None:
        torch.cuda.set_device(device)

    def get_device_stats(self, device: torch.device) -> dict[str, Any]:
        return dict(torch.cuda.memory_stats(device))

    def teardown(self) -> None:
        torch.cuda.empty_cache()


class MPSAccelerator(Accelerator):
    name = "mps"

    @staticmethod
    def is_available() -> bool:
        return torch.backends.mps.is_available()

    @staticmethod
    def auto_device_count() -> int:
        return 1


_KINDS: dict[str, type[Accelerator]] = {"cpu": CPUAccelerator, "cuda": CUDAAccelerator, "mps": MPSAccelerator}


def resolve_accelerator(given: Any) -> Accelerator:
    """The accelerator for an argument; MisconfigurationException names those that are available."""
    if isinstance(given, Accelerator):
        return given
    if not isinstance(given, str) or given not in NAMES:
        raise MisconfigurationException(
            f"accelerator: got {given!r}, allowed is one of {', '.join(repr(n) for n in NAMES)} or an Accelerator."
        )
    if given in ("auto", "gpu"):
        chosen = next((n for n in ("mps", "cuda") if _KINDS[n].is_available()), None)
        given = chosen or ("cpu" if given == "auto" else "gpu")
    kind = _KINDS.get(given)
    if kind is None or not kind.is_available():
        available = ", ".join(repr(n) for n, k in _KINDS.items() if k.is_available())
        raise MisconfigurationException(
            f"accelerator: got {given!r}, but no such device was found; allowed on this machine is {available}."
        )
    return kind()


def resolve_devices(given: Any, accelerator: Accelerator) -> list[torch.device]:
    """The devices for an argument: a count, ids, `"-1"` or `"auto"`; MisconfigurationException otherwise."""
    kind = accelerator.name
    count = accelerator.auto_device_count()
    allowed = "'auto', -1, a number of at least 1, or ids such as [0, 2] or '0,2'"

    def refuse(hint: str) -> MisconfigurationException:
        return MisconfigurationException(f"devices: got {given!r}, allowed is {allowed}. {hint}")

    wanted = given
    if isinstance(wanted, str):
        wanted = wanted.strip()
        if wanted not in ("auto", "-1"):
            wanted = _parse_text(wanted, refuse)
    if isinstance(wanted, bool) or not isinstance(wanted, str | int | list | tuple):
        raise refuse("")
    if wanted in ("auto", "-1", -1):
        wanted = count
    if not wanted:
        raise refuse("At least one device is needed.")
    if isinstance(wanted, int):
        if not 0 < wanted <= MOST:
            raise refuse(f"At most {MOST}.")
        if kind == "cpu":
            return [torch.device("cpu")] * wanted
        ids = list(range(wanted))
    else:
        ids = list(wanted)
        if any(isinstance(i, bool) or not isinstance(i, int) or i < 0 for i in ids) or len(set(ids)) < len(ids):
            raise refuse("Ids are whole numbers from 0, each once.")
        if kind == "cpu":
            raise refuse("The CPU has no device ids: give the number of processes.")
    if missing := [i for i in ids if i >= count]:
        raise refuse(f"Not found: {missing}; this machine has {count} {kind} device(s).")
    return [torch.device(kind, i) for i in ids]


def _parse_text(text: str, refuse: Any) -> Any:
    try:
        if "," in text:
            return [int(part) for part in text.split(",") if part.strip()]
        return int(text)
    except ValueError:
        raise refuse("") from None

"""What is worth knowing of the machine and the program that logs."""

from __future__ import annotations

import contextlib
import getpass
import platform
import socket
import sys

from studio.client.folder import Values


def host_facts() -> Values:
    """Text by name; `hostname` is what the page calls it."""
    facts = {
        "hostname": socket.gethostname(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "program": " ".join(sys.argv)[:200],
    }
    with contextlib.suppress(KeyError, OSError):  # a container may have no name for its user
        facts["user"] = getpass.getuser()
    torch = sys.modules.get("torch")
    if torch is not None:
        facts["torch"] = str(getattr(torch, "__version__", ""))
        if torch.cuda.is_initialized():
            facts["device"] = torch.cuda.get_device_name()
    return facts

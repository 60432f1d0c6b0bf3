"""The studio from Python: start runs, watch them, fetch what they made. The standard library is all it needs.

from studio.client import Client

studio = Client("http://127.0.0.1:8000", token="studio_…")
run = studio.runs.create(project="My project", model="MLP", dataset="Digits", trainer={"max_epochs": 5})
run = run.wait()
print(run.state, run.series("val_loss").values[-1])
run.download_checkpoint("best.ckpt")

Or log a run of a program that runs anywhere:

import studio.client

with studio.client.init(project="My project", name="baseline", config={"lr": 0.1}) as run:
    run.log({"loss": 0.5}, step=1)
"""

from studio.client.client import Client
from studio.client.errors import Damaged, NotReached, StudioError, WaitedTooLong
from studio.client.external import ExternalRun, init

__all__ = ["Client", "Damaged", "ExternalRun", "NotReached", "StudioError", "StudioLogger", "WaitedTooLong", "init"]


def __getattr__(name: str) -> object:
    """StudioLogger needs the engine's base of loggers, which nothing else here does."""
    if name == "StudioLogger":
        from studio.client.logger import StudioLogger

        return StudioLogger
    raise AttributeError(f"studio.client has no name {name!r}; it offers {', '.join(__all__)}.")

"""The studio from Python: start runs, watch them, fetch what they made. The standard library is all it needs.

from studio.client import Client

studio = Client("http://127.0.0.1:8000", token="studio_…")
run = studio.runs.create(project="My project", model="MLP", dataset="Digits", trainer={"max_epochs": 5})
run = run.wait()
print(run.state, run.series("val_loss").values[-1])
run.download_checkpoint("best.ckpt")
"""

from studio.client.client import Client
from studio.client.errors import Damaged, NotReached, StudioError, WaitedTooLong

__all__ = ["Client", "Damaged", "NotReached", "StudioError", "WaitedTooLong"]

"""What a run needs on this machine before its trainer starts: data that lies in a store is brought here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from studio.registry import stored
from studio.registry.models import DatasetVersion
from studio.runs.models import Run

Spec = dict[str, Any]


def bring_data(spec: Spec, version: DatasetVersion | None, tick: Callable[[], None]) -> tuple[Spec, str]:
    """(the specification with the file where it is here, what people should know); as it is without such data.

    `tick` is called again and again meanwhile, and may raise to end it. StoredChanged, StoreError: see `stored.bring`.
    """
    if version is None or "stored" not in version.info:
        return spec, ""
    tick()
    brought = stored.bring(version, lambda share: tick())
    in_use = Run.objects.held().filter(dataset_version__info__has_key="stored")
    digests = in_use.values_list("dataset_version__blobs__path", flat=True)
    stored.evict({version.blobs["path"], *(digest for digest in digests if digest)})
    files = {**spec["data"].get("files", {}), "path": str(brought.path)}
    return {**spec, "data": {**spec["data"], "files": files}}, brought.notice

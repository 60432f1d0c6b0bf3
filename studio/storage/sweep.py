"""Removes blobs that no row names: marked by their age, looked up again with the store's gate shut, then removed.

`REFERENCES` and `NO_BLOBS` list every column that holds a digest; a test refuses one that is in neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from studio.core import blobs, objects
from studio.registry.models import DatasetVersion
from studio.storage import strays
from studio.storage.held import OF_FILES, stored_sizes
from studio.tracking.models import Media

PIECE = 200  # looked up at once: as long as that takes, nobody puts a blob
STALE_S = 86_400.0

#: Columns that name blobs, as app_label.model.field.
REFERENCES = {"registry.datasetversion.blobs", "tracking.media.sha256"}
#: Digests of something else, and of what.
NO_BLOBS = {
    "registry.modelversion.sha256": "the code, which is in its row",
    "registry.datasetversion.sha256": "the file with its arguments; the file alone is in blobs",
    "registry.upload.sha256": "what the sender said; the bytes are not a blob yet",
    "runs.checkpoint.manifest_sha256": "the manifest in the checkpoint's own folder",
    "runs.checkpoint.sha256": "a file in the checkpoint's own folder",
    "runs.checkpoint.weights_sha256": "the weights in that file",
    "core.sharedblob.sha256": "the blob itself, as the object store has it",
    "runs.checkpointfile.sha256": "a file in the checkpoint's own folder",
    "runs.run.spec_hash": "a specification",
    "accounts.apitoken.digest": "a token",
    "accounts.invite.digest": "a token",
    "accounts.loginlink.digest": "a token",
    "reports.sharelink.digest": "a token",
    "tracking.metricchunk.name_hash": "a name",
}


def sweep(*, idle_s: float = blobs.IDLE_S) -> int:
    """Bytes freed: of blobs that no row names, and of what crashes left half written. For the scheduler."""
    freed = blobs.clear_temporary(STALE_S)
    if objects.is_open():
        freed += strays.remove(STALE_S)
    unknown = (digest for digest, _ in blobs.stored())
    for piece in _pieces(unknown, PIECE * 10):
        freed += release(set(piece) - wanted(piece), idle_s=idle_s)
    return freed


def release(digests: Iterable[str], *, idle_s: float = blobs.IDLE_S) -> int:
    """Remove those of these blobs that no row names any more; bytes freed. Young ones stay for the next sweep."""
    return sum(
        sum(blobs.remove(piece, wanted=wanted, idle_s=idle_s).values())
        for piece in _pieces(sorted(set(digests)), PIECE)
    )


def wanted(digests: Sequence[str]) -> set[str]:
    """Which of these some row names. Two queries for each 500."""
    found = set()
    for piece in _pieces(digests, 500):
        found |= set(Media.objects.filter(sha256__in=piece).order_by().values_list("sha256", flat=True))
    asked = set(digests)
    for files in DatasetVersion.objects.exclude(blobs={}).order_by().values_list("blobs", flat=True).iterator():
        found |= asked & set(files.values())
    return found


def free_without(runs: Sequence[int], datasets: Sequence[int] = ()) -> int:
    """Bytes of the blobs that only the media of these runs and these datasets name: what their end frees."""
    named = dict(Media.objects.filter(run__in=runs).order_by().values_list("sha256", "size_bytes").distinct())
    kept: set[str] = set()
    versions = DatasetVersion.objects.exclude(blobs={}).values_list("dataset_id", *OF_FILES)
    for dataset, files, *told in versions.iterator():
        if dataset not in datasets:
            kept |= set(files.values())
        else:
            named |= stored_sizes(files, *told)
    for piece in _pieces(sorted(named), 500):
        others = Media.objects.filter(sha256__in=piece).exclude(run__in=runs).order_by()
        kept |= set(others.values_list("sha256", flat=True))
    return sum(size for digest, size in named.items() if digest not in kept)


def _pieces(items: Iterable[str], size: int) -> Iterator[list[str]]:
    left = iter(items)
    while piece := list(islice(left, size)):
        yield piece

"""Fetches the files that published examples train on, when they are not there yet."""

from __future__ import annotations

import os
import shutil
import urllib.request
import uuid
from pathlib import Path


def fetch(url: str, destination: Path) -> None:
    """Write what `url` answers to `destination`, whole or not at all; nothing to do when the file exists.

    OSError names the file to put there by hand when the address cannot be reached.
    """
    if destination.is_file():
        return
    destination.parent.mkdir(parents=True, exist_ok=True)
    temporary = destination.with_name(f".tmp-{uuid.uuid4().hex[:12]}-{destination.name}")
    try:
        with urllib.request.urlopen(url, timeout=60) as answer, open(temporary, "wb") as file:  # noqa: S310
            shutil.copyfileobj(answer, file)
        os.replace(temporary, destination)
    except OSError as error:
        raise OSError(f"{url} cannot be fetched ({error}); put the file at {destination} yourself.") from error
    finally:
        temporary.unlink(missing_ok=True)

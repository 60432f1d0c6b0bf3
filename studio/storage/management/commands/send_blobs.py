"""`manage.py send_blobs`: send what the data directory has to an object store that is new to this studio."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand

from studio.core import blobs, objects
from studio.core.stores import StoreError
from studio.runs import shared_checkpoints
from studio.storage.sweep import wanted


class Command(BaseCommand):
    help = "Send the blobs and checkpoints of this machine to the object store; what it has already is left alone."

    def handle(self, *args: Any, **options: Any) -> None:
        if not objects.is_open():
            sys.exit("There is no object store: STUDIO_OBJECT_STORE names the file that says where it is.")
        try:
            here = dict(blobs.here())
            for sha256 in sorted(wanted(list(here))):
                blobs.announce(sha256, here[sha256])
            sent = blobs.send_waiting(), shared_checkpoints.send_waiting()
        except StoreError as error:
            sys.exit(f"{error} What has been sent stays there; call this again.")
        self.stdout.write(f"{sent[0]} blobs and {sent[1]} checkpoints were sent.")

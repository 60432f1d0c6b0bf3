"""`manage.py demo`: a project with three finished runs, to look around in."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand

from studio.ops.data_dir import DataDirError, up_command
from studio.ops.demo import DemoError, fill_demo
from studio.ops.redis_server import RedisServerError
from studio.ops.up import UpError


class Command(BaseCommand):
    help = "Fill the project Demo with three finished runs on real data; a minute or two. The studio may run or not."
    requires_system_checks = []

    def handle(self, **given: Any) -> None:
        try:
            project = fill_demo(self._say)
        except (DemoError, UpError, DataDirError, RedisServerError) as error:
            sys.exit(str(error))
        self._say(f"The project {project.name} of {project.team.name} is filled. Look at it with: {up_command()}")

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()

"""`manage.py login_link [NAME]`: a one-time way in, for whoever has no password (any more)."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.urls import reverse

from studio.accounts.links import make_login_link
from studio.accounts.models import User
from studio.ops import data_dir


class Command(BaseCommand):
    help = "Print a one-time log-in link for a user, or for the administrator."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", nargs="?", help="the user's log-in name; without it, the administrator")

    def handle(self, *args: Any, name: str | None = None, **options: Any) -> None:
        user = None
        if name is not None:
            user = User.objects.filter(username=name, is_active=True).first()
            if user is None:
                known = ", ".join(User.objects.filter(is_active=True).values_list("username", flat=True)[:20])
                raise CommandError(f"There is no user {name!r}. Known are: {known or 'nobody yet'}.")
        self.stdout.write(self._address() + reverse("login-link", args=[make_login_link(user)]))

    def _address(self) -> str:
        """Where people reach the studio: as was set, else as the `up` that runs on this data directory tells."""
        if settings.PUBLIC_URL_GIVEN:
            return str(settings.PUBLIC_URL)
        if url := data_dir.holder().get("url"):
            return str(url)
        self.stderr.write(f"The studio does not run; the link opens once `manage.py up` serves {settings.PUBLIC_URL}.")
        return str(settings.PUBLIC_URL)

"""Many people promote, roll back, delete, clean up and empty the trash at once, by the pages and the REST interface.

Meanwhile a watcher looks again and again: each alias names one living version, whose checkpoint is there, bit for bit.
In the end every byte that was made is on the disk or noted as freed.
"""

from __future__ import annotations

import hashlib
import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import connections
from django.db.models import Sum
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from studio.accounts.models import Project, User
from studio.runs import promote
from studio.runs.checkpoints import path_of
from studio.runs.models import Checkpoint, Run, State
from studio.runs.registered_models import Alias, RegisteredModel, RegisteredVersion
from studio.storage.measure import measure_attempts
from studio.storage.models import Removal
from studio.storage.offers import offers_of
from tests.factories import make_attempt, make_media, make_run, write_checkpoint
from tests.storage.files import make_old, on_disk

ALIASES, NAMES = ("candidate", "production", "canary"), ("digits", "letters")
FEWEST_RUNS = 6


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Storm:
    """`wrong` says what the watcher found; `made_bytes` counts all files that were ever written."""

    project: Project
    user: User
    seed: int = 0
    orders: Counter[str] = field(default_factory=Counter)
    count: int = 0
    looks: int = 0
    wrong: list[str] = field(default_factory=list)
    made_bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _over: threading.Event = field(default_factory=threading.Event)

    def blow(self, *, clients: int, seconds: float, orders: int = 0) -> None:
        """For so long, and at least so many orders; what somebody raised is in `wrong`."""
        for _ in range(FEWEST_RUNS):
            self._make_run(random.Random(self.seed))
        for name in NAMES:  # so that from the start every alias has something to lose
            for alias, checkpoint in zip(ALIASES, Checkpoint.objects.order_by("?"), strict=False):
                promote.promote(checkpoint=checkpoint, user=self.user, name=name, alias=alias)
        works = [lambda n=n: self._client(n) for n in range(clients)] + [self._watch]
        threads = [threading.Thread(target=self._guarded, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        self._over.wait(seconds)
        deadline = time.monotonic() + 90
        while self.count < orders and time.monotonic() < deadline and not self._over.wait(0.05):
            pass
        self._over.set()
        for thread in threads:
            thread.join(120)
        assert not any(thread.is_alive() for thread in threads)

    def balance(self) -> tuple[int, int, int]:
        """(bytes made, bytes on the disk now, bytes noted as freed)."""
        measure_attempts()
        return self.made_bytes, on_disk(), Removal.objects.aggregate(n=Sum("files_bytes"))["n"] or 0

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self.wrong.append(f"{type(error).__name__}: {error}")
            self._over.set()
        finally:
            connections.close_all()

    def _client(self, number: int) -> None:
        chance, browser = random.Random(self.seed * 1000 + number), Client()
        browser.force_login(self.user)
        acts = [self._promote] * 4 + [self._move] * 3 + [self._back] * 3 + [self._delete] * 3 + [self._make] * 3
        acts += [self._trash] * 2 + [self._restore, self._purge, self._purge, self._clean_up, self._pin]
        while not self._over.is_set():
            act = chance.choice(acts)
            status = act(chance, browser)
            with self._lock:
                self.count += 1
                self.orders[f"{act.__name__[1:]} {status or 'nothing to do'}"] += 1

    def _watch(self) -> None:
        while not self._over.is_set():
            for alias in list(Alias.objects.select_related("version__checkpoint")):
                self._look_at(alias)
            self.looks += 1
            self._over.wait(0.02)

    def _look_at(self, alias: Alias) -> None:
        version, said = alias.version, ""
        if version.deleted_at is not None:
            said = "names a deleted version"
        elif version.checkpoint.deleted_at is not None:
            said = "names a version whose checkpoint is deleted"
        else:
            try:
                data = path_of(version.checkpoint).read_bytes()
                if sha256_of(data) != version.checkpoint.metrics["sha256"]:
                    said = "names other bytes"
            except OSError:
                said = "names a checkpoint without its file"
        # It may have moved since it was read; what it names by then was looked at, or will be.
        if said and Alias.objects.filter(pk=alias.pk, version=version.pk).exists():
            self.wrong.append(f"{alias.name} {said}")

    def _make_run(self, chance: random.Random) -> None:
        """A run that ended: three checkpoints, a folder of an attempt, a picture."""
        run = make_run(self.project, state=State.RUNNING, fence=1, number=secrets.randbelow(2**30) + 1)
        log = secrets.token_bytes(chance.randrange(1, 500))
        folder = settings.RUNS_DIR / str(run.pk) / "a1"
        folder.mkdir(parents=True)
        (folder / "output.log").write_bytes(log)
        make_attempt(run, ended_at=timezone.now(), files_bytes=len(log))
        size = len(log)
        for step in (10, 20, 30):
            data = secrets.token_bytes(chance.randrange(100, 5000))
            made = write_checkpoint(run, data, step=step, is_best=step == 20, metrics={"sha256": sha256_of(data)})
            size += made.size_bytes + made.manifest_bytes
        picture = secrets.token_bytes(chance.randrange(100, 2000))
        media = make_media(run, picture)
        make_old(settings.BLOBS_DIR / media.sha256[:2] / media.sha256)
        with self._lock:
            self.made_bytes += size + media.size_bytes
        Run.objects.filter(pk=run.pk).update(state=State.SUCCEEDED, ended_at=timezone.now())  # now others may remove it

    def _make(self, chance: random.Random, browser: Client) -> int:
        self._make_run(chance)
        return 200

    def _promote(self, chance: random.Random, browser: Client) -> int:
        living = Checkpoint.objects.filter(run__project=self.project, deleted_at=None)
        pk = self._any(chance, living.filter(run__state=State.SUCCEEDED))
        given = {"name": chance.choice(NAMES), "alias": chance.choice([*ALIASES, ""])}
        return self._api(browser, "api:promote_checkpoint", pk, given)

    def _move(self, chance: random.Random, browser: Client) -> int:
        pk = self._any(chance, RegisteredVersion.objects.living())
        return self._api(browser, "api:move_alias", pk, {"alias": chance.choice(ALIASES)})

    def _back(self, chance: random.Random, browser: Client) -> int:
        pk = self._any(chance, RegisteredModel.objects.all())
        return self._api(browser, "api:roll_back_alias", pk, {"alias": chance.choice(ALIASES)})

    def _delete(self, chance: random.Random, browser: Client) -> int:
        pk = self._any(chance, RegisteredVersion.objects.living())
        return browser.post(reverse("registered-version-delete", args=[pk])).status_code if pk else 0

    def _pin(self, chance: random.Random, browser: Client) -> int:
        pk = self._any(chance, Checkpoint.objects.filter(deleted_at=None))
        given = {"unpin": "1"} if chance.random() < 0.7 else {}
        return browser.post(reverse("checkpoint-pin", args=[pk]), given).status_code if pk else 0

    def _trash(self, chance: random.Random, browser: Client) -> int:
        runs = Run.objects.filter(project=self.project).listed()
        pk = self._any(chance, runs) if runs.count() > FEWEST_RUNS else None
        given = {"action": "trash", "run": pk, "expect": "1"}
        return browser.post(reverse("runs-bulk", args=[self.project.pk]), given).status_code if pk else 0

    def _restore(self, chance: random.Random, browser: Client) -> int:
        return self._of_trash(chance, browser, "trash-restore")

    def _purge(self, chance: random.Random, browser: Client) -> int:
        return self._of_trash(chance, browser, "trash-purge")

    def _of_trash(self, chance: random.Random, browser: Client, name: str) -> int:
        pk = self._any(chance, Run.objects.filter(project=self.project, deleted_at__isnull=False))
        given = {"kind": "run", "pk": pk}
        return browser.post(reverse(name, args=[self.project.pk]), given).status_code if pk else 0

    def _clean_up(self, chance: random.Random, browser: Client) -> int:
        key = chance.choice(["checkpoints", "working", "trash"])
        marks = [f"{offer.key}:{offer.mark}" for offer in offers_of(self.project) if offer.key == key]
        given = {"confirm": "1", "mark": marks}
        return browser.post(reverse("storage-clean-up", args=[self.project.pk]), given).status_code if marks else 0

    def _any(self, chance: random.Random, rows: Any) -> int | None:
        pks = list(rows.order_by("pk").values_list("pk", flat=True))
        return chance.choice(pks) if pks else None

    def _api(self, browser: Client, name: str, pk: int | None, given: dict[str, Any]) -> int:
        if pk is None:
            return 0
        return browser.post(reverse(name, args=[pk]), given, content_type="application/json").status_code

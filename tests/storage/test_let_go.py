"""What is let go of a run that has gone itself."""

from __future__ import annotations

import pytest

from studio.storage import let_go
from studio.storage.let_go import Freed
from studio.storage.models import Removal
from tests.factories import make_run

pytestmark = pytest.mark.django_db


def test_a_run_that_has_gone_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    run, gone = make_run(), make_run()
    numbers = [gone.pk, run.pk]
    gone.delete()
    monkeypatch.setitem(let_go.REMOVERS, Removal.Kind.MEDIA, lambda pk: Freed(1, files_bytes=10))
    assert let_go.carry_out(Removal.Kind.MEDIA, numbers, why="clean-up") == Freed(1, files_bytes=10)
    noted = Removal.objects.get()
    assert (noted.run_id, noted.project_id, noted.files_bytes) == (run.pk, run.project_id, 10)

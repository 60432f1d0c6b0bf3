"""What is removed of a run that goes itself meanwhile."""

from __future__ import annotations

import pytest

from studio.runs.models import Run
from studio.storage import let_go
from studio.storage.let_go import Freed
from studio.storage.models import Removal
from tests.factories import make_run

pytestmark = pytest.mark.django_db


def test_what_went_before_its_run_is_noted_for_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    run, gone = make_run(), make_run()
    gone_pk = gone.pk

    def remove(pk: int) -> Freed:
        Run.objects.filter(pk=pk).delete()  # as somebody who empties the trash at this moment
        return Freed(1, files_bytes=10)

    monkeypatch.setitem(let_go.REMOVERS, Removal.Kind.MEDIA, remove)
    gone.delete()
    assert let_go.carry_out(Removal.Kind.MEDIA, [gone_pk, run.pk], why="clean-up") == Freed(1, files_bytes=10)
    noted = Removal.objects.get()
    assert (noted.run_id, noted.project_id, noted.files_bytes) == (None, run.project_id, 10)

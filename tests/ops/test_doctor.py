"""`doctor` says what is wrong and exits accordingly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from studio.ops import doctor
from studio.runs.models import State
from tests import factories


@pytest.mark.parametrize(
    ("requirement", "text"),
    [
        ("django>=5.2,<99", ""),
        ("django>=98", "needed: >=98"),
        ("django<5", "needed: <5"),
        ("Django[argon2]>=5.2", ""),
        ("no-such-package>=1", "no-such-package is missing"),
    ],
)
def test_bounds_of_packages_are_compared(requirement: str, text: str) -> None:
    assert text in doctor._unmet(requirement)
    assert bool(text) == bool(doctor._unmet(requirement))


def test_versions_compare_as_numbers() -> None:
    assert doctor._numbers("2.13.0+cpu") == doctor._numbers("2.13") < doctor._numbers("2.14") < doctor._numbers("10.0")


def test_a_data_directory_open_to_others_is_bad(tmp_path: Path, settings: Any) -> None:
    settings.DATA_DIR = tmp_path
    tmp_path.chmod(0o755)
    assert [f.level for f in doctor.data_directory()] == ["bad"]
    tmp_path.chmod(0o700)
    assert [f.level for f in doctor.data_directory()] == ["good"]


def test_a_file_of_stores_is_looked_at(tmp_path: Path, settings: Any) -> None:
    assert list(doctor.data_stores()) == []
    path = tmp_path / "stores.toml"
    settings.DATA_STORES = str(path)
    assert [f.level for f in doctor.data_stores()] == ["bad"]
    path.write_text('[lab]\naddress = "s3://training/public/"\n')
    path.chmod(0o644)
    assert [f.level for f in doctor.data_stores()] == ["bad"]
    path.chmod(0o600)
    (finding,) = doctor.data_stores()
    assert (finding.level, "s3://training/public/" in finding.text) == ("good", True)


def test_a_queue_server_is_bad_when_it_should_run(settings: Any) -> None:
    settings.REDIS_URL = "unix:///nowhere/redis.sock"
    assert [f.level for f in doctor.queue_server(running=True)] == ["bad"]
    assert [f.level for f in doctor.queue_server(running=False)] == ["note"]


def test_the_version_of_the_queue_server_is_told(redis_server: Any) -> None:
    (finding,) = doctor.queue_server(running=True)
    assert finding.level == "good"
    assert "kept on disk" in finding.text


@pytest.mark.django_db
def test_a_migrated_database_is_good_and_overdue_runs_are_bad() -> None:
    assert [f.level for f in doctor.database()] == ["good"]
    assert [f.level for f in doctor.workers_and_runs(running=True)] == ["bad"]
    factories.make_worker()
    assert [f.level for f in doctor.workers_and_runs(running=True)] == ["good"]
    run = factories.make_run(state=State.RUNNING)
    assert settings.LEASE_S < doctor.OVERDUE_S
    type(run).objects.filter(pk=run.pk).update(lease_until="2020-01-01T00:00:00Z")
    assert [f.level for f in doctor.workers_and_runs(running=True)] == ["good", "bad"]

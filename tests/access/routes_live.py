"""Who may open the live socket, and what it tells of."""

from tests.access.matrix import Socket
from tests.access.people import People
from tests.factories import make_run


def channels(people: People) -> list[str]:
    return [f"run:{make_run(people.project).pk}", f"project:{people.project.pk}"]


SOCKETS = [
    Socket(
        "ws/live/",
        {"owner": 101, "editor": 101, "viewer": 101, "stranger": 101, "anonymous": 4403},
        channels,
    )
]

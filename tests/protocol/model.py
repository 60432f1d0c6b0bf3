"""The run protocol as a small machine whose every reachable state can be searched.

One run, several workers that crash, stop and come back, a person who cancels, pauses and resumes, a reaper, and time
that may pass at any moment. It is the specification: what the studio's functions do must be a path of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

QUEUED, STARTING, RUNNING, PAUSING, PAUSED, CANCELLING = (
    "queued", "starting", "running", "pausing", "paused", "cancelling",
)  # fmt: skip
SUCCEEDED, FAILED, CANCELLED = "succeeded", "failed", "cancelled"
HELD = frozenset({STARTING, RUNNING, PAUSING, CANCELLING})
SETTLED = frozenset({SUCCEEDED, FAILED, CANCELLED})


@dataclass(frozen=True, slots=True)
class Worker:
    """`fence` 0 is idle. `stopped` is SIGSTOP or a cut network: it acts again only after it is continued."""

    fence: int = 0
    stopped: bool = False
    alive: bool = True

    @property
    def can_act(self) -> bool:
        return self.alive and not self.stopped


@dataclass(frozen=True, slots=True)
class Machine:
    """`budget` is what is left of automatic restarts; `saved` counts committed checkpoints (progress)."""

    state: str = QUEUED
    fence: int = 0
    leased: bool = False  # the lease has not run out
    budget: int = 2
    saved: int = 0
    orders: int = 2  # what is left of the person's cancel, pause and resume
    shut: bool = False  # the pool is paused, or something else says: not yet
    gpu: int = 0  # the attempt that has the machine's only GPU
    workers: tuple[Worker, ...] = field(default=(Worker(), Worker()))


Step = tuple[str, Machine]


def holder_writes(machine: Machine, worker: Worker, fenced: bool = True) -> bool:
    """Whether a write of this worker is accepted."""
    if not worker.fence or machine.state not in HELD:
        return False
    return worker.fence == machine.fence or not fenced


def steps(
    machine: Machine,
    *,
    fenced: bool = True,
    reaper_bumps: bool = False,
    most: int = 5,
    gates: bool = False,
    one_gpu: bool = False,
    reaper_frees: bool = False,
) -> Iterator[Step]:
    """Every next state, with the name of the action that leads there.

    With `gates` people pause the pool and open it again. With `one_gpu` both workers are on one machine, and the run needs its only GPU. `reaper_frees` gives it away together
    with the run, although a worker that is stopped still has its trainer there: a fault.
    """
    for name, after in _steps(machine, fenced, reaper_bumps, most, one_gpu):
        if name in ("shut", "open") and not gates:
            continue
        if not one_gpu or after.gpu and _lets_go(name, after, reaper_frees):
            yield name, replace(after, gpu=0)
        else:
            yield name, after


def _lets_go(name: str, after: Machine, reaper_frees: bool) -> bool:
    """Whether the trainer that had the GPU is gone with this step: ended by its worker, or with it."""
    return not any(worker.fence == after.gpu for worker in after.workers) or (reaper_frees and "reap" in name)


def _steps(machine: Machine, fenced: bool, reaper_bumps: bool, most: int, one_gpu: bool) -> Iterator[Step]:
    yield from _people(machine)
    yield from _time(machine, reaper_bumps)
    for index, worker in enumerate(machine.workers):
        yield from _faults(machine, index, worker)
        if worker.can_act:
            yield from _work(machine, index, worker, fenced, most, one_gpu)


def _with(machine: Machine, index: int, worker: Worker, **changes: object) -> Machine:
    workers = (*machine.workers[:index], worker, *machine.workers[index + 1 :])
    return replace(machine, workers=workers, **changes)  # type: ignore[arg-type]


def _people(machine: Machine) -> Iterator[Step]:
    if not machine.orders:
        return
    less = replace(machine, orders=machine.orders - 1)
    if machine.state in (QUEUED, PAUSED):
        yield "T7 cancel", replace(less, state=CANCELLED)
    if machine.state in (STARTING, RUNNING, PAUSING):
        yield "T8 cancel", replace(less, state=CANCELLING)
    if machine.state in (STARTING, RUNNING):
        yield "T10 pause", replace(less, state=PAUSING)
    if machine.state in (PAUSED, FAILED, CANCELLED):
        yield "T11 resume", replace(less, state=QUEUED, budget=2)
    if machine.state == QUEUED:
        yield ("open" if machine.shut else "shut"), replace(less, shut=not machine.shut)


def _time(machine: Machine, reaper_bumps: bool) -> Iterator[Step]:
    if machine.state not in HELD:
        return
    if machine.leased:
        yield "lease runs out", replace(machine, leased=False)
        return
    fence = machine.fence + 1 if reaper_bumps else machine.fence
    if machine.state == CANCELLING:
        yield "T9 reap", replace(machine, state=CANCELLED, fence=fence)
    elif machine.state == PAUSING:
        yield "T10 reap", replace(machine, state=PAUSED, fence=fence)
    elif machine.budget:
        yield "T6 reap", replace(machine, state=QUEUED, fence=fence, budget=machine.budget - 1)
    else:
        yield "T5 reap", replace(machine, state=FAILED, fence=fence)


def _faults(machine: Machine, index: int, worker: Worker) -> Iterator[Step]:
    if worker.alive and worker.fence:
        yield f"kill {index}", _with(machine, index, replace(worker, alive=False, fence=0, stopped=False))
        if worker.stopped:
            yield f"continue {index}", _with(machine, index, replace(worker, stopped=False))
        else:
            yield f"stop {index}", _with(machine, index, replace(worker, stopped=True))
    if not worker.alive:
        yield f"restart {index}", _with(machine, index, Worker())


def _work(machine: Machine, index: int, worker: Worker, fenced: bool, most: int, one_gpu: bool) -> Iterator[Step]:
    if not worker.fence:
        may_start = machine.state == QUEUED and not machine.shut and not (one_gpu and machine.gpu)
        if may_start and machine.fence < most:
            fence = machine.fence + 1
            changes = {"state": STARTING, "fence": fence, "leased": True, "gpu": fence}
            taken = _with(machine, index, replace(worker, fence=fence), **changes)
            yield f"T2 acquire {index}", taken
        return
    if not holder_writes(machine, worker, fenced):
        yield f"self-stop {index}", _with(machine, index, replace(worker, fence=0))
        return
    yield f"beat {index}", replace(machine, leased=True)
    gone = replace(worker, fence=0)
    if machine.state == STARTING:
        yield f"T3 ready {index}", replace(machine, state=RUNNING)
    if machine.state == RUNNING:
        yield f"T8 overtime {index}", replace(machine, state=CANCELLING)
    if machine.state == RUNNING and machine.saved < 1:
        yield f"checkpoint {index}", replace(machine, saved=machine.saved + 1)
    if machine.state in (RUNNING, PAUSING):
        yield f"T4 finish {index}", _with(machine, index, gone, state=SUCCEEDED)
    if machine.state in (STARTING, RUNNING, PAUSING):
        yield f"T5 fail {index}", _with(machine, index, gone, state=FAILED)
    if machine.state in (STARTING, RUNNING):
        if machine.budget:
            yield f"T6 restart {index}", _with(machine, index, gone, state=QUEUED, budget=machine.budget - 1)
        yield f"T6 preempted {index}", _with(machine, index, gone, state=QUEUED)
    if machine.state == PAUSING:
        yield f"T10 paused {index}", _with(machine, index, gone, state=PAUSED)
    if machine.state == CANCELLING:
        yield f"T9 cancelled {index}", _with(machine, index, gone, state=CANCELLED)


@dataclass
class Search:
    """Result of visiting everything that can be reached."""

    states: set[Machine] = field(default_factory=set)
    edges: list[tuple[Machine, str, Machine]] = field(default_factory=list)

    def writers(self, fenced: bool = True) -> list[Machine]:
        """States in which two workers' writes would both be accepted."""
        return [m for m in self.states if sum(holder_writes(m, w, fenced) for w in m.workers) > 1]

    def sharers(self) -> list[Machine]:
        """States in which two living workers have a trainer each: on one GPU, when there is only one."""
        return [m for m in self.states if sum(bool(w.fence) for w in m.workers) > 1]

    def stuck(self) -> list[Machine]:
        """States from which no settled or paused state can be reached without a person's help."""
        back: dict[Machine, list[Machine]] = {}
        for before, name, after in self.edges:
            if not any(word in name for word in ("cancel", "pause", "resume", "open")) or name[:2] in ("T9", "T5"):
                back.setdefault(after, []).append(before)
        good = deque(m for m in self.states if m.state in SETTLED or m.state == PAUSED)
        seen = set(good)
        while good:
            for before in back.get(good.popleft(), []):
                if before not in seen:
                    seen.add(before)
                    good.append(before)
        return [m for m in self.states if m not in seen and not m.shut]


def search(start: Machine | None = None, **rules: object) -> Search:
    found = Search()
    todo = deque([start or Machine()])
    found.states.add(todo[0])
    while todo:
        machine = todo.popleft()
        for name, after in steps(machine, **rules):  # type: ignore[arg-type]
            found.edges.append((machine, name, after))
            if after not in found.states:
                found.states.add(after)
                todo.append(after)
    return found

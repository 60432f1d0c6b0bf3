"""Carries one attempt from its lease to its end: the only writer of the attempt's rows.

It holds the lease, starts the trainer, takes over what it reports, passes orders on, and says in words what became of
it. When the lease is lost it kills the trainer and writes nothing more.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import psutil
from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections

from studio.core import objects
from studio.core.stores import StoreError
from studio.core.templatetags.studio import duration as in_words
from studio.registry.stored import StoredChanged
from studio.runs import chains, checkpoints, lease, slots
from studio.runs.errors import StaleState
from studio.runs.models import Attempt, Run, State
from studio.tracking.system import keep_sample
from studio.worker.data import bring_data
from studio.worker.outcome import Outcome, classify, oom_kills
from studio.worker.sharing import bring_checkpoints, bring_files, wait_until_sent
from studio.worker.spool import SpoolReader, event_handler, write_run_dir
from studio.worker.standby import Standby
from studio.worker.system import Sampler, due_after
from studio.worker.trainer import Trainer, child_environment
from studio.worker.transfer import Transfer
from trainer_core.events import SAVE_ORDER

log = logging.getLogger(__name__)
POLL_S, IDLE_POLL_S = 0.05, 0.2
OUTPUT_EVERY_S = 0.2
ORDERS_EVERY_S = 0.5
RETRY_S = 1.0
REFILL_AFTER_S = 5.0  # importing torch takes a processor for seconds, just when somebody waits for the first points
DONE_GRACE_S = 10.0  # from the trainer's last word to its end
AWAY = (OperationalError, InterfaceError)
SEND_S = 600.0
T = TypeVar("T")


class Interrupted(Exception):
    """An order came before there was a trainer."""


class Supervisor:
    """`run()` returns when the attempt is settled, or when it has been superseded.

    `stops_asked()` is 0 while the worker goes on, 1 when it should checkpoint and stop, 2 when it should stop now.
    """

    def __init__(
        self,
        attempt: Attempt,
        standby: Standby,
        *,
        stops_asked: Callable[[], int] = lambda: 0,
        transfer: Transfer | None = None,
    ) -> None:
        self.attempt, self.run_pk, self.fence = attempt, attempt.run_id, attempt.fence
        self.folder: Path = settings.RUNS_DIR / str(attempt.run_id) / f"a{attempt.fence}"
        self._standby, self._stops_asked, self._transfer = standby, stops_asked, transfer
        self._trainer: Trainer | None = None
        self._reader = SpoolReader(attempt, self.folder, event_handler(attempt.run_id, attempt.fence))
        self._state = State.STARTING
        self._next_beat = self._next_orders = self._next_output = 0.0
        self._stop_asked_at: float | None = None
        self._done_at: float | None = None
        self._killed_for = ""
        self._oom_kills = oom_kills()
        self._progressed, self._progressed_at = 0, time.monotonic()
        self._refill_at: float | None = None
        self._sampler: Sampler | None = None
        self._began = self._next_sample = time.monotonic()
        self._most_s, self._used_s = attempt.run.max_runtime_s, 0.0
        self._is_overtime = False
        self._saves_asked = attempt.run.saves_asked

    def run(self) -> None:
        try:
            outcome = self._attempt()
            self._wait_until_sent()
            self._settle(outcome)
        except StaleState as error:
            log.warning("attempt %s of run %s stops: %s", self.fence, self.run_pk, error)
        finally:
            if self._trainer is not None:
                self._trainer.kill()
                self._trainer.close()
            self._tolerantly(self._let_go)

    @property
    def devices(self) -> dict[str, str] | None:
        """What shows the trainer its GPUs and no others; None where the worker gives none."""
        given = self.attempt.devices
        return None if given is None else {"CUDA_VISIBLE_DEVICES": ",".join(given)}

    def _let_go(self) -> bool:
        """The trainer has ended, also when the run was taken away: its GPUs are free."""
        if self.attempt.devices:
            slots.let_go(self.run_pk, self.fence)
        return False

    def _attempt(self) -> Outcome:
        try:
            trainer = self._trainer = self._start()
            code = self._follow(trainer)
            left = trainer.kill()  # what user code left running
            self._keep_last_words(trainer)
            self._patiently(self._drain)
        except StoredChanged as error:
            return Outcome("data_changed", str(error))
        except StoreError as error:
            return Outcome("infra", str(error))
        except Interrupted:
            by_people = self._state in (State.CANCELLING, State.PAUSING)
            return Outcome("cancelled" if by_people else "preempted", "Stopped before its data was here.")
        except OSError as error:
            log.exception("run %s attempt %s", self.run_pk, self.fence)
            return Outcome("infra", f"The worker could not go on: {error.strerror or error}.")
        except (StaleState, *AWAY):
            raise
        except Exception as error:
            log.exception("run %s attempt %s", self.run_pk, self.fence)
            return Outcome("infra", f"The worker failed ({type(error).__name__}: {error}).")
        if left:
            return Outcome("unkillable", f"{len(left)} processes of the run could not be ended: {left[:5]}.")
        return self._outcome(code)

    def _start(self) -> Trainer:
        run, resume = self._patiently(
            lambda: (
                Run.objects.select_related("dataset_version", "start_checkpoint").get(pk=self.run_pk),
                checkpoints.resume_list(self.run_pk),
            )
        )
        if objects.is_open():
            resume = self._patiently(lambda: bring_checkpoints(self.run_pk, self._while_bringing, self._tell_phase))
        order: dict[str, Any] = {
            "run": self.run_pk,
            "fence": self.fence,
            "resume": list(resume) or None,
            "manifests": resume,
            "checkpoints": "../checkpoints",
            "env": {"OMP_NUM_THREADS": str(settings.TRAINER_THREADS)},
        }
        spec, words = bring_data(run.spec, run.dataset_version, self._while_bringing)
        spec = bring_files(spec, run.dataset_version, run.start_checkpoint, self._while_bringing, self._tell_phase)
        if words:
            self._patiently(lambda: lease.note(self.run_pk, self.fence, "notice", words, by="worker"))
        write_run_dir(self.folder, json.dumps(spec), order)
        (self.folder.parent / "checkpoints").mkdir(exist_ok=True, mode=0o700)
        if self._most_s:
            self._used_s = self._patiently(lambda: lease.time_used_s(self.attempt.run))
        trainer = self._standby.take(self.devices)
        try:
            trainer.give(self.folder, order["env"])
        except OSError:
            log.warning("the ready trainer had ended with code %s; starting another", trainer.poll())
            trainer.close()
            trainer = self._standby.take(self.devices)
            trainer.give(self.folder, order["env"])
        return trainer

    def _while_bringing(self) -> None:
        """Data is on its way: the lease is kept, and orders end it."""
        self._tolerantly(self._keep_lease)
        if self._stops_asked() or self._state in (State.CANCELLING, State.PAUSING):
            raise Interrupted

    def _tell_phase(self, words: str) -> None:
        told = {"phase": words, "stage": "setup"}
        self._tolerantly(lambda: lease.report_progress(self.run_pk, self.fence, told))

    def _wait_until_sent(self) -> None:
        """Before a worker that shuts down gives its run back, the object store has the checkpoints: the machine may go,
        and another one goes on at once."""
        if self._transfer is not None and self._stops_asked() and objects.is_open():
            self._patiently(lambda: wait_until_sent(self.run_pk, self._may_not_wait, self._while_sending, SEND_S))

    def _may_not_wait(self) -> bool:
        return self._transfer is None or self._transfer.is_failing or self._stops_asked() > 1

    def _while_sending(self) -> None:
        self._tolerantly(self._keep_lease)

    def _follow(self, trainer: Trainer) -> int | None:
        """Until the trainer has ended, or has been ended; its exit code."""
        while (code := trainer.poll()) is None:
            busy = self._tolerantly(self._take_over)
            self._tolerantly(self._keep_lease)
            self._tolerantly(self._keep_time)
            if self._state == State.RUNNING:
                self._tolerantly(self._look_at_machine)
            self._press_orders(trainer)
            if self._killed_for:
                return trainer.poll()
            if self._state == State.RUNNING:
                self._refill_standby()
            self._reader.wait(POLL_S if busy or self._state != State.RUNNING else IDLE_POLL_S)
        return code

    def _refill_standby(self) -> None:
        """Get the next trainer ready: at once for a run that waits already, otherwise when this one is well under way."""
        now = time.monotonic()
        if self._refill_at is None:
            waits = self._tolerantly(lambda: Run.objects.filter(state=State.QUEUED).exists())
            self._refill_at = now if waits else now + REFILL_AFTER_S
        if now >= self._refill_at:
            self._standby.refill()

    def _take_over(self) -> bool:
        busy = self._reader.read()
        now = time.monotonic()
        if self._reader.progressed != self._progressed:
            self._progressed, self._progressed_at = self._reader.progressed, now
        if now >= self._next_output:
            self._next_output = now + OUTPUT_EVERY_S
            busy = self._reader.read_output() or busy
        return busy

    def _keep_lease(self) -> bool:
        """Beat every few seconds, look for orders more often; StaleState when another attempt holds the run."""
        now = time.monotonic()
        if now >= self._next_beat:
            held = lease.beat(self.run_pk, self.fence)
            if held is None:
                raise StaleState("the lease is lost")
            self._state = held.state
            self._next_beat = now + settings.HEARTBEAT_S
        elif now >= self._next_orders:
            orders = lease.orders_of(self.run_pk, self.fence)
            if orders is None:
                raise StaleState("the lease is lost")
            self._state = orders.state
            if orders.saves_asked != self._saves_asked:
                (self.folder / SAVE_ORDER).touch()
                self._saves_asked = orders.saves_asked
        else:
            return False
        self._next_orders = now + ORDERS_EVERY_S
        return False

    def _keep_time(self) -> bool:
        """A run that has had its time is stopped as by a cancel: the step and a checkpoint come first."""
        if not self._most_s or self._is_overtime or self._state != State.RUNNING:
            return False
        if self._used_s + time.monotonic() - self._began >= self._most_s:
            words = f"Its maximum runtime of {in_words(self._most_s)} is over; the current step and a checkpoint come first."
            lease.overtime(self.run_pk, self.fence, words)
            self._state = lease.state_of(self.run_pk, self.fence) or self._state
            self._is_overtime = self._state == State.CANCELLING
        return False

    def _look_at_machine(self) -> bool:
        """Now and then store what the run takes; a moment that could not be stored is gone."""
        now = time.monotonic()
        if self._trainer is None or now < self._next_sample:
            return False
        age_s = now - self._began
        self._next_sample = now + due_after(age_s)
        try:
            if self._sampler is None:  # whose first figures would be those of a process that only imports
                visible = child_environment(self.devices).get("CUDA_VISIBLE_DEVICES")
                self._sampler = Sampler(self._trainer.pid, visible)
                return False
            values = self._sampler.sample()
        except (psutil.Error, OSError) as error:  # a machine that cannot be looked at is no reason to end a run
            log.warning("run %s attempt %s: no figures of the machine: %s", self.run_pk, self.fence, error)
            self._next_sample = math.inf
            return False
        if values:
            keep_sample(self.run_pk, self.fence, age_s, values)
        return False

    def _press_orders(self, trainer: Trainer) -> None:
        """Cancel, pause, shut-down: first a request, then force after the grace. A trainer that hangs is ended."""
        now = time.monotonic()
        wanted = self._state in (State.CANCELLING, State.PAUSING) or self._stops_asked() > 0
        if self._reader.done is not None:
            self._done_at = self._done_at or now
            if now - self._done_at > DONE_GRACE_S:
                self._killed_for = "done"
        elif not wanted:
            limit = settings.HUNG_AFTER_S
            if limit and now - self._progressed_at > limit:
                trainer.dump_stacks()
                self._killed_for = "hung"
        elif self._stop_asked_at is None:
            self._stop_asked_at = now
            trainer.ask_to_stop()
        if (wanted and self._stops_asked() > 1) or (
            self._stop_asked_at is not None and now - self._stop_asked_at > settings.CANCEL_GRACE_S
        ):
            self._killed_for = "stop"

    def _drain(self) -> None:
        """Everything that the trainer left behind, to the last whole frame and byte."""
        while self._reader.read():
            self._keep_lease()
        while self._reader.read_output():
            self._keep_lease()

    def _keep_last_words(self, trainer: Trainer) -> None:
        """A trainer that could not even start says why where nobody would look; put it into the run's log."""
        output = self._reader.output
        if self._reader.done is None and not (output.exists() and output.stat().st_size):
            output.write_bytes(trainer.last_words())

    def _outcome(self, code: int | None) -> Outcome:
        done, step = self._reader.done, self._reader.last_step
        found = classify(done, code, last_step=step, oom_killed=code == -9 and oom_kills() > self._oom_kills)
        if done is not None and found.outcome != "cancelled":
            return found
        saved = "It did not stop in time and was killed."
        if done is not None:
            saved = str(done.get("saved") or "A checkpoint was saved.")[:1000]
        if self._killed_for == "hung":
            minutes = settings.HUNG_AFTER_S / 60
            words = f"Nothing happened for {minutes:g} minutes, so the process was ended; its stacks are in the log."
            return Outcome("hung", words)
        if self._stop_asked_at is None:
            # Somebody else stopped the trainer: what it saved is good, and it may go on from there.
            return found if done is None else Outcome("infra", "The process was asked to stop from outside.")
        if done is None and not self._killed_for:
            saved = "It ended before it could save a checkpoint."
        if self._is_overtime:
            words = f"Stopped at step {step} after its maximum runtime of {in_words(self._most_s or 0)}. {saved}"
            return Outcome("time_limit", f"{words} Resume gives it as much again.")
        if self._state in (State.CANCELLING, State.PAUSING):
            return Outcome("cancelled", f"Stopped at step {step}. {saved}")
        return Outcome("preempted", f"The worker was shut down at step {step}. {saved}")

    def _settle(self, outcome: Outcome) -> None:
        self._patiently(
            lambda: lease.settle(
                self.run_pk, self.fence, outcome=outcome.outcome, reason=outcome.reason, detail=outcome.detail
            )
        )

        self._tolerantly(self._tell_followers)

    def _tell_followers(self) -> bool:
        chains.resolve_followers(self.run_pk)
        return False

    def _tolerantly(self, step: Callable[[], bool]) -> bool:
        """Training goes on without the database: the spool keeps everything until it is back."""
        try:
            return step()
        except AWAY as error:
            log.warning("the database does not answer (%s); the trainer goes on", error)
            close_old_connections()
            time.sleep(RETRY_S)
            return False

    def _patiently(self, step: Callable[[], T]) -> T:
        """Again and again until the database takes it."""
        while True:
            try:
                return step()
            except AWAY as error:
                log.warning("the database does not answer (%s); waiting for it", error)
                close_old_connections()
                time.sleep(RETRY_S)

"""From choices to a frozen specification to a queued run."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F

from studio.accounts.models import Project, User
from studio.registry.errors import RegistryError
from studio.registry.models import DatasetVersion, ModelVersion
from studio.registry.refs import compatibility, spec_parts
from studio.runs import chains, columns, queue, rules
from studio.runs.errors import RunError
from studio.runs.models import Checkpoint, FieldRule, Run, State
from studio.runs.queue_options import columns_of, copied_columns
from studio.runs.starts import Mode, check_further, start_of
from studio.runs.states import transition
from studio.runs.together import first_of_go
from trainer_core.errors import OptionError, SpecError
from trainer_core.options import RUN_EXTRAS, TRAINER_OPTIONS, OptionSpec, parse_all
from trainer_core.spec import MAX_SEED, RunSpec, StartRef

NO_START = "stage: without training it takes the weights of a checkpoint. Choose what to start from."
SEED = OptionSpec("seed", "int", minimum=0, maximum=MAX_SEED)


def submit_run(
    *,
    project: Project,
    user: User | None,
    model_version: ModelVersion,
    dataset_version: DatasetVersion,
    name: str = "",
    trainer: dict[str, Any] | None = None,
    model_args: dict[str, Any] | None = None,
    data_args: dict[str, Any] | None = None,
    extras: dict[str, Any] | None = None,
    seed: int | str | None = None,
    parent: Run | None = None,
    note: str = "",
    queueing: dict[str, Any] | None = None,
    idempotency_key: str | None = None,
    start: Checkpoint | None = None,
    start_mode: Mode = "weights",
) -> Run:
    """Freeze the choices into a spec and queue it; the same `idempotency_key` of a user gives the same run again.

    `queueing` is of queue_options.QUEUE_OPTIONS. RunError, with a sentence by field, for what does not fit.
    """
    if idempotency_key and (known := _known(user, idempotency_key)):
        return known
    placing, wrong = columns_of(project, queueing or {})
    errors = {f"queue.{name}": words for name, words in wrong.items()}
    chain = chains.Chain(placing.get("after"), placing.get("after_checkpoint"), start_mode)
    versions: dict[str, Any] = {"model_version": model_version, "dataset_version": dataset_version}
    try:
        start = chain.start(start)
        spec = build_spec(
            team=project.team_id,
            trainer=trainer or {},
            model_args=model_args or {},
            data_args=data_args or {},
            extras=extras or {},
            seed=chain.seed(seed),
            start=None if start is None else start_of(start, start_mode, project_pk=project.pk),
            **versions,
        )
        _check_start(spec, start, chain, waits=not errors)
    except RunError as error:
        raise RunError(str(error), errors={**error.errors, **errors}) from error
    if errors:
        raise RunError(next(iter(errors.values())), errors=errors)
    return _queued(
        project_id=project.pk,
        name=name.strip()[:120] or suggested_name(model_version, dataset_version),
        note=note,
        parent=parent,
        start_checkpoint=start,
        after_mode=start_mode if chain.which else "weights",
        spec=spec.to_dict(),
        spec_hash=spec.hash,
        created_by=user,
        idempotency_key=idempotency_key or None,
        **versions,
        **placing,
    )


def _check_start(spec: RunSpec, start: Checkpoint | None, chain: chains.Chain, *, waits: bool) -> None:
    """RunError when the run cannot begin so; what it waits for is looked at when that could be read."""
    if start is not None and chain.mode == "all":
        check_further(spec, start)
    elif start is None and waits:
        chain.check(spec)
    if spec.extras.get("stage") and start is None and not chain.which:
        raise RunError(NO_START, errors={"extras.stage": NO_START})


def build_spec(
    *,
    model_version: ModelVersion,
    dataset_version: DatasetVersion,
    trainer: dict[str, Any],
    model_args: dict[str, Any],
    data_args: dict[str, Any],
    extras: dict[str, Any],
    seed: int | str | None = None,
    start: StartRef | None = None,
    team: int | None = None,
) -> RunSpec:
    """The specification that these choices make; RunError names every field that does not fit.

    With `team`, the rules of that team hold, and what it has fixed is filled in.
    """
    errors: dict[str, str] = {}
    if team is not None:
        given = {"model": model_args, "data": data_args, "trainer": trainer, "extras": extras}
        try:
            given = _obeyed(team, given, model_version, dataset_version)
        except RunError as error:
            errors |= error.errors
        model_args, data_args, trainer, extras = (given[part] for part in ("model", "data", "trainer", "extras"))
    options, wrong = parse_all(TRAINER_OPTIONS, trainer)
    errors.update({f"trainer.{k}": v for k, v in wrong.items()})
    more, wrong = parse_all(RUN_EXTRAS, extras)
    errors.update({f"extras.{k}": v for k, v in wrong.items()})
    chosen_seed = _seed(seed, errors)
    fits, sentence = compatibility(model_version, dataset_version)
    if not fits:
        errors["dataset"] = sentence
    try:
        model, data = spec_parts(model_version, dataset_version, model_args, data_args)
    except RegistryError as error:
        errors[getattr(error, "field", "") or ""] = str(error)
    if errors:
        raise RunError(next(iter(errors.values())), errors=errors)
    try:
        return RunSpec(model=model, data=data, trainer=options, extras=more, seed=chosen_seed, start=start)
    except SpecError as error:
        raise RunError(str(error)) from error


def _obeyed(
    team: int, given: dict[str, Any], model: ModelVersion | None, data: DatasetVersion | None
) -> dict[str, Any]:
    return rules.obeyed(FieldRule.objects.filter(team=team), given, model_version=model, dataset_version=data)


def _refuse_broken_rules(run: Run) -> None:
    """A run that is repeated as it was obeys what the team has fixed since. RunError."""
    parts = {part: run.spec[part].get("args", {}) for part in ("model", "data")}
    given = {**parts, **{part: run.spec.get(part, {}) for part in ("trainer", "extras")}}
    if _obeyed(run.project.team_id, given, run.model_version, run.dataset_version) != given:
        raise RunError("The team has fixed a value since. Use Change and run: the form has it.")


def suggested_name(model_version: ModelVersion, dataset_version: DatasetVersion) -> str:
    return f"{model_version.model.name} on {dataset_version.dataset.name}"[:120]


def rerun(*, run: Run, user: User | None, name: str = "", idempotency_key: str | None = None) -> Run:
    """The same specification again, as a child of `run`; a new seed is not drawn."""
    if idempotency_key and (known := _known(user, idempotency_key)):
        return known
    _refuse_external(run)
    _refuse_broken_rules(run)
    return _queued(
        project_id=run.project_id,
        name=name or run.name,
        parent=run,
        model_version_id=run.model_version_id,
        dataset_version_id=run.dataset_version_id,
        start_checkpoint_id=run.start_checkpoint_id,
        spec=run.spec,
        spec_hash=run.spec_hash,
        created_by=user,
        idempotency_key=idempotency_key or None,
        **copied_columns(run),
    )


def more_seeds(*, run: Run, user: User | None, count: int = 3) -> list[Run]:
    """The same choices `count` times more (1 to 10), each with a seed of its own: how much of a result is chance."""
    if not 1 <= count <= 10:
        raise RunError(f"seeds: got {count}, allowed is a number from 1 to 10.")
    _refuse_external(run)
    _refuse_broken_rules(run)
    spec = RunSpec.from_dict(run.spec)
    if spec.start is not None and spec.start.mode == "all":
        raise RunError(
            f"{run} goes on exactly from another run, so it has the seed of that one. Repeat that one instead."
        )
    with transaction.atomic():
        specs = [replace(spec, seed=seed) for seed in _fresh_seeds(spec.seed, count)]
        return [
            _queued(
                project_id=run.project_id,
                name=run.name,
                note=f"Seed {one.seed}, beside run {run.number} with seed {spec.seed}.",
                parent=run,
                model_version_id=run.model_version_id,
                dataset_version_id=run.dataset_version_id,
                start_checkpoint_id=run.start_checkpoint_id,
                spec=one.to_dict(),
                spec_hash=one.hash,
                created_by=user,
                idempotency_key=None,
                **copied_columns(run),
            )
            for one in specs
        ]


def _fresh_seeds(taken: int, count: int) -> list[int]:
    found: list[int] = []
    while len(found) < count:
        seed = secrets.randbelow(2**31)
        if seed != taken and seed not in found:
            found.append(seed)
    return found


def _queued(**fields: Any) -> Run:
    """A new run with the project's next number, in the queue; the earlier one when the user sent its key before."""
    user, key = fields["created_by"], fields["idempotency_key"]
    try:
        with transaction.atomic():
            number = take_number(fields["project_id"])
            together = first_of_go(fields["project_id"], user, number)
            run = Run.objects.create(number=number, together=together, **fields)
            columns.write_config(run)
            transition(run, State.QUEUED, by=str(user or "system"))
            queue.enqueue_run(run)
            return run
    except IntegrityError:
        if key and (known := _known(user, key)):
            return known
        raise


def take_number(project_pk: int) -> int:
    """The project's next number of a run; inside the transaction that makes the run."""
    project = Project.objects.filter(pk=project_pk)
    project.update(next_run_number=F("next_run_number") + 1)
    return project.values_list("next_run_number", flat=True).get() - 1


def _refuse_external(run: Run) -> None:
    if run.is_external:
        raise RunError(f"{run} runs outside of the studio and cannot be started from here.")


def _seed(given: int | str | None, errors: dict[str, str]) -> int:
    if given in (None, ""):
        return secrets.randbelow(2**31)
    try:
        return int(SEED.parse(given))
    except OptionError as error:
        errors["seed"] = str(error)
        return 0


def _known(user: User | None, key: str) -> Run | None:
    return Run.objects.filter(created_by=user, idempotency_key=key).first()

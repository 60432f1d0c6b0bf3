"""The registry of trained models: promote checkpoints to versions, and move the aliases that name them.

Every change locks the registered model's row first, so that an alias names exactly one living version at any moment.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.urls import reverse

from studio.accounts import activity, audit
from studio.accounts.access import can, editors_of
from studio.accounts.models import Project, Role, User
from studio.runs.checkpoints import sha256_of
from studio.runs.errors import RunError, StaleState
from studio.runs.models import Checkpoint
from studio.runs.registered_models import Alias, AliasMove, RegisteredModel, RegisteredVersion

NAME = re.compile(r"\w[\w .-]{0,79}")
ALIAS = re.compile(r"[a-z][a-z0-9-]{0,39}")
NUMBER = re.compile(r"v?([0-9]{1,9})")
MOST_HISTORY, LONGEST_WHY = 1000, 500
Stage = AliasMove.Stage


def promote(
    *,
    checkpoint: Checkpoint,
    user: User | None,
    name: str,
    alias: str = "",
    note: str = "",
    why: str = "",
    reviewer: User | None = None,
) -> RegisteredVersion:
    """The checkpoint as a version of the registered model `name`, which is made when it is new; with `alias`, that moves,
    or waits until the reviewer agrees.

    A checkpoint that is a version of it already stays that version. From now on it is never retired. RunError by field.
    """
    name, alias = _checked(name, alias)
    _check_reviewer(checkpoint.run.project, user, alias, reviewer)
    if not sha256_of(checkpoint):
        raise RunError("The files of this checkpoint are gone. Choose another one.")
    with transaction.atomic():
        model, _ = RegisteredModel.objects.get_or_create(
            project=checkpoint.run.project, name=name, defaults={"created_by": user}
        )
        model = _locked(model)
        # An update of the row itself: retention, which looks at the row again, either comes first or sees it.
        if not Checkpoint.objects.filter(pk=checkpoint.pk, deleted_at=None).update(is_promoted=True):
            raise StaleState("This checkpoint made room for newer ones meanwhile. Choose another one.")
        version = model.versions.living().filter(checkpoint=checkpoint).first()
        if version is None:
            version = model.versions.create(
                number=model.next_number, checkpoint=checkpoint, note=note.strip()[:10_000], created_by=user
            )
            RegisteredModel.objects.filter(pk=model.pk).update(next_number=F("next_number") + 1)
            _tell(
                version,
                user,
                "version.add",
                f"{model} v{version.number} is step {checkpoint.step} of {checkpoint.run}",
                note,
            )
        if alias:
            _move(model, alias, version, user, why, reviewer=reviewer)
    return version


def move_alias(
    *, version: RegisteredVersion, user: User | None, alias: str, why: str = "", reviewer: User | None = None
) -> AliasMove:
    """`alias` names this version from now on; a protected one waits until somebody else agrees, and one with a reviewer
    until that person does. RunError."""
    _, alias = _checked("x", alias or "?")
    _check_reviewer(version.model.project, user, alias, reviewer)
    with transaction.atomic():
        model = _locked(version.model)
        return _move(model, alias, _living(model, version.pk), user, why, reviewer=reviewer)


def remove_alias(*, model: RegisteredModel, user: User | None, alias: str, why: str = "") -> AliasMove:
    """The alias names nothing any more. RunError for a protected one."""
    with transaction.atomic():
        found = _alias(_locked(model), alias)
        if found.is_protected:
            raise RunError(f"{alias} is protected. An administrator can lift that.")
        _refuse_waiting(model, alias)
        found.delete()
        return _line(model, alias, found.version, None, user, why)


def roll_back(*, model: RegisteredModel, user: User | None, alias: str, why: str = "") -> AliasMove:
    """Back to the version that it named before, deleted ones left out; again, to the one before that. RunError."""
    with transaction.atomic():
        locked = _locked(model)
        found = _alias(locked, alias)
        target = before(locked, alias)
        if target is None:
            raise RunError(f"{alias} has named no other version that still exists.")
        return _move(locked, alias, target, user, why, is_rollback=True, current=found)


def before(model: RegisteredModel, alias: str) -> RegisteredVersion | None:
    """Where a roll-back leads to. One query."""
    done = model.moves.filter(alias=alias, stage=Stage.DONE).select_related("to").order_by("-pk")[:MOST_HISTORY]
    line: list[RegisteredVersion] = []
    for move in reversed(done):
        if move.to is None:
            line = []
        elif not move.is_rollback:
            line.append(move.to)
        else:
            while line and line[-1].pk != move.to.pk:
                line.pop()
            line = line or [move.to]
    current = line[-1].pk if line else None
    return next((v for v in reversed(line) if v.pk != current and v.deleted_at is None), None)


def decide(*, move: AliasMove, user: User, approve: bool) -> AliasMove:
    """Carry out, or decline, a move that waits; who asked may only take it back, and where a reviewer was named, it is for
    that person, or an administrator. RunError."""
    if approve and move.by_id == user.pk:
        raise RunError("Somebody else has to approve a move that you asked for.")
    if not may_decide(move, user):
        raise RunError(f"{move.reviewer} was asked to decide this; an administrator may, too.")
    with transaction.atomic():
        model = _locked(move.model)
        stage = Stage.DONE if approve else Stage.DECLINED
        mine = AliasMove.objects.filter(pk=move.pk, stage=Stage.WAITING)
        if not mine.update(stage=stage, decided_by=user, decided_at=Now()):
            raise StaleState("This request was settled meanwhile.")
        move.refresh_from_db()
        if approve:
            assert move.to_id is not None
            version = _living(model, move.to_id)
            Alias.objects.update_or_create(model=model, name=move.alias, defaults={"version": version})
        assert move.to is not None
        word = "approved" if approve else "declined"
        people = {move.by_id: "asked"} if move.by_id else {}
        _tell(move.to, user, f"alias.{word}", f"{move.alias} of {model} to {move.to}: {word}", move.why, people)
    return move


def may_decide(move: AliasMove, user: User) -> bool:
    """Of an editor: whether a move that waits is for this person to approve, decline or take back. At most one query."""
    return is_for(move, user) or can(user, move.model, Role.ADMIN)


def is_for(move: AliasMove, user: User) -> bool:
    """The same of an editor who is no administrator. No query."""
    return move.reviewer_id in (None, user.pk) or move.by_id == user.pk


def protect(*, model: RegisteredModel, user: User, alias: str, on: bool) -> None:
    """Whether moving this alias needs two people. RunError when there is no such alias."""
    with transaction.atomic():
        found = _alias(_locked(model), alias)
        Alias.objects.filter(pk=found.pk).update(is_protected=on)
        audit.record(user, "alias.protect" if on else "alias.unprotect", model, alias=alias)


def delete_version(*, version: RegisteredVersion, user: User | None) -> None:
    """Its number stays taken; its checkpoint may be retired again. RunError while an alias names or awaits it."""
    with transaction.atomic():
        model = _locked(version.model)
        found = _living(model, version.pk)
        names = [a.name for a in found.aliases.all()]
        names += AliasMove.objects.filter(to=found, stage=Stage.WAITING).values_list("alias", flat=True)
        if names:
            raise RunError(f"{model} {found} is {', '.join(sorted(names))}. Move that to another version first.")
        # Held first: whoever promotes it under another name at this moment is seen below, or comes later.
        Checkpoint.objects.select_for_update().get(pk=found.checkpoint_id)
        RegisteredVersion.objects.filter(pk=found.pk).update(deleted_at=Now())
        others = RegisteredVersion.objects.living().filter(checkpoint_id=found.checkpoint_id)
        Checkpoint.objects.filter(pk=found.checkpoint_id).update(is_promoted=others.exists())
        audit.record(user, "version.delete", model, number=found.number)


def resolve(project: Project, reference: str) -> RegisteredVersion | None:
    """The living version that `name@alias`, `name@v3` or `name` (the newest) means in a project. One query."""
    name, _, which = reference.partition("@")
    versions = RegisteredVersion.objects.living().filter(model__project=project, model__name=name)
    versions = versions.select_related("model__project", "checkpoint__run").order_by("-number")
    if number := NUMBER.fullmatch(which):
        return versions.filter(number=int(number[1])).first()
    return (versions.filter(aliases__name=which) if which else versions).first()


def versions_of(checkpoints: Sequence[Checkpoint]) -> dict[int, list[RegisteredVersion]]:
    """The living versions that these are, by the checkpoint's key. One query."""
    found: dict[int, list[RegisteredVersion]] = {}
    rows = RegisteredVersion.objects.living().filter(checkpoint__in=checkpoints).select_related("model")
    for version in rows.order_by("pk")[:MOST_HISTORY]:
        found.setdefault(version.checkpoint_id, []).append(version)
    return found


def _move(
    model: RegisteredModel,
    alias: str,
    version: RegisteredVersion,
    user: User | None,
    why: str,
    *,
    is_rollback: bool = False,
    current: Alias | None = None,
    reviewer: User | None = None,
) -> AliasMove:
    current = current or model.aliases.filter(name=alias).select_related("version").first()
    was = current.version if current else None
    if was is not None and was.pk == version.pk:
        last = model.moves.filter(alias=alias, stage=Stage.DONE).first()
        if last is not None:
            return last
    waiting = model.moves.waiting().filter(alias=alias, to=version, by=user, reviewer=reviewer).first()
    if waiting is not None and user is not None:
        return waiting  # asked twice, as an answer may be lost on its way
    _refuse_waiting(model, alias)
    if reviewer is not None or (current is not None and current.is_protected):
        more: dict[str, Any] = {"is_rollback": is_rollback, "reviewer": reviewer}
        move = _line(model, alias, was, version, user, why, stage=Stage.WAITING, **more)
        people = {reviewer.pk: "asked"} if reviewer is not None else {}
        title, url = f"{user} asks: {alias} of {model} to {version}", reverse("registered-model", args=[model.pk])
        _tell(version, user, "alias.ask", title, why, people, url=url)
        return move
    if current is None:
        model.aliases.create(name=alias, version=version)
    else:
        Alias.objects.filter(pk=current.pk).update(version=version)
    _tell(version, user, "alias.move", f"{alias} of {model} is {version}", why)
    return _line(model, alias, was, version, user, why, is_rollback=is_rollback)


def _line(
    model: RegisteredModel,
    alias: str,
    was: RegisteredVersion | None,
    to: RegisteredVersion | None,
    user: User | None,
    why: str,
    **more: Any,
) -> AliasMove:
    return model.moves.create(alias=alias, before=was, to=to, by=user, why=" ".join(why.split())[:LONGEST_WHY], **more)


def _locked(model: RegisteredModel) -> RegisteredModel:
    return RegisteredModel.objects.select_for_update().get(pk=model.pk)


def _living(model: RegisteredModel, pk: int) -> RegisteredVersion:
    found = model.versions.living().filter(pk=pk).first()
    if found is None:
        raise StaleState("This version was deleted.")
    return found


def _alias(model: RegisteredModel, alias: str) -> Alias:
    found = model.aliases.filter(name=alias).select_related("version").first()
    if found is None:
        known = ", ".join(model.aliases.values_list("name", flat=True)) or "none"
        raise RunError(f"{model} has no alias {alias!r}; it has {known}.")
    return found


def _refuse_waiting(model: RegisteredModel, alias: str) -> None:
    if model.moves.waiting().filter(alias=alias).exists():
        raise RunError(f"A move of {alias} waits for approval. Settle that first.")


def _check_reviewer(project: Project, user: User | None, alias: str, reviewer: User | None) -> None:
    """RunError when this person cannot approve what the user asks for."""
    if reviewer is None:
        return
    words = ""
    if not alias:
        words = "A reviewer approves an alias. Name the alias, too."
    elif user is not None and reviewer.pk == user.pk:
        words = "Somebody else has to approve what you ask for. Choose another person."
    elif not editors_of(project).filter(pk=reviewer.pk).exists():
        words = f"{reviewer} may not change this project, and so cannot approve it. Choose an editor of it."
    if words:
        raise RunError(words, errors={"reviewer": words})


def _checked(name: str, alias: str) -> tuple[str, str]:
    name, alias, errors = name.strip(), alias.strip(), {}
    if not NAME.fullmatch(name):
        errors["name"] = (
            "Give it a name of at most 80 letters, digits, spaces, dots, hyphens and underscores, a letter or digit first."
        )
    if alias and (not ALIAS.fullmatch(alias) or NUMBER.fullmatch(alias)):
        errors["alias"] = (
            "An alias has at most 40 lower-case letters, digits and hyphens, a letter first, and does not look like v3."
        )
    if errors:
        raise RunError(" ".join(errors.values()), errors=errors)
    return name, alias


def _tell(
    version: RegisteredVersion,
    user: User | None,
    kind: str,
    title: str,
    text: str = "",
    people: dict[int, str] | None = None,
    *,
    url: str = "",
) -> None:
    url = url or reverse("registered-version", args=[version.pk])
    activity.add(project=version.model.project, actor=user, kind=kind, title=title, url=url, text=text, people=people)

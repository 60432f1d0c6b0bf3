"""From clauses of a filter to conditions of the database, each for runs of one project.

What is not on the row of the run is asked as `pk IN (SELECT run …)` over an index that has all that is needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import F, Q
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from studio.accounts.models import User
from studio.registry.models import DatasetVersion, ModelVersion
from studio.runs.models import HELD, SETTLED, Run, RunConfig, RunMetric, RunTag, State
from studio.runs.table.fields import FILTERED, Field, Fields, UnknownName
from studio.runs.table.language import Clause

ORDERS = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
UNITS = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400, "w": 604800}
STATES: dict[str, Sequence[str]] = {
    **{state.value: [state.value] for state in State},
    "finished": [State.SUCCEEDED],
    "done": [State.SUCCEEDED],
    "ended": SETTLED,
    "active": [*HELD, State.QUEUED, State.PAUSED],
    "waiting": [State.QUEUED],
}
REVIEWS = {"mine": "open", "waiting": "open", "approved": "approved", "changes": "changes"}
MOMENTS = {"created": "created_at", "when": "created_at", "started": "started_at", "ended": "ended_at"}


def condition(clause: Clause, fields: Fields, user: User) -> Q:
    """QueryError, with the place of the clause, when it makes no sense."""
    if not clause.op:
        found = _word(clause)
    elif special := SPECIAL.get(clause.key.lower()):
        found = special(clause, user)
    else:
        found = _of_field(clause, fields)
    return ~found if clause.negated else found


def asks_for(clauses: Sequence[Clause], flag: str) -> bool:
    """Whether some clause names `is:archived` or `is:trashed`, which are hidden otherwise."""
    return any(c.key.lower() == "is" and flag in [v.lower() for v in c.values] for c in clauses)


def _word(clause: Clause) -> Q:
    word = clause.values[0]
    if re.fullmatch(r"#\d{1,9}", word):
        return Q(number=int(word[1:]))
    return Q(name__icontains=word)


def _of_field(clause: Clause, fields: Fields) -> Q:
    try:
        field = fields.find(clause.key)
    except UnknownName as error:
        raise clause.error(f"{error} Facts of a run are {', '.join(FILTERED)}.") from error
    if field.kind == "fact":
        raise clause.error(f"Runs are not found by {field.name}; facts that they are found by: {', '.join(FILTERED)}.")
    if field.kind == "metric":
        return _metric(clause, field)
    return _config(clause, field)


def _metric(clause: Clause, field: Field) -> Q:
    if clause.op == "~":
        raise clause.error(f"{field.key} is a number: compare it with <, <=, >, >= or =.")
    rows = RunMetric.objects.filter(column_id__in=field.ids)
    return _in(rows.filter(_compared(clause, field.stat)))


def _config(clause: Clause, field: Field) -> Q:
    rows = RunConfig.objects.filter(column_id__in=field.ids)
    if clause.op in ORDERS:
        return _in(rows.filter(_compared(clause, "num")))
    if clause.op == "~":
        return _in(rows.filter(_any(Q(text__icontains=value) for value in clause.values)))
    same = Q()
    for value in clause.values:
        one = Q(text__iexact=value[: RunConfig.MOST_LETTERS])
        number = _number(value)
        same |= one if number is None else one | Q(num=number)
    return _in(rows.exclude(same) if clause.op == "!=" else rows.filter(same))


def _compared(clause: Clause, column: str) -> Q:
    numbers = []
    for value in clause.values:
        number = _number(value)
        if number is None:
            raise clause.error(f"{clause.key} is compared with a number, such as 0.5 or 1e-3; this is “{value}”.")
        numbers.append(number)
    if clause.op in ORDERS:
        return Q(**{f"{column}__{ORDERS[clause.op]}": numbers[0]})
    if clause.op == "!=":
        return Q(**{f"{column}__isnull": False}) & ~Q(**{f"{column}__in": numbers})
    return Q(**{f"{column}__in": numbers})


def _state(clause: Clause, user: User) -> Q:
    _only(clause, ":", "=", "!=")
    states: list[str] = []
    for value in clause.values:
        if value.lower() not in STATES:
            raise clause.error(f"“{value}” is no state. They are {', '.join(STATES)}.")
        states += STATES[value.lower()]
    return _not_if(clause, Q(state__in=states))


def _name(clause: Clause, user: User) -> Q:
    return _text(clause, "name", part_of=(":", "~"))


def _note(clause: Clause, user: User) -> Q:
    return _text(clause, "note", part_of=(":", "~"))


def _pool(clause: Clause, user: User) -> Q:
    return _text(clause, "pool", part_of=("~",))


def _text(clause: Clause, column: str, part_of: tuple[str, ...]) -> Q:
    _only(clause, ":", "=", "!=", "~")
    how = "icontains" if clause.op in part_of else "iexact"
    return _not_if(clause, _any(Q(**{f"{column}__{how}": value}) for value in clause.values))


def _tag(clause: Clause, user: User) -> Q:
    _only(clause, ":", "=", "!=", "~")
    how = "icontains" if clause.op == "~" else "iexact"
    return _not_if(clause, _in(RunTag.objects.filter(_any(Q(**{f"name__{how}": v}) for v in clause.values))))


def _version(versions: Any, owner: str) -> Callable[[Clause, User], Q]:
    """`model:MLP`, `model:"MLP v2"`, `model~ml`: versions of what has that name."""

    def found(clause: Clause, user: User) -> Q:
        _only(clause, ":", "=", "!=", "~")
        same = Q()
        for value in clause.values:
            version = re.fullmatch(r"(.+) v(\d{1,6})", value)
            if clause.op == "~":
                same |= Q(**{f"{owner}__name__icontains": value})
            elif version:
                same |= Q(**{f"{owner}__name__iexact": version[1]}, number=int(version[2]))
            else:
                same |= Q(**{f"{owner}__name__iexact": value})
        ids = list(versions.objects.visible_to(user).filter(same).values_list("pk", flat=True)[:500])
        return _not_if(clause, Q(**{f"{owner}_version_id__in": ids}))

    return found


def _by(clause: Clause, user: User) -> Q:
    _only(clause, ":", "=", "!=", "~")
    how = "icontains" if clause.op == "~" else "iexact"
    people = [user.username if value.lower() == "me" else value for value in clause.values]
    ids = User.objects.filter(_any(Q(**{f"username__{how}": name}) for name in people)).values_list("pk", flat=True)
    return _not_if(clause, Q(created_by_id__in=list(ids[:500])))


def _moment(clause: Clause, user: User) -> Q:
    column = MOMENTS[clause.key.lower()]
    example = f"Write {clause.key}>2026-11-01, or {clause.key}<2026-11-01T18:00."
    if len(clause.values) > 1 or clause.op == "~":
        raise clause.error(f"{clause.key} is compared with one day. {example}")
    try:
        moment = datetime.fromisoformat(clause.values[0])
    except ValueError:
        raise clause.error(f"“{clause.values[0]}” is no day. {example}") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if clause.op in ORDERS:
        whole_day = len(clause.values[0]) <= 10 and clause.op in (">", "<=")  # after that day, or up to its end
        return Q(**{f"{column}__{'gte' if clause.op == '>' and whole_day else 'lt' if whole_day else ORDERS[clause.op]}":
                    moment + timedelta(days=1) if whole_day else moment})  # fmt: skip
    return _not_if(clause, Q(**{f"{column}__gte": moment, f"{column}__lt": moment + timedelta(days=1)}))


def _age(clause: Clause, user: User) -> Q:
    """`age<7d`: made less than seven days ago."""
    seconds, order = _span(clause)
    other = {"lt": "gt", "lte": "gte", "gt": "lt", "gte": "lte"}[order]
    return Q(**{f"created_at__{other}": timezone.now() - timedelta(seconds=seconds)})


def _duration(clause: Clause, user: User) -> Q:
    seconds, order = _span(clause)
    took = Coalesce(F("ended_at"), Now()) - F("started_at")
    rows = Run.objects.filter(started_at__isnull=False).annotate(took=took)
    return Q(pk__in=rows.filter(**{f"took__{order}": timedelta(seconds=seconds)}).values("pk"))


def _span(clause: Clause) -> tuple[float, str]:
    found = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)(s|min|m|h|d|w)", clause.values[0])
    if clause.op not in ORDERS or not found:
        raise clause.error(
            f"{clause.key} is compared with a time: {clause.key}<30min, {clause.key}>2h, {clause.key}<7d."
        )
    return float(found[1]) * UNITS[found[2]], ORDERS[clause.op]


def _whole(column: str) -> Callable[[Clause, User], Q]:
    def found(clause: Clause, user: User) -> Q:
        _only(clause, ":", "=", "!=", "<", "<=", ">", ">=")
        numbers = [int(v) for v in (value.removeprefix("#") for value in clause.values) if re.fullmatch(r"\d{1,9}", v)]
        if len(numbers) != len(clause.values):
            raise clause.error(f"{clause.key} is compared with the number of a run, such as 12.")
        if clause.op in ORDERS:
            return Q(**{f"{column}__{ORDERS[clause.op]}": numbers[0]})
        return _not_if(clause, Q(**{f"{column}__in": numbers}))

    return found


def _is(clause: Clause, user: User) -> Q:
    _only(clause, ":", "=")
    found = {
        "starred": Q(pk__in=user.run_stars.values("run_id")),
        "archived": Q(archived_at__isnull=False),
        "trashed": Q(deleted_at__isnull=False),
        "mine": Q(created_by=user),
    }
    some = Q()
    for value in clause.values:
        if value.lower() not in found:
            raise clause.error(f"“is:{value}” is not known. It is {', '.join(f'is:{name}' for name in found)}.")
        some |= found[value.lower()]
    return some


def _has(clause: Clause, user: User) -> Q:
    _only(clause, ":", "=")
    found = {"tag": Q(pk__in=RunTag.objects.values("run_id")), "note": ~Q(note=""), "parent": Q(parent__isnull=False)}
    some = Q()
    for value in clause.values:
        some |= found.get(value.lower()) or _in(
            RunMetric.objects.filter(column__name=value, column__kind="metric", count__gt=0)
        )
    return some


def _review(clause: Clause, user: User) -> Q:
    """By what reviewers said; `mine` waits for the user."""
    _only(clause, ":", "=", "!=")
    some = Q()
    for value in (value.lower() for value in clause.values):
        if value not in REVIEWS:
            raise clause.error(f"“{value}” is no state of a review. They are {', '.join(REVIEWS)}.")
        asked = Run.objects.filter(reviews__state=REVIEWS[value])
        if value == "mine":
            asked = Run.objects.filter(reviews__state="open", reviews__reviewer=user)
        some |= Q(pk__in=asked.order_by().values("pk"))
    return _not_if(clause, some)


SPECIAL: dict[str, Callable[[Clause, User], Q]] = {
    "state": _state, "status": _state, "name": _name, "note": _note, "pool": _pool, "tag": _tag, "tags": _tag,
    "model": _version(ModelVersion, "model"), "dataset": _version(DatasetVersion, "dataset"),
    "data": _version(DatasetVersion, "dataset"), "by": _by, "user": _by, "who": _by, "created": _moment,
    "when": _moment, "started": _moment, "ended": _moment, "age": _age, "duration": _duration, "took": _duration,
    "number": _whole("number"), "id": _whole("number"), "parent": _whole("parent__number"),
    "together": _whole("together"), "is": _is, "has": _has,
    "review": _review,
}  # fmt: skip


def _only(clause: Clause, *allowed: str) -> None:
    if clause.op not in allowed:
        raise clause.error(f"{clause.key} goes with {' '.join(allowed)}, not with {clause.op}.")


def _not_if(clause: Clause, found: Q) -> Q:
    return ~found if clause.op == "!=" else found


def _any(some: Any) -> Q:
    found = Q()
    for one in some:
        found |= one
    return found


def _in(rows: Any) -> Q:
    return Q(pk__in=rows.order_by().values("run_id"))


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if abs(found) < float("inf") else None

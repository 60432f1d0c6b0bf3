"""The filter language: what it reads, and what it says of what it cannot read, and where."""

from __future__ import annotations

import pytest

from studio.runs.table.language import MOST_LETTERS, QueryError, parse, parse_names, quoted


def read(text: str) -> list[tuple[bool, str, str, tuple[str, ...]]]:
    return [(c.negated, c.key, c.op, c.values) for c in parse(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("  state:failed  ", [(False, "state", ":", ("failed",))]),
        ("state:failed,cancelled", [(False, "state", ":", ("failed", "cancelled"))]),
        ("lr<1e-3 lr >= 1e-5", [(False, "lr", "<", ("1e-3",)), (False, "lr", ">=", ("1e-5",))]),
        ("-tag:old", [(True, "tag", ":", ("old",))]),
        ("name~cnn", [(False, "name", "~", ("cnn",))]),
        ("lr!=0.1", [(False, "lr", "!=", ("0.1",))]),
        ('"my metric".max>0.9', [(False, "my metric.max", ">", ("0.9",))]),
        ('tag:"a b","c,d"', [(False, "tag", ":", ("a b", "c,d"))]),
        (r'tag:"say \"hi\""', [(False, "tag", ":", ('say "hi"',))]),
        ("cnn and #12", [(False, "", "", ("cnn",)), (False, "", "", ("#12",))]),
        ("created>2026-11-01T10:00", [(False, "created", ">", ("2026-11-01T10:00",))]),
        ("val/acc>0", [(False, "val/acc", ">", ("0",))]),
    ],
)
def test_clauses(text: str, found: list[object]) -> None:
    assert read(text) == found


@pytest.mark.parametrize(
    ("text", "wrong", "words"),
    [
        ("state:failed lr<", "lr<", "value after"),
        ("lr<1 :x", ":", "Write a name"),
        ('state:failed tag:"old', '"old', "no end"),
        ("state:failed or lr<1", "or", "commas"),
        ("lr<1,2", "lr<1,2", "one value"),
        ("tag:a,, b", "tag:a,", "value after"),
    ],
)
def test_an_error_says_what_is_wrong_and_where(text: str, wrong: str, words: str) -> None:
    with pytest.raises(QueryError, match=words) as caught:
        parse(text)
    assert text[caught.value.start : caught.value.end] == wrong


def test_a_filter_is_not_endless() -> None:
    with pytest.raises(QueryError, match="letters"):
        parse("x" * (MOST_LETTERS + 1))
    with pytest.raises(QueryError, match="41 clauses"):
        parse("x " * 41)


@pytest.mark.parametrize(
    "name", ["lr", "val/acc.max", "my metric", 'a "b"', "a,b", "a:b", "x<y", "\\", "-minus", "a=b", ""]
)
def test_a_quoted_name_is_read_as_it_was(name: str) -> None:
    assert parse_names(f"{quoted(name)},z") == [*([name] if name else []), "z"]
    if name:
        assert parse(f"{quoted(name)}>1")[0].key == name
        assert parse(f"tag:{quoted(name)}")[0].values == (name,)

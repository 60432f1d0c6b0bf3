"""What is left out is always said, in words that do not become many."""

from __future__ import annotations

from trainer_core.loggers.refusals import LONGEST_REST_S, MOST_NAMES, MOST_TOLD, Refusal, Refusals


def test_each_of_the_first_names_is_told_and_the_rest_in_one_sum_a_minute_later() -> None:
    refusals = Refusals()
    texts = refusals.add({f"m{k}": Refusal(3, "no number", 2) for k in range(MOST_TOLD + 5)}, 1000.0)
    assert len(texts) == MOST_TOLD
    assert texts[0].startswith("m0 at step 3 was left out: no number.")
    assert refusals.add({"m1": Refusal(4, "a text")}, 1030.0) == []
    assert refusals.due(1059.9) == []
    assert refusals.due(1060.0) == ["31 more values of 25 names left out, for example m1 at step 4: a text."]
    assert refusals.due(5000.0) == []
    assert refusals.rest(5000.0) == []


def test_sums_become_rarer_and_leave_no_value_out() -> None:
    refusals, moments, told = Refusals(), [], 0
    refusals.add({"m": Refusal(0, "no number")}, 0.0)
    for now in range(1, 24 * 3600):
        refusals.add({"m": Refusal(now, "no number")}, float(now))
        for text in refusals.due(float(now)):
            moments.append(now)
            told += int(text.split(" more ")[0].replace(",", ""))
    assert len(moments) < 35
    assert moments[:3] == [61, 181, 421]
    assert max(b - a for a, b in zip(moments, moments[1:], strict=False)) == LONGEST_REST_S
    (last,) = refusals.rest(24 * 3600.0)
    assert told + int(last.split(" more ")[0].replace(",", "")) == 24 * 3600 - 1


def test_names_without_end_take_a_bounded_place() -> None:
    refusals = Refusals()
    for k in range(3 * MOST_NAMES):
        refusals.add({f"m{k}": Refusal(k, "no number")}, float(k) / 1000)
    (text,) = refusals.due(100.0)
    assert text.startswith(f"2,980 more values of at least {MOST_NAMES:,} names left out, for example m2999 at step")
    assert max(len(refusals._told), len(refusals._names)) <= MOST_NAMES

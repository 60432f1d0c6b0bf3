"""The results of a run as the page shows them: facts, lines of tables, and what the charts read."""

from __future__ import annotations

import math
from typing import Any

from studio.tracking.models import RunResult
from studio.tracking.results import ratio_text

Facts = list[tuple[str, str, str]]


def shown(result: RunResult | None) -> dict[str, Any]:
    """The template's context; empty when there is nothing to show."""
    if result is None or not result.task:
        return {}
    data = result.data
    worst = [_worst(one) for one in data["worst"]]
    if result.task == "classification":
        return {"facts": _class_facts(data), "worst": worst, **_classes(data)}
    chart = {"points": data["points"], "residuals": data["residuals"]}
    return {"facts": _number_facts(data), "worst": worst, "chart": chart}


def _class_facts(data: dict[str, Any]) -> Facts:
    wrong = (
        data["rows"] - sum(_whole(row[i]) for i, row in enumerate(data["confusion"])) if "confusion" in data else None
    )
    facts = [("Accuracy", ratio_text(data.get("accuracy")), "share of the examples whose class is right")]
    facts.append(("Macro F1", ratio_text(data.get("macro_f1")), "mean over the classes, each counting the same"))
    facts.append(("Loss", number_text(data.get("loss")), "mean of -log of the true class's probability"))
    if wrong is not None:
        facts.append(("Wrong", f"{wrong:,} of {data['rows']:,}", "examples of the validation split"))
    return facts


def _number_facts(data: dict[str, Any]) -> Facts:
    return [
        ("R²", number_text(data.get("r2")), "share of the target's variance that is explained"),
        ("MAE", number_text(data.get("mae")), "mean distance from the truth, in the target's unit"),
        ("RMSE", number_text(data.get("rmse")), "as MAE, with large errors weighing more"),
        ("Examples", f"{data['rows']:,}", "of the validation split"),
    ]


def _classes(data: dict[str, Any]) -> dict[str, Any]:
    names = [str(name) for name in data["classes"]]
    lines = [
        {
            "name": name,
            "support": one.get("support"),
            **{k: ratio_text(one.get(k)) for k in ("precision", "recall", "f1")},
        }
        for name, one in zip(names, data["per_class"], strict=True)
    ]
    support = [one.get("support") or 0 for one in data["per_class"]]
    confused = [
        {
            "true": names[i],
            "predicted": names[j],
            "count": count,
            "share": ratio_text(count / support[i] if support[i] else None),
        }
        for i, j, count in data["confused"]
    ]
    found: dict[str, Any] = {"classes": lines, "confused": confused}
    if "confusion" in data:
        found["chart"] = {"classes": names, "confusion": data["confusion"]}
        found["matrix"] = list(zip(names, data["confusion"], strict=True))
        found["names"] = names
    return found


def _worst(one: dict[str, Any]) -> dict[str, Any]:
    preview: dict[str, Any] = one["preview"] if isinstance(one.get("preview"), dict) else {}
    probability = one.get("probability")
    return {
        "index": one.get("index"),
        "row": preview.get("row"),
        "loss": number_text(one.get("loss")),
        "true": _value(one.get("true")),
        "predicted": _value(one.get("predicted")),
        "is_wrong": isinstance(one.get("true"), str) and one.get("true") != one.get("predicted"),
        "probability": ratio_text(probability) if probability is not None else "",
        "image": preview if preview.get("kind") == "image" else None,
        "values": [(str(v[0]), str(v[1])) for v in preview.get("values", [])]
        if preview.get("kind") == "table"
        else None,
        "numbers": ", ".join(number_text(v) for v in preview.get("values", []))
        if preview.get("kind") == "numbers"
        else "",
    }


def _value(value: Any) -> str:
    return value if isinstance(value, str) else number_text(value)


def number_text(value: Any) -> str:
    """Five significant digits, thousands apart; a dash for None, the word for NaN and the infinities."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "–"
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "∞" if value > 0 else "-∞"
    if value != 0 and not 1e-4 <= abs(value) < 1e9:
        return f"{value:.3e}"
    digits = max(0, 4 - math.floor(math.log10(abs(value)))) if value else 0
    text = f"{value:,.{min(digits, 8)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _whole(value: Any) -> int:
    return int(value) if isinstance(value, int | float) else 0

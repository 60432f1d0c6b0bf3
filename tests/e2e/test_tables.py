"""A table of one's own: upload, choose the target, train, without a line of code."""

from __future__ import annotations

import gzip
from pathlib import Path

from tests.e2e.journey import Visit
from tests.ops.stack import ROOT

DATA = ROOT / "trainer_core" / "zoo" / "data"


def test_an_uploaded_table_trains_a_good_classifier(visit: Visit, tmp_path: Path) -> None:
    path = tmp_path / "tumours.csv"
    path.write_bytes(gzip.decompress((DATA / "breast_cancer.csv.gz").read_bytes()))
    visit.make_dataset(path, "diagnosis")
    visit.keep("dataset")
    run = visit.start_from_dataset("Tabular MLP")
    visit.wait_for_state("succeeded")
    visit.assert_all_points_are_shown(run)
    accuracy = visit.best_value(run, "val_accuracy")
    print(f"\nbreast cancer: validation accuracy {accuracy:.4f}")
    assert accuracy >= 0.95
    results = visit.open_results()
    assert results["Accuracy"] == f"{100 * accuracy:.1f} %", "the best checkpoint is the one that is looked at"
    assert results["Wrong"] == f"{round(113 * (1 - accuracy))} of 113"


def test_an_uploaded_table_trains_a_good_regressor(visit: Visit, tmp_path: Path) -> None:
    """The mean radius of a cell from its other measures."""
    path = tmp_path / "radius.csv"
    path.write_bytes(gzip.decompress((DATA / "breast_cancer.csv.gz").read_bytes()))
    visit.make_dataset(path, "mean_radius")
    run = visit.start_from_dataset("Tabular MLP")
    visit.wait_for_state("succeeded")
    r2 = visit.best_value(run, "val_r2")
    print(f"\nmean radius: validation R² {r2:.4f}")
    assert r2 >= 0.95
    assert abs(float(visit.open_results()["R²"]) - r2) < 1e-3

"""A table of one's own: upload, choose the target, train, without a line of code."""

from __future__ import annotations

import csv
import gzip
import io
import re
from pathlib import Path

from tests.e2e.journey import Visit
from tests.ops.stack import ROOT
from tests.registry.workbook_files import workbook

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


def test_a_sheet_of_a_workbook_trains_a_good_classifier(visit: Visit, tmp_path: Path) -> None:
    """The first sheet is a cover, so the second is chosen."""
    text = gzip.decompress((DATA / "breast_cancer.csv.gz").read_bytes()).decode()
    names, *rows = csv.reader(io.StringIO(text))
    typed = [[float(cell) if re.fullmatch(r"[\d.]+", cell) else cell for cell in row] for row in rows]
    path = tmp_path / "tumours.xlsx"
    path.write_bytes(workbook({"About": [["Tumours"], ["measured", "by hand"]], "Cells": [names, *typed]}))
    visit.upload_table(path)
    visit.page.get_by_text("looks like a title").wait_for()
    visit.keep("refused-sheet")
    visit.page.get_by_label("Another one").select_option("Cells")
    visit.page.get_by_role("button", name="Read that sheet").click()
    visit.page.get_by_role("heading", name="What should be predicted?").wait_for()
    visit.keep("chosen-sheet")
    visit.page.get_by_label("Target", exact=True).select_option("diagnosis")
    visit.page.get_by_role("button", name="Make the dataset").click()
    visit.page.get_by_role("link", name=re.compile("^Train on this")).wait_for()
    run = visit.start_from_dataset("Tabular MLP")
    visit.wait_for_state("succeeded")
    assert visit.best_value(run, "val_accuracy") >= 0.95

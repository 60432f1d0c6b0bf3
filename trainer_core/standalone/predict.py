#!/usr/bin/env python3
"""Predicts with the checkpoint of this folder, without the studio that made it.

python3 predict.py --row size=3.2 kind=oak     a row by its columns
python3 predict.py --csv FILE                  every row of a table; the answers go to stdout as CSV
python3 predict.py --image FILE [FILE …]       images
python3 predict.py --text TEXT                 a text to classify, or a beginning to go on with
python3 predict.py --array "[[1, 2], [3, 4]]"  numbers of one example, or a .npy file

Needs the packages of requirements.txt: pip install -r requirements.txt. The code in trainer_core is executed, and so is
that of the model where it is somebody's own.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--row", nargs="+", metavar="COLUMN=VALUE")
    what.add_argument("--csv", metavar="FILE")
    what.add_argument("--image", nargs="+", metavar="FILE")
    what.add_argument("--text", metavar="TEXT")
    what.add_argument("--array", metavar="NUMBERS")
    parser.add_argument("--length", type=int, default=200, help="characters to go on with, for language models")
    given = parser.parse_args()

    from trainer_core.errors import CheckpointError, MisconfigurationException
    from trainer_core.standalone.predictor import Predictor

    try:
        predictor = Predictor(HERE / "weights.ckpt", run_code=True)
        if given.csv:
            return _csv(predictor, given.csv)
        items = _items(given, parser)
        if items is None:
            print(json.dumps(predictor.schema, indent=1, ensure_ascii=False))
            return 0
        for answer in predictor.predict(items, length=given.length):
            print(json.dumps(answer, indent=1, ensure_ascii=False))
    except (CheckpointError, MisconfigurationException) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _items(given: argparse.Namespace, parser: argparse.ArgumentParser) -> list[Any] | None:
    if given.row:
        if any("=" not in pair for pair in given.row):
            parser.error("--row takes COLUMN=VALUE")
        return [dict(pair.split("=", 1) for pair in given.row)]
    if given.image:
        return [Path(name) for name in given.image]
    if given.text is not None:
        return [given.text]
    if given.array:
        return [Path(given.array) if given.array.endswith(".npy") else given.array]
    return None


def _csv(predictor: Any, file: str) -> int:
    known = [column["name"] for column in predictor.schema.get("columns", ())]
    columns = predictor.table(file)
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    answers = predictor.predict([{name: row[name] for name in known if name in row} for row in rows])
    out = csv.writer(sys.stdout)
    out.writerow(["prediction", "probability"] if answers and "classes" in answers[0] else ["prediction"])
    for answer in answers:
        if "classes" in answer:
            out.writerow([answer["label"], f"{answer['classes'][0]['probability']:.6g}"])
        else:
            out.writerow([answer.get("value", answer.get("output"))])
    return 0


if __name__ == "__main__":
    sys.exit(main())

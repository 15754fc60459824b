"""Split the data into a part to train on and a part to test on: `make process`, processing.yaml."""

import csv
from pathlib import Path

PROCESSING = Path("/opt/ml/processing")
TEST_SHARE = 5  # every fifth row is for the test


def main() -> None:
    """Read every CSV file of the input; write two."""
    for path in sorted((PROCESSING / "input/training").glob("*.csv")):
        with path.open(newline="") as file:
            header, *rows = csv.reader(file)
        parts = {"train": [], "test": []}
        for number, row in enumerate(rows):
            parts["train" if number % TEST_SHARE else "test"].append(row)
        for name, part in parts.items():
            with (PROCESSING / name / path.name).open("w", newline="") as file:
                csv.writer(file).writerows([header, *part])
            print(f"{path.name}: {len(part)} rows to {name}", flush=True)


if __name__ == "__main__":
    main()

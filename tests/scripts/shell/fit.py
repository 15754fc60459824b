import argparse
from pathlib import Path

p = argparse.ArgumentParser()
p.add_argument("--data", type=Path)
p.add_argument("--out", type=Path)
p.add_argument("--epochs", type=int)
p.add_argument("--lr", type=float)
a = p.parse_args()
rows = sum(1 for f in a.data.glob("*.csv") for _ in f.open()) - 1
(a.out / "rows.txt").write_text(f"{rows} {a.epochs} {a.lr}")

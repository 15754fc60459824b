import argparse
import os

from churn.model import fit


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int)
    args, _ = parser.parse_known_args()
    losses = fit(args.epochs)
    with open(os.environ["SM_MODEL_DIR"] + "/losses", "w") as f:
        f.write(repr(losses))


if __name__ == "__main__":
    main()

import argparse
import os

import joblib
import numpy as np
from sklearn.ensemble import RandomForestClassifier

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--n-estimators", type=int, default=10)
    parser.add_argument("--min-samples-leaf", type=int, default=1)
    parser.add_argument("--model-dir", type=str, default=os.environ.get("SM_MODEL_DIR"))
    parser.add_argument("--train", type=str, default=os.environ.get("SM_CHANNEL_TRAINING"))
    args, _ = parser.parse_known_args()

    print("extracting arguments")
    X = np.genfromtxt(
        os.path.join(args.train, "train.csv"), delimiter=",", skip_header=1, usecols=(1, 2, 3, 4)
    )
    y = np.genfromtxt(
        os.path.join(args.train, "train.csv"), delimiter=",", skip_header=1, usecols=0, dtype=str
    )
    keep = ~np.isnan(X).any(axis=1)
    model = RandomForestClassifier(
        n_estimators=args.n_estimators, min_samples_leaf=args.min_samples_leaf, n_jobs=2
    )
    model.fit(X[keep], y[keep])
    print("accuracy:", model.score(X[keep], y[keep]))
    joblib.dump(model, os.path.join(args.model_dir, "model.joblib"))

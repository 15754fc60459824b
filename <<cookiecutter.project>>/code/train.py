"""Train a model that tells penguin species apart (softmax regression), as a SageMaker job does.

SageMaker puts hyperparameters and data under /opt/ml, and takes what the job leaves there.
To train something else, replace the middle, from new_model() to evaluate(). The rest is what
SageMaker expects of any script.
"""

import csv
import hashlib
import json
import math
import os
import random
import signal
import statistics
import time
from pathlib import Path

ML = Path("/opt/ml")
LABEL = "species"
FEATURES = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")
MISSING = ("", "NA", "NaN", "nan", None)
HOLD_OUT = 0.2  # of the training rows, when the job has no validation channel
DEFAULTS = {"epochs": 20, "batch_size": 16, "lr": 0.1, "l2": 0.001, "seed": 0, "pause": 0.0}

stopping = False


def main():
    """Train. If that fails, container/train tells SageMaker why."""
    signal.signal(signal.SIGTERM, ask_to_stop)
    train(read_hyperparameters())


def ask_to_stop(signum, frame):
    """Remember that SIGTERM came. SageMaker stops a job with it and sends SIGKILL 120 s later."""
    global stopping
    stopping = True


def train(given):
    """Train from the start or from the checkpoint, and save what SageMaker uploads."""
    rows, validation = read_channels(given["seed"])
    model = new_model(rows)
    job = {name: given[name] for name in ("batch_size", "lr", "l2", "seed")}
    job["data"] = hashlib.sha256(json.dumps([rows, validation]).encode()).hexdigest()
    epoch = resume(model, job, given["epochs"])
    while epoch < given["epochs"] and not stopping:
        epoch += 1
        loss = train_epoch(model, rows, given, epoch)
        accuracy = evaluate(model, validation)["accuracy"]
        # A metric definition's regex finds these, such as train_loss=(.*?); flush logs them now.
        print(
            f"epoch={epoch}; train_loss={loss:.4f}; validation_accuracy={accuracy:.4f};", flush=True
        )
        if (ML / "checkpoints").is_dir():  # only jobs with a CheckpointConfig have it
            save(
                ML / "checkpoints" / "checkpoint.json",
                {"job": job, "epoch": epoch, "weights": model["weights"]},
            )
        rest(given["pause"])
    if stopping:
        print(
            f"SIGTERM: stopped after epoch {epoch} of {given['epochs']}, saving the model",
            flush=True,
        )
    save(ML / "model" / "model.json", model)
    save(ML / "output" / "data" / "evaluation.json", evaluate(model, validation))


def read_hyperparameters():
    """Return the job's hyperparameters as numbers.

    The file holds strings, and some SDKs put quotes around them. container/train passes the same
    values as arguments (--epochs 20), for argparse; the file is there without it, too.
    """
    values = dict(DEFAULTS)
    for name, text in json.loads(
        (ML / "input" / "config" / "hyperparameters.json").read_text()
    ).items():
        if name.startswith("sagemaker_") or name == "_tuning_objective_metric":
            continue  # meant for the toolkit or the tuner
        if name not in DEFAULTS:
            raise ValueError(f"unknown hyperparameter {name!r}; known: {', '.join(DEFAULTS)}")
        try:
            values[name] = type(DEFAULTS[name])(str(text).strip('"'))
        except ValueError:
            raise ValueError(
                f"hyperparameter {name} is {text!r}; write a number such as {DEFAULTS[name]}"
            ) from None
    if min(values["epochs"], values["batch_size"]) < 1:
        raise ValueError("hyperparameters epochs and batch_size must be at least 1")
    return values


def read_channels(seed):
    """Return training and validation rows; without a validation channel, hold out training rows."""
    rows = read_channel("training")
    if (ML / "input" / "data" / "validation").is_dir():
        return rows, read_channel("validation")
    random.Random(seed).shuffle(rows)
    count = math.ceil(len(rows) * HOLD_OUT)
    return rows[count:], rows[:count]


def read_channel(name):
    """Return the complete rows, (measures, label), of all CSV files in a channel.

    An S3 prefix may contain folders, so files are looked for in folders too.
    """
    folder, rows, dropped = ML / "input" / "data" / name, [], 0
    for path in sorted(folder.rglob("*.csv")):
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            try:
                for record in reader:
                    if any(record[column] in MISSING for column in (*FEATURES, LABEL)):
                        dropped += 1
                    else:
                        rows.append(([float(record[column]) for column in FEATURES], record[LABEL]))
            except (KeyError, ValueError) as error:
                raise ValueError(f"{path}:{reader.line_num}: {error!r}") from error
    if not rows:
        raise ValueError(f"no rows in {folder}/*.csv; the job needs a channel named {name}")
    print(f"{name}: {len(rows)} rows, {dropped} more dropped for missing values", flush=True)
    return rows


def new_model(rows):
    """Return an untrained model: weights for each class, and how to standardise the features."""
    columns = list(zip(*(measures for measures, _ in rows)))
    classes = sorted({label for _, label in rows})
    return {
        "classes": classes,
        "features": FEATURES,
        "means": [statistics.mean(column) for column in columns],
        "scales": [statistics.pstdev(column) or 1.0 for column in columns],
        "weights": [[0.0] * (1 + len(FEATURES)) for _ in classes],
    }


def predict(model, measures):
    """Return the class of one row. `json.load(open("model.json"))` is a model."""
    chances = probabilities(model["weights"], inputs(model, measures))
    return model["classes"][chances.index(max(chances))]


def inputs(model, measures):
    """Return the inputs of the linear model: 1 for the bias, then the standardised measures."""
    return [
        1.0,
        *(
            (value - mean) / scale
            for value, mean, scale in zip(measures, model["means"], model["scales"])
        ),
    ]


def probabilities(weights, x):
    """Return the probability of each class."""
    scores = [sum(weight * value for weight, value in zip(row, x)) for row in weights]
    # Arguments of exp are at most 0, so nothing overflows.
    exps = [math.exp(score - max(scores)) for score in scores]
    return [value / sum(exps) for value in exps]


def train_epoch(model, rows, given, epoch):
    """Go through the rows once, in batches; return the mean loss."""
    examples = [
        (inputs(model, measures), model["classes"].index(label)) for measures, label in rows
    ]
    # The order depends on seed and epoch alone, so a resumed job gives exactly the same model.
    random.Random(f"{given['seed']}/{epoch}").shuffle(examples)
    loss, size = 0.0, given["batch_size"]
    for start in range(0, len(examples), size):
        loss += descend(model["weights"], examples[start : start + size], given["lr"], given["l2"])
    if not math.isfinite(loss):
        raise ValueError(f"train_loss is {loss} in epoch {epoch}; lower lr, which is {given['lr']}")
    return loss / len(examples)


def descend(weights, batch, lr, l2):
    """Take one gradient step on cross-entropy plus L2 (without the bias); return the loss."""
    loss, gradients = 0.0, [[0.0] * len(row) for row in weights]
    for x, label in batch:
        chances = probabilities(weights, x)
        loss -= math.log(max(chances[label], 1e-300))
        for k, gradient in enumerate(gradients):
            error = chances[k] - (k == label)
            for i, value in enumerate(x):
                gradient[i] += error * value
    for row, gradient in zip(weights, gradients):
        for i, slope in enumerate(gradient):
            row[i] -= lr * (slope / len(batch) + (l2 * row[i] if i else 0.0))
    return loss


def evaluate(model, rows):
    """Return accuracy and confusion matrix; confusion[true][predicted] is a number of rows."""
    confusion = {
        label: dict.fromkeys(model["classes"], 0) for label in sorted({label for _, label in rows})
    }
    for measures, label in rows:
        confusion[label][predict(model, measures)] += 1
    right = sum(counts.get(label, 0) for label, counts in confusion.items())
    return {"accuracy": right / len(rows), "rows": len(rows), "confusion": confusion}


def resume(model, job, epochs):
    """Load the weights of this job's checkpoint, if any; return how many epochs they have seen."""
    path = ML / "checkpoints" / "checkpoint.json"
    if not path.exists():
        return 0
    checkpoint = json.loads(path.read_text())
    differs = [name for name in job if checkpoint["job"].get(name) != job[name]]
    if differs or checkpoint["epoch"] >= epochs:
        # Keep it: it may have taken hours.
        os.replace(path, path.with_name("checkpoint.other.json"))
        why = (
            f"has other {', '.join(differs)}"
            if differs
            else f"has all {checkpoint['epoch']} epochs behind it"
        )
        print(f"checkpoint.json {why}: now checkpoint.other.json; starting anew", flush=True)
        return 0
    print(f"resuming at epoch {checkpoint['epoch'] + 1}", flush=True)
    model["weights"] = checkpoint["weights"]
    return checkpoint["epoch"]


def save(path, value):
    """Write JSON atomically, so that nobody ever sees half a file, even after a SIGKILL."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # AWS's XGBoost image gives this name to unfinished files.
    half = path.with_name(path.name + ".sagemaker-ignore")
    half.write_text(json.dumps(value, indent=1), encoding="utf-8")
    os.replace(half, path)


def rest(seconds):
    """Sleep, but wake up for SIGTERM: time.sleep() alone would carry on after the handler."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not stopping:
        time.sleep(0.05)


if __name__ == "__main__":
    main()

"""Plain Ray Tune around the plain loop: what a user with the script alone would write.

`python -m benchmarks.plain_search ...` is a separate process, so that all of it can be
timed. Defaults of Ray Tune everywhere: every trial has a new worker process, which
imports PyTorch, opens the data, loads the teacher, and holds one CPU.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

# The only departures from the defaults: nothing is sent over the network, and no token
# stays behind in the home directory.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_AUTH_MODE", "disabled")

from ray import tune

import models
from benchmarks.plain_loop import PlainLoop
from models import shapes_of
from tuner.config.workload import Workload, resolve
from tuner.training.seeding import frozen
from tuner.training.workload_data import open_data


def train(config: dict[str, Any]) -> None:
    """One trial; `config` holds "workload", as `resolve` takes it, and "setting"."""
    workload: Workload = resolve(config["workload"])
    dataset, splits = open_data(workload)
    assert workload.teacher_checkpoint is not None
    teacher = models.load_checkpoint(
        workload.teacher_checkpoint, workload.teacher, dataset.num_classes
    )
    training = PlainLoop(
        workload,
        dataset,
        splits,
        method="itrd",
        setting=config["setting"],
        teacher=frozen(teacher),
        teacher_shapes=shapes_of(teacher, dataset.image_size, workload.teacher),
    )
    for _ in range(workload.epochs):
        tune.report(training.run_epoch())


def search(workload: dict[str, Any], settings: list[dict[str, Any]], storage: Path) -> list[float]:
    """Trains every setting; returns each trial's last validation accuracy in percent."""
    tuner = tune.Tuner(
        tune.with_resources(train, {"cpu": 1}),
        param_space={"workload": workload, "setting": tune.grid_search(settings)},
        tune_config=tune.TuneConfig(metric="val_top1", mode="max"),
        run_config=tune.RunConfig(storage_path=str(storage)),
    )
    results = tuner.fit()
    if results.num_errors:
        raise RuntimeError(f"{results.num_errors} trials failed: {results.errors[0]}")
    return [result.metrics["val_top1"] for result in results]


def main(arguments: list[str]) -> int:
    """Writes the accuracies as a JSON list, if asked; returns 0."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.plain_search", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--data", metavar="SPEC", required=True, help="as for tuner.search")
    parser.add_argument("--data-dir", metavar="DIR", required=True)
    parser.add_argument("--limit", type=int, help="training images; default: all")
    parser.add_argument("--teacher", metavar="NAME@CHECKPOINT", required=True)
    parser.add_argument("--student", metavar="NAME", required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--settings", metavar="JSON", required=True, help="a list of ITRD settings")
    parser.add_argument("--output", metavar="FILE", type=Path, help="for the accuracies")
    given = vars(parser.parse_args(arguments))
    settings, output = json.loads(given.pop("settings")), given.pop("output")
    with tempfile.TemporaryDirectory() as storage:
        accuracies = search(given, settings, Path(storage))
    if output is not None:
        output.write_text(json.dumps(accuracies))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

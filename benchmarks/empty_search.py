"""A whole search whose trials train nothing: what is left is what the search itself costs.

`python -m benchmarks.empty_search ...` is a separate process, so that start-up is the
same for every number of trials. It is `tuner.search` with two functions replaced: the
training, and the conclusion, which needs the students that were not trained.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import models
from tuner import search
from tuner.planning.task import Run
from tuner.results.record import Record
from tuner.results.trial import SEARCH
from tuner.storage.folder import Storage
from tuner.tracking.mirror import Mirror
from tuner.training.seeding import seeded
from tuner.training.teachers import TEACHER_FILE, write_network

NETWORK, NUM_CLASSES = "resnet8", 10  # of the digits, for teacher and student
NAME = "empty"
# Names and number of what a training with ITRD reports after an epoch.
METRICS = {
    "epoch": 1.0,
    "lr": 0.05,
    "train_loss": 3.0,
    "train_ce": 1.0,
    "train_corr": 1.0,
    "train_mi": 1.0,
    "train_accuracy": 50.0,
    "teacher_seconds": 0.0,
    "val_accuracy": 50.0,
    "val_loss": 1.0,
    "seconds": 0.0,
}


def report_only(config: dict[str, Any], job: Any) -> None:
    """In place of `tuner.orchestration.trainable.train`: one epoch, done at once."""
    # Imported here, because Ray reads its settings when it is imported.
    from ray import tune

    tune.report({**METRICS, "reported": list(METRICS), "notes": []})


def measure(num_trials: int, data: str, data_dir: str, folder: Path) -> dict[str, float]:
    """Seconds of the whole, and of its trials, from the first one's begin or its end.

    "whole": from the command's begin until MLflow has everything. Raises RuntimeError
    where a trial failed, or MLflow does not have it.
    """
    # A checkpoint, so that no teacher is trained either.
    teacher = seeded(0, lambda: models.build(NETWORK, NUM_CLASSES))
    write_network(Storage(str(folder)), teacher)
    options = {
        "space": "itrd",
        "data": data,
        "data-dir": data_dir,
        "teacher": f"{NETWORK}@{folder / TEACHER_FILE}",
        "student": NETWORK,
        "epochs": 1,
        "seeds": 1,
        "trials": num_trials,
        "name": NAME,
        "runs-dir": folder,
    }
    flags = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    ended: list[float] = []
    mirrors: list[Mirror] = []

    def conclude(run: Run, mirror: Mirror, *, as_json: bool) -> int:
        ended.append(time.perf_counter())
        mirrors.append(mirror)
        return 0

    with (
        patch("tuner.orchestration.trainable.train", report_only),
        patch("tuner.driver.ending.conclude", conclude),
    ):
        begin = time.perf_counter()
        status = search.main([*flags, "--quiet"])
    if status:
        raise RuntimeError(f"the search ended with status {status}")
    record = Record.load(Storage(str(folder / NAME)))
    _check(record, num_trials, mirrors[0])
    trials = record.trials_of(SEARCH)
    ends = [trial.ended for trial in trials if trial.ended is not None]
    return {
        "whole": ended[0] - begin,
        "from the first's begin": max(ends) - trials[0].started,
        "from the first's end": max(ends) - min(ends),
    }


def _check(record: Record, num_trials: int, mirror: Mirror) -> None:
    """Raises RuntimeError unless all trials are done, and their runs and metrics in MLflow."""
    if mirror.problem:
        raise RuntimeError(mirror.problem)
    num_done = sum(trial.is_full_length for trial in record.trials_of(SEARCH))
    if num_done != num_trials:
        raise RuntimeError(f"{num_done} of {num_trials} trials are done")
    from mlflow import MlflowClient

    client = MlflowClient(mirror.store.uri)
    experiments = [client.get_experiment_by_name(mirror.store.experiment).experiment_id]
    query, token, num_runs = "attributes.status = 'FINISHED' and metrics.val_loss > 0", None, 0
    while token != "":
        page = client.search_runs(experiments, query, max_results=1000, page_token=token)
        num_runs, token = num_runs + len(page), page.token or ""
    if num_runs != len(record.trials):
        raise RuntimeError(f"MLflow has {num_runs} of {len(record.trials)} trainings")


def main(arguments: list[str]) -> int:
    """Writes the seconds as a JSON object; returns 0."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.empty_search", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--trials", type=int, required=True)
    parser.add_argument("--data", metavar="SPEC", default="digits", help="as for tuner.search")
    parser.add_argument("--data-dir", metavar="DIR", required=True)
    parser.add_argument("--folder", metavar="DIR", type=Path, required=True, help="an empty one")
    parser.add_argument("--output", metavar="FILE", type=Path, required=True)
    given = parser.parse_args(arguments)
    seconds = measure(given.trials, given.data, given.data_dir, given.folder)
    given.output.write_text(json.dumps(seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Whole searches made by hand, as reports find them."""

from pathlib import Path
from typing import Any

import yaml

from tests.support.by_hand import add_training, begin, new_record, train_finals
from tuner.reports.searches import Searched
from tuner.results.record import Record
from tuner.results.trial import DONE, FINAL

REQUEST: dict[str, Any] = {
    "data": "digits",
    "validation_fraction": 0.2,
    "teacher": "resnet20",
    "student": "resnet8",
    "epochs": 2,
    "seed": 0,
    "seeds": 3,
    "trials": 2,
    "select_on": "val",
}


def make_search(
    name: str, tuned: tuple[float, ...], plain: tuple[float, ...] = (50.0, 51.0, 52.0), **given: Any
) -> Searched:
    """A search in ./runs with two full-length trials, a stopped one and its final trainings.

    `tuned` and `plain` are test accuracies by seed; published has those of plain.
    """
    folder = Path("runs", name)
    record = new_record(folder)
    first_seed = given.get("seed", 0) + 1
    _train(record, "0000", 60.0, setting={"weight": 1.0}, setting_label="published")
    _train(record, "0001", 90.0, setting={"weight": 9.0}, epochs=1)
    _train(record, "0002", 62.0, setting={"weight": 2.0})
    for label, accuracies in (("tuned", tuned), ("published", plain), ("plain", plain)):
        for seed, accuracy in enumerate(accuracies, start=first_seed):
            _train(
                record,
                f"{label}-{seed}",
                accuracy,
                role=FINAL,
                setting_label=label,
                method="plain" if label == "plain" else "kd",
                setting={"weight": 2.0} if label == "tuned" else {},
                seed=seed,
            )
    record.close()
    request = REQUEST | {"space": "kd"} | given
    (folder / "search.yaml").write_text(yaml.safe_dump(request))
    return Searched(name, request, record)


def make_method(
    folder: Path,
    method: str,
    *,
    tuned: tuple[float, ...] = (),
    published: tuple[float, ...] = (),
    seconds: float = 1.0,
) -> Record:
    """The record of a method's search: two trials and the final trainings, by test accuracy.

    Plain is at 50, 51 and 52 % with 0.5 s per epoch.
    """
    record = new_record(folder / method)
    for number, weight in enumerate((1.0, 2.0)):
        setting = {"weight": weight, "temperature": 4.0}
        begin(record, f"{number:04d}", num_epochs=1, method=method, setting=setting)
        record.end(f"{number:04d}", DONE)
    for label, accuracies, weight in (("tuned", tuned, 2.0), ("published", published, 1.0)):
        setting = {"weight": weight, "temperature": 4.0}
        train_finals(record, label, accuracies, method=method, setting=setting, seconds=seconds)
    train_finals(record, "plain", (50.0, 51.0, 52.0), seconds=0.5)
    return record


def _train(record: Record, name: str, accuracy: float, *, epochs: int = 2, **fields: Any) -> None:
    metrics = [{"val_accuracy": accuracy + 1, "seconds": 1.0} for _ in range(epochs)]
    if fields.get("role") == FINAL:
        metrics[-1]["test_accuracy"] = accuracy
    fields = {"method": "kd", "setting": {}} | fields
    add_training(record, name, metrics, num_epochs=2, **fields)

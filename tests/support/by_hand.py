"""A search without training: a record, a sampler and a plan, with given accuracies."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from search_spaces import Choice, Float, Int, Setting, Space
from tuner.config.step_mode import FLOAT32
from tuner.planning.plan import Budget, SearchPlan
from tuner.planning.sampler import Sampler
from tuner.results.header import Header
from tuner.results.record import Record
from tuner.results.trial import DONE, FAILED, FINAL, SEARCH, STOPPED, Trial
from tuner.storage.folder import Storage
from tuner.teacher_cache import OutputsPlan

METRIC = "val_accuracy"
SPACE = Space(
    method="itrd",
    params=(
        Float("weight", 0.1, 10.0, log=True, grid=(0.1, 1.0, 10.0), published=1.0),
        Choice("kernel", ("a", "b"), published="a"),
        Int("degree", 1, 4, grid=(1, 2), published=2, when={"kernel": "a"}),
    ),
)
# Optuna's Gaussian process and CMA-ES ignore conditions.
NUMBERS = Space(
    method="itrd",
    params=(
        Float("weight", 0.1, 10.0, log=True, grid=(0.1, 1.0, 10.0), published=1.0),
        Float("alpha", 0.0, 2.0, grid=(0.0, 1.0, 2.0), published=1.0),
    ),
)


def make_header(**values: Any) -> Header:
    """What a search begins with; each value may be given."""
    defaults: dict[str, Any] = {
        "id": "abc", "task": "1234", "data": "data", "teacher": "teacher", "code": (),
        "ask_in_batches": None, "fixed_trainings": None, "outputs": OutputsPlan(),
        "step_mode": FLOAT32, "reasons": (), "time": 0.0,
    }  # fmt: skip
    return Header(**{**defaults, **values})


def make_sampler(space: Space = SPACE, algo: str = "random", **options) -> Sampler:
    defaults = {"seed": 0, "num_trials": 8, "metric": METRIC, "first": space.published()}
    return Sampler(space, algo=algo, **(defaults | options))


def make_plan(record: Record, sampler: Sampler | None = None, **options) -> SearchPlan:
    plan_options = {"published": SPACE.published(), "find": lambda training: None}
    plan_options |= {name: options.pop(name) for name in list(options) if name in plan_options}
    budget = {"num_trials": 4, "num_epochs": 3, "num_teacher_epochs": 0, "num_seeds": 2}
    budget |= {"max_concurrent": 2, "time_seconds": None, "seed": 5, "ask_in_batches": None}
    budget |= options
    defaults = {"num_finals": 3 * budget["num_seeds"], "search_epochs": None}
    defaults |= {"trial_epochs": budget["num_epochs"]}
    return SearchPlan(
        record,
        sampler or make_sampler(),
        SPACE,
        Budget(**defaults | budget),
        metric=METRIC,
        **plan_options,
    )


def new_record(folder: object) -> Record:
    return Record(Storage(str(folder)))


def reloaded(record: Record) -> Record:
    """The record that the next session loads; a process that dies closes its files."""
    record.close()
    return Record.load(record._journal._storage)


def begin(record: Record, trial: str, role: str = SEARCH, num_epochs: int = 3, **fields) -> Trial:
    setting: Setting = {"weight": 1.0}
    fields = {"setting_label": "", "method": "itrd", "setting": setting, "seed": 0} | fields
    return record.begin(name=trial, role=role, num_epochs=num_epochs, **fields)


def add_training(
    record: Record,
    name: str,
    epochs: Sequence[Mapping[str, float]],
    *,
    num_epochs: int | None = None,
    **fields: Any,
) -> None:
    """A training with the metrics of each epoch; shorter than `num_epochs` it was stopped early."""
    trial = begin(record, name, num_epochs=num_epochs or len(epochs), **fields)
    for number, metrics in enumerate(epochs, start=1):
        record.epoch(name, {"epoch": float(number)} | metrics)
    record.end(name, DONE if len(epochs) >= trial.num_epochs else STOPPED)


def run(record: Record, trial: str, accuracies: Iterable[float], status: str = "") -> None:
    """Gives a trial these epochs and ends it: DONE at full length, else STOPPED."""
    for accuracy in accuracies:
        epoch = len(record.trials[trial].epochs) + 1
        record.epoch(trial, {"epoch": float(epoch), METRIC: accuracy})
    record.end(trial, status or (DONE if epoch >= record.trials[trial].num_epochs else STOPPED))


def train_finals(
    record: Record,
    label: str,
    test_accuracies: Iterable[float | None],
    *,
    method: str = "kd",
    setting: Setting | None = None,
    role: str = FINAL,
    seconds: float = 1.0,
) -> None:
    """One training of one epoch per accuracy, with seeds 1, 2, ...; None fails.

    Each validates one point better than it tests.
    """
    for seed, accuracy in enumerate(test_accuracies, start=1):
        name = f"{label}-{seed}"
        fields: dict[str, Any] = {"role": role, "setting_label": label, "seed": seed}
        fields |= {"method": "plain" if label == "plain" else method, "setting": setting or {}}
        if accuracy is None:
            begin(record, name, num_epochs=1, **fields)
            record.end(name, FAILED, "diverged")
        else:
            accuracies = {"val_accuracy": accuracy + 1.0, "test_accuracy": accuracy}
            add_training(record, name, [{"seconds": seconds} | accuracies], **fields)

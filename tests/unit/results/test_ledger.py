"""The ledger finds a training by all that its result depends on, and by nothing else."""

import math
import random
from dataclasses import replace
from typing import Any

import pyarrow.parquet as pq
import pytest

from tuner.config.options import WorkloadRequest
from tuner.config.step_mode import BFLOAT16, FLOAT32, StepMode
from tuner.config.workload import resolve
from tuner.results.ledger import SCHEMA, Ledger, TrainingKey, run_hash
from tuner.results.trial import DONE, FINAL, Trial
from tuner.storage.folder import Storage

WORKLOAD = resolve(WorkloadRequest(epochs=2, limit=200).model_dump(exclude_none=True))
HERE = TrainingKey(WORKLOAD, "data", "teacher", FLOAT32, ("code",), "float16")
SETTING = {"weight": 0.1 + 0.2, "layer": "stage2", "sigma": None, "log2": True, "degree": 2}


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    return Ledger(Storage(str(tmp_path)))


def trial(**fields: Any) -> Trial:
    values: dict[str, Any] = {
        "name": "itrd-1",
        "role": FINAL,
        "setting_label": "itrd",
        "method": "itrd",
        "setting": SETTING,
        "seed": 7,
        "num_epochs": 2,
        "started": 1700000000.123456,
        "status": DONE,
        "ended": 1700000001.654321,
        "epochs": [
            {"epoch": 1.0, "val_accuracy": 100 / 3, "train_loss": 1e-300},
            {"epoch": 2.0, "val_accuracy": 200 / 3, "test_accuracy": math.pi},
        ],
        "initial_epochs": [{"initial_epoch": 1.0, "initial_loss": 0.1}],
    }
    return Trial(**(values | fields))


def content(key: TrainingKey = HERE, **fields: Any) -> dict[str, Any]:
    values = {"method": "itrd", "setting": SETTING, "seed": 7} | fields
    return key.content(**values)


def add(ledger: Ledger, made_by: str = "runs/one", key: TrainingKey = HERE) -> None:
    ledger.add(trial(), key, made_by)


def test_a_training_comes_back_bit_by_bit(ledger):
    add(ledger)
    found, weights = ledger.find(content(), name="other-3", setting_label="other")
    assert found == trial(name="other-3", setting_label="other")
    assert found.setting == SETTING
    assert weights.endswith("runs/one/checkpoints/itrd-1.pt")


def test_what_is_not_there_is_not_found(ledger):
    assert not ledger.has(content())
    assert ledger.find(content(), name="x", setting_label="x") is None


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 8},
        {"method": "crd"},
        {"setting": SETTING | {"weight": 0.3}},  # 0.1 + 0.2 is not 0.3
        {"setting": SETTING | {"degree": 1}},
        {"setting": SETTING | {"sigma": 1.0}},
    ],
)
def test_another_training_is_not_found(ledger, other):
    add(ledger)
    assert not ledger.has(content(**other))


@pytest.mark.parametrize(
    "other",
    [
        {"data": "other"},
        {"teacher": "other"},
        {"step_mode": BFLOAT16},
        {"code": ("other",)},
        {"step_mode": StepMode("float32", compiled=True)},
        {"cache_precision": "float32"},
        *(
            {"workload": replace(WORKLOAD, **{name: value})}
            for name, value in {
                "student": "resnet14",
                "limit": 199,
                "validation_fraction": 0.25,
                "seed": 1,
                "epochs": 3,
                "batch_size": 16,
                "lr": 0.01,
                "lr_decay_epochs": (1,),
                "lr_decay_rate": 0.2,
                "momentum": 0.8,
                "weight_decay": 0.0,
                "crop_padding": 2,
                "flip": True,
                "passes": 1,
            }.items()
        ),
    ],
    ids=str,
)
def test_a_training_under_other_conditions_is_not_found(ledger, other):
    add(ledger)
    assert ledger.has(content())
    assert not ledger.has(content(replace(HERE, **other)))


def test_a_value_that_is_none_is_as_one_that_is_not_there(ledger):
    # Spaces get hyperparameters; a training from before has to stay what it was.
    add(ledger)
    without = {name: value for name, value in SETTING.items() if value is not None}
    assert ledger.has(content(setting=without))
    assert ledger.has(content(setting=SETTING | {"new": None}))


def test_the_order_of_hyperparameters_does_not_count(ledger):
    add(ledger)
    assert ledger.has(content(setting=dict(reversed(SETTING.items()))))


def test_a_plain_training_has_no_teacher(ledger):
    plain = {"method": "plain", "setting": {}}
    other = replace(HERE, teacher="other", code=("other",), cache_precision="float32")
    assert content(**plain) == content(other, **plain)
    assert content(**plain) != content(replace(HERE, data="other"), **plain)


def test_a_damaged_file_is_no_training(ledger, tmp_path):
    add(ledger)
    (path,) = (tmp_path / "ledger").iterdir()
    whole = path.read_bytes()
    for damaged in (b"", whole[:-10], b"PAR1" + bytes(100)):
        path.write_bytes(damaged)
        assert ledger.find(content(), name="x", setting_label="x") is None
    add(ledger)
    assert ledger.find(content(), name="x", setting_label="x") is not None


def test_a_file_with_one_wrong_bit_is_no_training_or_the_same_one(ledger, tmp_path):
    epochs = [{"epoch": float(n), "test_accuracy": 50 + n / 7} for n in range(1, 21)]
    ledger.add(trial(epochs=epochs), HERE, "runs/one")
    (path,) = (tmp_path / "ledger").iterdir()
    whole = path.read_bytes()
    draw = random.Random(0)
    num_refused = 0
    for _ in range(400):
        damaged = bytearray(whole)
        damaged[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        found = ledger.find(content(), name="x", setting_label="x")
        num_refused += found is None
        assert found is None or found[0].epochs == epochs
    assert num_refused > 100


def test_a_file_of_another_table_is_no_training(ledger, tmp_path):
    add(ledger)
    (path,) = (tmp_path / "ledger").iterdir()
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["epochs"]), path)
    assert ledger.find(content(), name="x", setting_label="x") is None


def test_all_trainings_are_one_table(ledger, tmp_path):
    add(ledger)
    other = replace(HERE, step_mode=BFLOAT16)
    add(ledger, key=other)
    table = pq.read_table(tmp_path / "ledger")
    assert table.schema.equals(SCHEMA)
    assert sorted(table["run"].to_pylist()) == sorted(map(run_hash, (content(), content(other))))
    assert table["test_accuracy"].to_pylist() == [math.pi, math.pi]

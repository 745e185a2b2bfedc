"""A training: the same bits whenever it is run or resumed, and an error where it diverges."""

from pathlib import Path

import pytest
import torch
from torch import nn

import models
from losses import LOSSES
from search_spaces import SPACES
from tuner.config.step_mode import FLOAT32
from tuner.data import open_dataset, split
from tuner.training.distillation import Distillation, DivergedError
from tuner.training.evaluation import evaluate
from tuner.training.seeding import frozen, seeded
from tuner.training.teachers import read_teacher, teacher_of, write_teacher

CPU = torch.device("cpu")
PINS = {
    "plain": {},
    "itrd": {},
    "itrd rbf": {"kernel": "rbf"},
    "mimkd": {"width": "4", "num_locations": "2"},
    "mimkd memory": {"width": "4", "num_locations": "2", "num_negatives": "4096"},
    "crd": {"num_negatives": "50", "width": "8"},
    "fsp": {"initial_epochs": "2"},
    "ft": {"initial_epochs": "2"},
    "hsakd": {"initial_epochs": "1"},
}


@pytest.fixture(scope="module")
def data(data_dir):
    dataset = open_dataset("digits", Path(data_dir))
    splits = split(dataset, validation_fraction=0.2, seed=0, limit=100)
    return dataset, splits


def teacher() -> nn.Module:
    return frozen(seeded(100, lambda: models.build("resnet8", 10)))


def make(data, name: str = "itrd", **changes) -> Distillation:
    method = name.split()[0]
    setting = SPACES[method].narrow(PINS[name]).published() if method != "plain" else {}
    options = {
        "student": "resnet8",
        "method": LOSSES[method],
        "setting": setting,
        "teacher": None if method == "plain" else teacher_of("resnet8", teacher, data[0], CPU),
        "dataset": data[0],
        "splits": data[1],
        "epochs": 3,
        "batch_size": 32,
        "lr": 0.05,
        "lr_decay_epochs": (1, 2),
        "lr_decay_rate": 0.1,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "crop_padding": 1,
        "flip": True,
        "seed": 0,
        "data_seed": 0,
        "passes": 3,
        "device": CPU,
        "execution": FLOAT32,
    }
    return Distillation(**(options | changes))


def step(training: Distillation) -> None:
    """One epoch, of the initial stage if there is more of it."""
    if training.is_initial:
        training.run_initial_epoch()
    else:
        training.run_epoch()


def run(training: Distillation) -> Distillation:
    while training.epoch < training.epochs:
        step(training)
    return training


def without_seconds(training: Distillation) -> list[dict[str, float]]:
    epochs = [*training.initial_history, *training.history]
    return [{k: v for k, v in m.items() if not k.endswith("seconds")} for m in epochs]


def assert_same_bits(one: Distillation, other: Distillation) -> None:
    assert without_seconds(one) == without_seconds(other)
    for ours, theirs in (
        (one.student.state_dict(), other.student.state_dict()),
        (one.objective.state_dict(), other.objective.state_dict()),
    ):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    ours, theirs = (
        [state["momentum_buffer"] for state in t._optimizer.state_dict()["state"].values()]
        for t in (one, other)
    )
    assert len(ours) == len(theirs) > 0
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("name", PINS)
def test_resumed_after_any_epoch_it_ends_with_the_same_bits(data, name):
    torch.manual_seed(1)  # hidden state, which must not matter
    whole = make(data, name)
    states = [whole.state()]
    while whole.epoch < whole.epochs:
        step(whole)
        states.append(whole.state())
    for epoch, state in enumerate(states):
        torch.manual_seed(epoch)
        resumed = make(data, name)
        resumed.restore(state)
        assert len(resumed.initial_history) + resumed.epoch == epoch
        assert_same_bits(run(resumed), whole)


@pytest.mark.parametrize("change", [{"seed": 1}, {"data_seed": 1}])
def test_another_seed_gives_another_training(data, change):
    first, other = run(make(data, epochs=1)), run(make(data, epochs=1, **change))
    assert without_seconds(first) != without_seconds(other)


def test_the_student_starts_from_the_same_weights_whatever_the_method(data):
    plain = make(data, "plain").student.state_dict()
    for name in PINS:
        weights = make(data, name).student.state_dict()
        assert all(torch.equal(plain[key], weights[key]) for key in plain)
    other = make(data, "plain", seed=1).student.state_dict()
    assert not torch.equal(plain["fc.weight"], other["fc.weight"])


def test_a_trial_after_others_is_what_it_would_be_first(data):
    shared = teacher_of("resnet8", teacher, data[0], CPU)
    alone = run(make(data, "mimkd", epochs=1))
    run(make(data, "itrd", epochs=1, teacher=shared))
    run(make(data, "mimkd memory", epochs=1, teacher=shared, seed=3))
    assert_same_bits(run(make(data, "mimkd", epochs=1, teacher=shared)), alone)


@pytest.mark.parametrize(
    ("drops", "rates"),
    [
        ((), [0.05] * 4),
        ((2,), [0.05, 0.05, 0.005, 0.005]),
        ((1, 3), [0.05, 0.005, 0.005, 0.0005]),
        ((0, 2, 2), [0.005, 0.005, 0.00005, 0.00005]),
    ],
)
def test_the_learning_rate_drops_after_the_epochs_that_are_given(data, drops, rates):
    training = make(data, "plain", epochs=4, lr_decay_epochs=drops)
    seen = []
    while training.epoch < 4:
        metrics = training.run_epoch()
        (group,) = training._optimizer.param_groups
        assert group["lr"] == metrics["lr"]
        seen.append(metrics["lr"])
    assert seen == pytest.approx(rates)


def test_metrics_are_finite_and_named_by_split_and_term(data):
    metrics = make(data, "itrd").run_epoch()
    assert set(metrics) >= {"epoch", "lr", "train_loss", "train_ce", "train_accuracy"}
    assert {"val_accuracy", "val_loss", "seconds"} <= set(metrics)
    terms = [n for n in metrics if n.startswith("train_") and n[6:] not in ("loss", "accuracy")]
    assert len(terms) >= 3
    assert metrics["train_loss"] == pytest.approx(sum(metrics[term] for term in terms))
    assert 0 <= metrics["train_accuracy"] <= 100


def test_a_student_learns(data):
    splits = split(data[0], validation_fraction=0.2, seed=0)
    training = run(make(data, "plain", splits=splits, lr_decay_epochs=(2,)))
    assert training.history[-1]["val_accuracy"] > 70
    assert training.test()["accuracy"] > 70


def test_a_training_that_diverges_names_term_epoch_and_step(data):
    training = make(data, "plain", lr=1e30)
    with pytest.raises(DivergedError, match=r"^the term 'ce' became (nan|inf) at epoch 1, step 2 "):
        training.run_epoch()
    assert training.history == []


def test_the_step_is_the_first_bad_one_of_its_epoch(data):
    training = make(data, "plain", epochs=2)
    training.run_epoch()
    with torch.no_grad():
        training.student.fc.bias[0] = float("nan")
    with pytest.raises(DivergedError, match=r"'ce' became nan at epoch 2, step 1 \(lr 0\.005\)"):
        training.run_epoch()


def test_a_bad_distillation_term_is_named(data):
    training = make(data, "itrd")
    with torch.no_grad():
        next(training.objective.parameters())[0] = float("nan")
    with pytest.raises(DivergedError, match=r"the term '(?!ce')\w+' became nan at epoch 1, step 1"):
        training.run_epoch()


def test_a_last_step_that_breaks_the_weights_is_seen_in_validation(data):
    training = make(data, "plain", batch_size=100, lr=1e30)  # one step: its loss is finite
    with pytest.raises(DivergedError, match="the validation loss became nan at epoch 1"):
        training.run_epoch()


def test_the_teacher_is_frozen_and_stays_as_it_was(data):
    network = teacher()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    source = teacher_of("resnet8", lambda: network, data[0], CPU)
    run(make(data, "mimkd", epochs=1, teacher=source))
    assert not any(module.training for module in network.modules())
    assert all(not p.requires_grad and p.grad is None for p in network.parameters())
    after = network.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_global_random_state_is_left_alone(data):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    training = run(make(data, "mimkd memory", epochs=1))
    training.restore(training.state())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_checkpoint_loads_as_data_and_as_a_network(data, tmp_path):
    training = run(make(data, "itrd", epochs=1))
    path = tmp_path / "state.pt"
    path.write_bytes(training.state())
    saved = torch.load(path, weights_only=True)
    assert saved["history"] == training.history
    assert saved["setting"] == training.setting
    network = models.load_checkpoint(path, "resnet8", 10)
    assert evaluate(network, *data[:1], data[1].test, CPU) == training.test()


def test_evaluation_leaves_the_student_as_it_was(data):
    training = run(make(data, "plain", epochs=1))
    first = training.test()
    assert training.test() == first
    assert first["accuracy"] == pytest.approx(
        100 * round(first["accuracy"] * len(data[1].test) / 100) / len(data[1].test)
    )


def test_a_teacher_is_kept_as_plain_weights(tmp_path):
    from tuner.storage.folder import Storage

    storage, network = Storage(str(tmp_path)), frozen(teacher())
    write_teacher(storage, network)
    loaded = read_teacher(storage, "resnet8", 10)
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    images = torch.rand(4, 3, 8, 8)
    assert torch.equal(loaded(images).logits, network(images).logits)


@pytest.mark.parametrize("name", ["fsp", "ft"])
def test_after_an_initial_stage_momentum_begins_anew(data, name):
    training = make(data, name)
    training.run_initial_epoch()
    assert training._optimizer.state
    training.run_initial_epoch()
    assert not training.is_initial
    assert not training._optimizer.state


def test_an_initial_stage_leaves_alone_what_it_does_not_train(data):
    fsp, ft = make(data, "fsp"), make(data, "ft")
    before = {key: value.clone() for key, value in ft.student.state_dict().items()}
    classifier = fsp.student.fc.weight.clone()
    ft.run_initial_epoch()
    assert all(torch.equal(before[key], value) for key, value in ft.student.state_dict().items())
    fsp.run_initial_epoch()
    assert torch.equal(fsp.student.fc.weight, classifier)
    assert not torch.equal(fsp.student.conv1.weight, before["conv1.weight"])

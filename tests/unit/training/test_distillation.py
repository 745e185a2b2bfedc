"""A training: the same bits whenever it is run or resumed, and an error where it diverges."""

import copy
import io

import pytest
import torch

import models
from tests.support.trainings import (
    CPU,
    NETWORK,
    Data,
    digits,
    make_training,
    metrics_of,
    run_to_the_end,
    untrained_network,
)
from tuner.training.cooldown import cooldown
from tuner.training.distillation import Distillation, DivergedError
from tuner.training.evaluation import evaluate
from tuner.training.stages import INITIAL
from tuner.training.teachers import build_teacher

PINS = {
    "plain": {},
    "itrd": {},
    "itrd rbf": {"kernel": "rbf"},
    "mimkd": {"width": "4", "num_locations": "2"},
    "mimkd memory": {"width": "4", "num_locations": "2", "num_negatives": "4096"},
    "crd": {"num_negatives": "50", "width": "8"},
    "fsp": {"initial_epochs": "1"},
    "ft": {"initial_epochs": "1"},
    "hsakd": {"initial_epochs": "1"},
}


@pytest.fixture(scope="module")
def data(data_dir) -> Data:
    return digits(data_dir)


def make(data: Data, name: str = "itrd", **changes) -> Distillation:
    options = {"pins": PINS[name]} | changes
    return make_training(data, name.split()[0], **options)


def assert_same_bits(one: Distillation, other: Distillation) -> None:
    assert metrics_of(one) == metrics_of(other)
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


# Pure functions


@pytest.mark.parametrize("name", PINS)
def test_resumed_after_any_epoch_it_ends_with_the_same_bits(data, name):
    torch.manual_seed(1)  # hidden state, which must not matter
    whole = make(data, name)
    states = [whole.state()]
    while whole.stage is not None:
        whole.run_epoch()
        states.append(whole.state())
    assert len(states) == whole.num_epochs + 1
    for epoch, state in enumerate(states):
        torch.manual_seed(epoch)
        resumed = make(data, name)
        resumed.restore(state)
        assert len(resumed.initial_history) + len(resumed.history) == epoch
        assert_same_bits(run_to_the_end(resumed), whole)


@pytest.mark.parametrize("name", PINS)
def test_a_cooldown_is_what_a_drop_would_give_and_changes_nothing(data, name):
    undisturbed = run_to_the_end(make(data, name, epochs=3, lr_decay_epochs=()))
    dropping = run_to_the_end(make(data, name, epochs=3, lr_decay_epochs=(1, 2)))
    training = make(data, name, epochs=3, lr_decay_epochs=())
    while len(training.history) < 1:
        training.run_epoch()
    cooled = cooldown(training, (0.1, 0.1 * 0.1))
    expected = [(epoch["val_accuracy"], epoch["val_loss"]) for epoch in dropping.history[1:]]
    assert [(metrics["accuracy"], metrics["loss"]) for metrics in cooled] == expected
    assert_same_bits(run_to_the_end(training), undisturbed)


@pytest.mark.parametrize("change", [{"seed": 1}, {"data_seed": 1}])
def test_another_seed_gives_another_training(data, change):
    first, other = (
        run_to_the_end(make(data, epochs=1)),
        run_to_the_end(make(data, epochs=1, **change)),
    )
    assert metrics_of(first) != metrics_of(other)


def test_the_student_starts_from_the_same_weights_whatever_the_method(data):
    plain = make(data, "plain").student.state_dict()
    for name in PINS:
        weights = make(data, name).student.state_dict()
        assert all(torch.equal(plain[key], weights[key]) for key in plain)
    other = make(data, "plain", seed=1).student.state_dict()
    assert not torch.equal(plain["fc.weight"], other["fc.weight"])


def test_a_trial_after_others_is_what_it_would_be_first(data):
    shared = build_teacher(NETWORK, untrained_network, data[0], CPU)
    alone = run_to_the_end(make(data, "mimkd", epochs=1))
    run_to_the_end(make(data, "itrd", epochs=1, teacher=shared))
    run_to_the_end(make(data, "mimkd memory", epochs=1, teacher=shared, seed=3))
    assert_same_bits(run_to_the_end(make(data, "mimkd", epochs=1, teacher=shared)), alone)


def test_global_random_state_is_left_alone(data):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    training = run_to_the_end(make(data, "mimkd memory", epochs=1))
    training.restore(training.state())
    assert torch.equal(torch.get_rng_state(), before)


# What an epoch gives


def test_each_epoch_steps_with_the_rate_of_its_schedule(data):
    training = make(data, "plain", epochs=3, lr=0.05, lr_decay_epochs=(1, 2))
    seen = []
    while training.stage is not None:
        metrics = training.run_epoch()
        (group,) = training._optimizer.param_groups
        assert group["lr"] == metrics["lr"]
        seen.append(metrics["lr"])
    assert seen == pytest.approx([0.05, 0.005, 0.0005])


def test_metrics_are_finite_and_named_by_split_and_term(data):
    metrics = make(data, "itrd").run_epoch()
    assert list(metrics)[:4] == ["epoch", "lr", "train_loss", "train_ce"]
    assert list(metrics)[-5:] == [
        "train_accuracy", "teacher_seconds", "val_accuracy", "val_loss", "seconds"
    ]  # fmt: skip
    terms = [n for n in metrics if n.startswith("train_") and n[6:] not in ("loss", "accuracy")]
    assert len(terms) >= 3
    assert metrics["train_loss"] == pytest.approx(sum(metrics[term] for term in terms))
    assert 0 <= metrics["train_accuracy"] <= 100


def test_a_student_learns(data_dir):
    dataset, splits = digits(data_dir, num_images=1000)
    training = run_to_the_end(make((dataset, splits), "plain"))
    assert training.history[-1]["val_accuracy"] > 60
    assert training.test()["accuracy"] > 60


def test_the_teacher_is_frozen_and_stays_as_it_was(data):
    network = untrained_network()
    before = copy.deepcopy(network.state_dict())
    source = build_teacher(NETWORK, lambda: network, data[0], CPU)
    run_to_the_end(make(data, "mimkd", epochs=1, teacher=source))
    assert not any(module.training for module in network.modules())
    assert all(not p.requires_grad and p.grad is None for p in network.parameters())
    after = network.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_evaluation_leaves_the_student_as_it_was(data):
    training = run_to_the_end(make(data, "plain", epochs=1))
    first = training.test()
    assert training.test() == first
    assert first["accuracy"] == pytest.approx(
        100 * round(first["accuracy"] * len(data[1].test) / 100) / len(data[1].test)
    )


# Divergence


def test_a_training_that_diverges_names_term_epoch_and_step(data):
    training = make(data, "plain", lr=1e30)
    with pytest.raises(DivergedError, match=r"^the term 'ce' became (nan|inf) at epoch 1, step 2 "):
        training.run_epoch()
    assert training.history == []


def test_the_step_is_the_first_bad_one_of_its_epoch(data):
    training = make(data, "plain", lr=0.05)
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
    training = make(data, "plain", batch_size=64, lr=1e30)  # one step: its loss is finite
    with pytest.raises(DivergedError, match="the validation loss became nan at epoch 1"):
        training.run_epoch()


# Checkpoints


def test_a_checkpoint_loads_as_data_and_as_a_network(data, tmp_path):
    training = run_to_the_end(make(data, "itrd", epochs=1))
    path = tmp_path / "state.pt"
    path.write_bytes(training.state())
    saved = torch.load(path, weights_only=True)
    assert saved["history"] == training.history
    assert saved["setting"] == training.setting
    network = models.load_checkpoint(path, NETWORK, 10)
    loaded, tested = evaluate(network, data[0], data[1].test, CPU), training.test()
    assert loaded["accuracy"] == tested["accuracy"]
    # Not to the last digit: the student is in channels_last, this network is not.
    assert loaded["loss"] == pytest.approx(tested["loss"], rel=1e-5)


def test_a_checkpoint_keeps_the_keys_that_interrupted_searches_have(data):
    saved = torch.load(io.BytesIO(make(data, "ft").state()), weights_only=True)
    assert saved.keys() == {
        "format", "model", "objective", "optimizer", "initial_history", "history", "setting"
    }  # fmt: skip
    assert saved["format"] == 2


# The initial stage


@pytest.mark.parametrize("name", ["fsp", "ft"])
def test_after_an_initial_stage_momentum_starts_anew(data, name):
    training = make(data, name, pins={"initial_epochs": "2"})
    training.run_epoch()
    assert training.stage.name == INITIAL
    assert training._optimizer.state
    training.run_epoch()
    assert training.stage is training.stages[-1]
    assert not training._optimizer.state


def test_metrics_of_an_initial_stage_are_named_so(data):
    metrics = make(data, "ft").run_epoch()
    assert all(name.startswith("initial_") for name in metrics)
    assert {"initial_epoch", "initial_lr", "initial_loss", "initial_seconds"} < metrics.keys()


def test_an_initial_stage_leaves_alone_what_it_does_not_train(data):
    fsp, ft = make(data, "fsp"), make(data, "ft")
    before = copy.deepcopy(ft.student.state_dict())
    classifier = fsp.student.fc.weight.clone()
    ft.run_epoch()
    assert all(torch.equal(before[key], value) for key, value in ft.student.state_dict().items())
    fsp.run_epoch()
    assert torch.equal(fsp.student.fc.weight, classifier)
    assert not torch.equal(fsp.student.conv1.weight, before["conv1.weight"])

"""The linear probe: a pure function of its arguments that leaves the network alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import models
from models import Outputs
from tests.support.trainings import make_training, run_to_the_end
from tuner.data import Dataset, Splits, open_dataset, split
from tuner.training.linear_probe import RECIPE, embeddings, linear_probe
from tuner.training.seeding import seeded

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits(data_dir):
    dataset = open_dataset("digits", Path(data_dir))
    return dataset, split(dataset, validation_fraction=0.2, seed=0)


@pytest.fixture(scope="module")
def network(digits):
    """A resnet8 of two epochs: its embeddings say much but not all."""
    training = make_training(digits, "plain", lr_decay_epochs=(), flip=False)
    return run_to_the_end(training).student


def probe(network, digits, *, epochs=3, seed=0):
    return linear_probe(network, *digits, RECIPE.for_epochs(epochs), seed=seed, device=CPU)


def test_a_shorter_recipe_drops_at_the_same_fractions():
    assert RECIPE.for_epochs(100) == RECIPE
    assert RECIPE.for_epochs(10).drops == (3, 6, 9)
    assert RECIPE.for_epochs(3).drops == (1, 2)
    assert RECIPE.for_epochs(1).drops == ()
    rates = [RECIPE.for_epochs(10).lr_at(epoch) for epoch in (1, 3, 4, 7, 10)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.001, 0.0001])


def test_it_is_a_pure_function_of_its_arguments(network, digits):
    torch.manual_seed(1)  # hidden state, which must not matter
    first = probe(network, digits)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert probe(network, digits) == first
    assert torch.equal(torch.get_rng_state(), state)
    assert probe(network, digits, seed=1) != first
    assert first.keys() == {"train_accuracy", "val_accuracy", "test_accuracy"}


def test_the_network_is_left_as_it_was(digits):
    network = seeded(0, lambda: models.build("resnet8", 10))
    network.train()
    network.layer1.eval()  # mixed modes are kept too
    before = {name: value.clone() for name, value in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    probe(network, digits, epochs=1)
    assert [module.training for module in network.modules()] == modes
    after = network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_the_classifier_is_as_good_as_logistic_regression(network, digits):
    from sklearn.linear_model import LogisticRegression

    dataset, splits = digits
    x = [embeddings(network, dataset, rows, CPU).numpy() for rows in splits]
    y = [dataset.labels[rows] for rows in splits]
    theirs = LogisticRegression(C=100.0, max_iter=5000).fit(x[0], y[0])
    ours = probe(network, digits, epochs=30)
    for name, features, labels in zip(("train", "val", "test"), x, y, strict=True):
        assert ours[f"{name}_accuracy"] == pytest.approx(
            100 * theirs.score(features, labels), abs=3
        )
    assert ours["test_accuracy"] > 60


class Brightness(nn.Module):
    """Its embedding is an image's mean colour."""

    def forward(self, images: torch.Tensor) -> Outputs:
        colour = images.mean(dim=(2, 3))
        return Outputs(colour, colour, {}, {})


def test_separable_embeddings_are_learnt_to_the_last_image():
    labels = np.arange(90) % 3
    images = np.random.default_rng(0).integers(0, 40, (90, 3, 4, 4), dtype=np.uint8)
    images[np.arange(90), labels] += 200  # red, green, blue
    dataset = Dataset(
        spec="toy",
        name="toy",
        path=Path("nowhere"),
        images=images,
        labels=labels,
        num_train=60,
        class_names=("red", "green", "blue"),
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        fingerprint="",
    )
    splits = Splits(np.arange(50), np.arange(50, 60), np.arange(60, 90))
    found = linear_probe(Brightness(), dataset, splits, RECIPE.for_epochs(20), seed=0, device=CPU)
    assert found == {"train_accuracy": 100, "val_accuracy": 100, "test_accuracy": 100}

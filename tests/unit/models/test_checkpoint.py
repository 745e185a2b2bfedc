"""Checkpoints: what is accepted, and the one sentence with which the rest is refused."""

import argparse
import contextlib
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import models
from models import CheckpointError


@pytest.fixture
def weights():
    return models.build("resnet8", num_classes=10).state_dict()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "teacher.pt"


def load(path, name="resnet8", num_classes=10):
    return models.load_checkpoint(path, name, num_classes)


def refusal(path, name="resnet8", num_classes=10):
    """The sentence of the refusal, after the path that every one starts with."""
    with pytest.raises(CheckpointError) as error:
        load(path, name, num_classes)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def assert_loaded(path, weights):
    loaded = load(path).state_dict()
    assert all(torch.equal(loaded[key], weights[key]) for key in loaded)


# Accepted


@pytest.mark.parametrize("key", ["model", "state_dict", "net"])
def test_the_usual_wrappings_are_accepted(path, weights, key):
    torch.save({key: weights}, path)
    assert_loaded(path, weights)


def test_a_bare_state_dict_is_accepted(path, weights):
    torch.save(weights, path)
    assert_loaded(path, weights)
    assert_loaded(str(path), weights)


def test_a_students_checkpoint_of_the_framework_is_accepted(path, weights):
    options = argparse.Namespace(distill="crd", lr=0.05, milestones=[150, 180])
    torch.save({"opt": options, "model": weights, "optimizer": {"state": {}}}, path)
    assert_loaded(path, weights)


@pytest.mark.parametrize("accuracy", [71.5, torch.tensor(71.5), np.float64(71.5), np.float32(71)])
def test_an_epoch_and_an_accuracy_beside_the_weights_are_accepted(path, weights, accuracy):
    torch.save({"epoch": np.int64(240), "model": weights, "best_acc": accuracy}, path)
    assert_loaded(path, weights)


def test_a_checkpoint_in_the_format_before_pytorch_1_6_is_accepted(path, weights):
    content = {"model": weights, "best_acc": np.float64(71.5)}
    torch.save(content, path, _use_new_zipfile_serialization=False)
    assert_loaded(path, weights)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "_orig_mod.module."])
def test_the_prefix_of_a_wrapped_model_is_removed(path, weights, prefix):
    torch.save({"model": {prefix + key: value for key, value in weights.items()}}, path)
    assert_loaded(path, weights)


def test_missing_batch_counters_of_old_checkpoints_are_tolerated(path, weights):
    old = {key: value for key, value in weights.items() if "num_batches_tracked" not in key}
    torch.save({"model": old}, path)
    assert_loaded(path, weights)
    assert load(path).bn1.num_batches_tracked == 0


def test_half_precision_weights_become_the_default_dtype(path, weights):
    torch.save({"model": {key: value.half() for key, value in weights.items()}}, path)
    assert load(path).conv1.weight.dtype == torch.float32


def test_the_loaded_network_is_in_evaluation_mode(path, weights):
    torch.save(weights, path)
    assert not any(layer.training for layer in load(path).modules())


def test_loading_leaves_the_random_state_alone(path, weights):
    torch.save(weights, path)
    before = torch.get_rng_state()
    load(path)
    assert torch.equal(torch.get_rng_state(), before)


# Refused


def test_a_missing_file_is_refused(path):
    assert refusal(path) == "no such file; check the path"


def test_a_folder_is_refused(tmp_path):
    assert refusal(tmp_path) == "this is a folder; give the checkpoint file in it"


def test_an_unreadable_file_is_refused(path, weights, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert refusal(path) == ("cannot be opened (Permission denied); check its permissions")


@pytest.mark.parametrize("size", [0, 10, 1000, -10])
def test_a_truncated_checkpoint_is_refused(path, weights, size):
    torch.save({"model": weights}, path)
    path.write_bytes(path.read_bytes()[:size])
    assert refusal(path) == "empty or truncated; copy or download it again"


DAMAGED = (
    "damaged, or not a PyTorch checkpoint; copy it again, or give a file written by torch.save"
)


@pytest.mark.parametrize("size", [2, 100, 1000, -10])
def test_a_truncated_checkpoint_in_the_old_format_is_refused(path, weights, size):
    torch.save({"model": weights}, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes()[:size])
    assert refusal(path) == DAMAGED


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_damaged_bytes_raise_no_other_exception(path, weights):
    torch.save({"model": weights}, path, _use_new_zipfile_serialization=False)
    whole = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    random = np.random.default_rng(0)
    for _ in range(50):
        damaged = whole.copy()
        damaged[random.integers(2, 3000, size=8)] = random.integers(0, 256, size=8)
        path.write_bytes(damaged.tobytes())
        with contextlib.suppress(CheckpointError):
            load(path)


def test_a_file_of_another_kind_is_refused(path):
    path.write_text("config: this is YAML\n")
    assert refusal(path) == "not a PyTorch checkpoint; give a file written by torch.save"


class NotData:
    pass


class RunsACommand:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("new_format", [True, False])
def test_a_checkpoint_that_needs_code_is_refused(path, weights, new_format):
    content = {"model": weights, "logger": NotData()}
    torch.save(content, path, _use_new_zipfile_serialization=new_format)
    assert refusal(path) == (
        f"contains pickled code ({__name__}.NotData), which is never run; save only the "
        "weights in the program that wrote it: "
        "torch.save({'model': model.state_dict()}, path)"
    )


def test_a_pickled_network_is_refused(path):
    torch.save(models.build("resnet8", num_classes=10), path)
    assert "contains pickled code (models.resnet.ResNet)" in refusal(path)


def test_code_in_a_checkpoint_is_not_run(path, weights, tmp_path):
    trace = tmp_path / "it_ran"
    torch.save({"model": weights, "x": RunsACommand(f"touch {trace}")}, path)
    assert "contains pickled code" in refusal(path)
    assert not trace.exists()


@pytest.mark.parametrize(
    "content", [{}, {"epoch": 3}, [1, 2], {"model": {"lr": 0.1}}, {"model": 1}]
)
def test_a_file_without_a_state_dict_is_refused(path, content):
    torch.save(content, path)
    assert refusal(path) == (
        "contains no state dict; write one with torch.save({'model': model.state_dict()}, path)"
    )


def test_another_number_of_classes_is_refused(path):
    torch.save(models.build("resnet8", num_classes=100).state_dict(), path)
    assert refusal(path) == (
        "the checkpoint has 100 classes, the data has 10; give a resnet8 trained on this data"
    )


def test_weights_of_another_known_network_are_refused_with_its_name(path):
    torch.save(models.build("resnet20", num_classes=10).state_dict(), path)
    assert refusal(path) == (
        "does not fit resnet8 (unexpected layer1.1.conv1.weight and 71 more); "
        f"it fits resnet20; pass --teacher resnet20@{path}"
    )


def test_weights_of_another_network_for_other_data_are_refused(path):
    torch.save(models.build("vgg8", num_classes=100).state_dict(), path)
    message = refusal(path, "conv4", num_classes=10)
    assert message.endswith(
        "it fits vgg8 but has 100 classes, the data has 10; give a teacher trained on this data"
    )


def test_a_network_that_differs_only_in_width_is_named(path):
    torch.save(models.build("wrn_16_2", num_classes=10).state_dict(), path)
    message = refusal(path, "wrn_16_1")
    assert "block1.layer.0.conv1.weight is [32, 16, 3, 3], not [16, 16, 3, 3]" in message
    assert f"it fits wrn_16_2; pass --teacher wrn_16_2@{path}" in message


def test_weights_of_an_unknown_network_are_refused(path):
    torch.save(torch.nn.Linear(3, 2).state_dict(), path)
    assert refusal(path) == (
        "does not fit resnet8 (missing conv1.weight and 46 more, unexpected weight and 1 more) "
        "nor any other known network; name the network it was saved from"
    )


def test_weights_of_a_diverged_network_are_refused(path, weights):
    weights["fc.bias"][3] = torch.nan
    torch.save(weights, path)
    assert refusal(path) == (
        "some weights are nan or infinite; give one from before the divergence"
    )


def test_an_unknown_network_is_refused_before_the_file_is_read(path):
    with pytest.raises(models.UnknownModel, match=re.escape("did you mean 'resnet8'")):
        load(path, "rsnet8")

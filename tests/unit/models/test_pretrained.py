"""Published weights of torchvision's networks, by name; nothing is downloaded here."""

import sys

import pytest
import torch
import torchvision

import models
from models import CheckpointError, UnknownModel, is_pretrained, load_pretrained
from tuner.config.workload import resolve

NAME = "torchvision:resnet18"
FILE = "resnet18-f37072fd.pth"  # torchvision's own name of it


@pytest.fixture(scope="module")
def weights():
    torch.manual_seed(0)
    return torchvision.models.resnet18(weights=None).state_dict()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty folder of downloads, and no way to fill it."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def refuse(*args, **kwargs):
        raise OSError("no network in tests")

    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def same_weights(network, weights) -> bool:
    state = network.state_dict()
    return all(torch.equal(state[name], value) for name, value in weights.items())


def test_a_file_as_torchvision_publishes_it_is_loaded(weights, tmp_path):
    torch.save(weights, tmp_path / FILE)
    network = models.load_checkpoint(tmp_path / FILE, NAME, 1000)
    assert same_weights(network, weights)
    images = torch.randn(2, 3, 32, 32)
    theirs = torchvision.models.resnet18(weights=None)
    theirs.load_state_dict(weights)
    with torch.no_grad():
        torch.testing.assert_close(network(images).logits, theirs.eval()(images))
    with pytest.raises(CheckpointError, match="has 1000 classes, the data has 10; give a"):
        models.load_checkpoint(tmp_path / FILE, NAME, 10)


def test_weights_are_known_by_torchvisions_name_for_them(weights, hub):
    torch.save(weights, hub / FILE)
    assert is_pretrained(NAME, "IMAGENET1K_V1")
    network = load_pretrained(NAME, "IMAGENET1K_V1", 1000)
    assert same_weights(network, weights)
    assert not network.training
    with pytest.raises(CheckpointError, match="has 1000 classes, the data has 10; give a"):
        load_pretrained(NAME, "IMAGENET1K_V1", 10)


def test_what_cannot_be_downloaded_can_be_put_there(hub):
    with pytest.raises(CheckpointError) as error:
        load_pretrained(NAME, "IMAGENET1K_V1", 1000)
    assert str(error.value) == (
        f"{NAME}@IMAGENET1K_V1: download failed (no network in tests); put {FILE} into {hub}"
    )


def test_a_damaged_download_is_refused(hub):
    (hub / FILE).write_bytes(b"half a file")
    with pytest.raises(CheckpointError, match=f"{FILE}: not a PyTorch checkpoint"):
        load_pretrained(NAME, "IMAGENET1K_V1", 1000)


def test_unknown_weights_are_refused_with_the_known_ones():
    with pytest.raises(UnknownModel) as error:
        is_pretrained(NAME, "IMAGENET1K_V2")
    assert str(error.value) == (
        "torchvision:resnet18 has no pretrained weights 'IMAGENET1K_V2'; did you mean "
        "'IMAGENET1K_V1'? known: IMAGENET1K_V1"
    )


@pytest.mark.parametrize(
    ("network", "checkpoint"),
    [("resnet20", "IMAGENET1K_V1"), (NAME, "./IMAGENET1K_V1"), (NAME, FILE), (NAME, "imagenet_v1")],
)
def test_other_checkpoints_are_files(network, checkpoint):
    assert not is_pretrained(network, checkpoint)


def test_a_workload_keeps_the_name_and_makes_a_files_path_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def checkpoint(teacher: str) -> str | None:
        given = {"data": "imagenet:images", "data_dir": ".", "seed": 0, "teacher": teacher}
        workload = resolve(given)
        assert resolve(given | workload.as_request()) == workload
        return workload.teacher_checkpoint

    assert checkpoint(f"{NAME}@IMAGENET1K_V1") == "IMAGENET1K_V1"
    assert checkpoint(f"{NAME}@{FILE}") == str(tmp_path / FILE)
    assert checkpoint(NAME) is None


def test_a_pickle_that_would_run_code_is_refused(hub):
    class Runs:
        def __reduce__(self):
            return (sys.exit, (3,))

    torch.save({"fc.weight": Runs()}, hub / FILE)
    with pytest.raises(CheckpointError, match=f"{FILE}: contains pickled code"):
        load_pretrained(NAME, "IMAGENET1K_V1", 1000)

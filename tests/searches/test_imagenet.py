"""Trainings and searches on a tiny ImageNet, streamed from its files."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
import yaml
from PIL import Image

import tuner.distill
import tuner.teach
from losses import LOSSES
from models import build_untrained, shapes_of
from search_spaces import SPACES
from tests.support.imagenet import CLASSES, SIZE, make_imagenet
from tests.support.searching import Searches, local_ray, same_results
from tests.support.trainings import make_training
from tuner.data import (
    Dataset,
    open_dataset,
    split,
)
from tuner.results.trial import DONE
from tuner.teacher_cache import OutputsPlan
from tuner.teacher_cache.named_outputs import assemble, of_images, select
from tuner.teacher_cache.plan import CachedOutput
from tuner.training.distillation import Distillation
from tuner.training.seeding import frozen, seeded
from tuner.training.teachers import build_teacher

CPU = torch.device("cpu")
SMALL = {
    "image_size": SIZE,
    "teacher": "resnet20",
    "student": "resnet8",
    "batch_size": 8,
    "validation_fraction": 0.25,
}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_imagenet(tmp_path_factory.mktemp("imagenet"))


@pytest.fixture(scope="module")
def dataset(folder: Path, data_dir: str) -> Dataset:
    return open_dataset(f"imagenet:{folder}", Path(data_dir), image_size=SIZE)


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A copy of the folder that a test may damage."""
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def train(dataset: Dataset, data_dir: str, plan: OutputsPlan, stop_after: int = 2) -> Distillation:
    """Two epochs of KD from an untrained teacher, restored from its state after `stop_after`."""
    splits = split(dataset, validation_fraction=0.25, seed=0)
    network = frozen(seeded(100, lambda: build_untrained("resnet20", 3)))

    def make() -> Distillation:
        teacher = build_teacher(
            "resnet20", lambda: network, dataset, CPU, plan=plan, data_dir=data_dir
        )
        return make_training(
            (dataset, splits),
            "kd",
            teacher=teacher,
            batch_size=8,
            lr_decay_epochs=(),
            weight_decay=1e-4,
            crop_padding=0,
        )

    training = make()
    while training.stage is not None:
        if len(training.history) == stop_after:
            state = training.state()
            training = make()
            training.restore(state)
        training.run_epoch()
    return training


def test_cached_outputs_and_a_resumed_training_are_those_of_a_live_one(dataset, tmp_path):
    live = train(dataset, str(tmp_path), OutputsPlan()).student.state_dict()
    cached = OutputsPlan((CachedOutput("logits", 2, 2),), (), "float32")
    for other in (
        train(dataset, str(tmp_path), cached),
        train(dataset, str(tmp_path), cached),  # from what is there
        train(dataset, str(tmp_path), OutputsPlan(), stop_after=1),
    ):
        weights = other.student.state_dict()
        assert all(torch.equal(weights[name], value) for name, value in live.items())
    assert list(tmp_path.rglob("*.npy")) or list(tmp_path.rglob("0001/*"))


@pytest.mark.parametrize("method", ["kd", "at", "mimkd", "itrd"])
def test_methods_fit_torchvisions_networks(method):
    """At 224 pixels ResNet-34 teaches ResNet-18, with the published setting, for one step."""
    from losses import Batch, TrainingData, build_objective

    student = seeded(0, lambda: build_untrained("torchvision:resnet18", 1000))
    student.requires_grad_(True).train()
    teacher = build_untrained("torchvision:resnet34", 1000)
    shapes = [shapes_of(network, (224, 224)) for network in (student, teacher)]
    assert {name: shape[1:] for name, shape in shapes[0].feature_maps.items()} == {
        name: shape[1:] for name, shape in shapes[1].feature_maps.items()
    }
    objective = build_objective(LOSSES[method], shapes[0], shapes[1], SPACES[method].published())
    rows = torch.arange(4)
    objective.start(TrainingData(rows, rows, 1))
    images = torch.randn(4, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        taught = assemble(select(teacher(images), of_images(objective.needs)))
    terms = objective(student(images), taught, Batch(images, rows, rows, 0))
    torch.stack(list(terms.values())).sum().backward()
    gradients = [parameter.grad for parameter in student.parameters()]
    assert all(g is not None and g.isfinite().all() for g in gradients)
    assert any(g.abs().max() > 0 for g in gradients)


def distill(folder: Path, data_dir: str, *arguments: str) -> int:
    return tuner.distill.main(
        [
            *(f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()),
            f"--data=imagenet:{folder}",
            f"--data-dir={data_dir}",
            *("--teacher-epochs=1", "--epochs=1", *arguments),
        ]
    )


def test_a_student_is_distilled(folder, data_dir, capsys):
    assert distill(folder, data_dir, "--method=kd", "--test") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines()[-1].startswith("test accuracy ")
    arguments = ("--method=at", "--student=torchvision:resnet18", "--image-size=64")
    assert distill(folder, data_dir, *arguments, "--teacher=torchvision:resnet18") == 0


def test_an_unreadable_image_ends_a_training_in_one_sentence(copy, data_dir, capsys):
    path = copy / "train" / CLASSES[2] / f"{CLASSES[2]}_7.JPEG"
    path.write_bytes(b"no image")
    assert distill(copy, data_dir, "--method=kd") == 2
    _, err = capsys.readouterr()
    (sentence,) = err.splitlines()
    assert sentence.startswith(f"tuner: {path}: not a readable image")


def test_published_weights_are_checked_on_a_thousand_classes(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    hub = tmp_path / "hub" / "checkpoints"
    hub.mkdir(parents=True)
    weights = torchvision.models.resnet18(weights=None).state_dict()
    torch.save(weights, hub / "resnet18-f37072fd.pth")
    pixels = np.random.default_rng(0).integers(0, 256, (1000, 8, 8, 3), dtype=np.uint8)
    for label, image in enumerate(map(Image.fromarray, pixels)):
        for part, count in (("train", 2), ("val", 1)):
            folder = tmp_path / part / f"n{label:08d}"
            folder.mkdir(parents=True)
            for number in range(count):
                image.save(folder / f"{number}.JPEG")
    arguments = ["--teacher", "torchvision:resnet18@IMAGENET1K_V1", "--image-size", "32"]
    arguments += ["--data", f"imagenet:{tmp_path}", "--data-dir", str(tmp_path / "cache")]
    assert tuner.teach.main([*arguments, "--validation-fraction", "0.5", "--batch-size", "8"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(" ")[0] for line in lines[:2]] == ["validation", "test"]
    assert lines[2] == "use it with --teacher torchvision:resnet18@IMAGENET1K_V1"
    for part in ("train", "val"):
        shutil.rmtree(tmp_path / part / "n00000999")
    assert tuner.teach.main([*arguments, "--validation-fraction", "0.5", "--batch-size", "8"]) == 2
    assert "has 1000 classes, the data has 999" in capsys.readouterr().err


# Searches


@pytest.fixture(scope="module")
def searches(tmp_path_factory: pytest.TempPathFactory, data_dir: str) -> Iterator[Searches]:
    with local_ray():
        yield Searches(tmp_path_factory.mktemp("imagenet-search"), data_dir)


def test_a_whole_search_ends_and_resumes(searches, folder):
    options = SMALL | {"data": f"imagenet:{folder}", "space": "kd", "limit": 30}
    options |= {"trials": 2, "epochs": 2, "teacher_epochs": 1, "scheduler": "none"}
    assert searches.run("whole", "--quiet", **options) == 0
    assert {trial.status for trial in searches.record("whole").trials.values()} == {DONE}
    written = yaml.safe_load(searches.storage("whole").read("search.yaml"))
    assert (written["preset"], written["weight_decay"]) == ("imagenet", 1e-4)
    # As if it had been killed: the journal up to the middle, checkpoints and teacher.
    lines = searches.journal("whole").splitlines(keepends=True)
    cut = searches.folder("cut")
    shutil.copytree(searches.folder("whole"), cut)
    for file in cut.iterdir():
        if file.is_file() and file.name not in ("search.yaml", "teacher.pt"):
            file.unlink()
    (cut / "journal.jsonl").write_bytes(b"".join(lines[: len(lines) // 2]))
    assert searches.resume("cut", "--quiet") == 0
    same_results(searches, "whole", "cut")


def test_a_search_names_the_unreadable_image(searches, copy, capsys):
    path = copy / "train" / CLASSES[2] / f"{CLASSES[2]}_7.JPEG"
    path.write_bytes(b"no image")
    options = SMALL | {"data": f"imagenet:{copy}", "space": "kd", "trials": 1, "epochs": 1}
    status = searches.run("spoilt", "--quiet", **options, limit=30, teacher_epochs=1)
    out, err = capsys.readouterr()
    assert status == 1
    assert f"{path}: not a readable image" in out + err

"""Presets, defaults, and the conversion of a workload to a request and back."""

from dataclasses import replace
from pathlib import Path

import pytest

from models import UnknownModel
from tuner.config.options import SearchRequest, WorkloadRequest
from tuner.config.presets import PRESETS
from tuner.config.workload import Workload, resolve
from tuner.text.errors import RequestError


def workload(**given) -> Workload:
    return resolve(WorkloadRequest(**given).model_dump())


def test_digits_have_a_preset_for_a_first_search():
    digits = workload()
    assert (digits.data, digits.teacher, digits.student) == ("digits", "resnet20", "resnet8")
    assert (digits.epochs, digits.teacher_epochs, digits.batch_size) == (4, 20, 32)
    assert (digits.crop_padding, digits.flip) == (1, False)


def test_other_data_have_the_preset_of_the_crd_framework():
    cifar = workload(data="cifar100")
    assert (cifar.teacher, cifar.student) == ("resnet32x4", "resnet8x4")
    assert cifar.schedule() == {
        "epochs": 240,
        "batch_size": 64,
        "lr": 0.05,
        "lr_decay_epochs": (150, 180, 210),
        "lr_decay_rate": 0.1,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "crop_padding": 4,
        "flip": True,
        "passes": 240,
    }
    assert (cifar.limit, cifar.image_size, cifar.teacher_checkpoint) == (None, None, None)


def test_imagenet_has_its_own_preset(tmp_path):
    imagenet = workload(data=f"imagenet:{tmp_path}")
    names = (imagenet.preset, imagenet.teacher, imagenet.student)
    assert names == ("imagenet", "torchvision:resnet34", "torchvision:resnet18")
    assert (imagenet.epochs, imagenet.batch_size, imagenet.weight_decay) == (100, 256, 1e-4)
    assert (imagenet.lr, imagenet.teacher_lr, imagenet.lr_decay_epochs) == (0.1, 0.1, (30, 60, 90))


def test_a_preset_can_be_named_for_any_data():
    named = workload(preset="crd-cifar100", epochs=24)
    assert (named.data, named.teacher, named.batch_size) == ("digits", "resnet32x4", 64)
    assert named.lr_decay_epochs == (15, 18, 21)
    short = workload(preset="imagenet", epochs=10, teacher_epochs=20)
    assert short.lr_decay_epochs == (3, 6, 9)
    assert short.teacher_schedule()["lr_decay_epochs"] == (6, 12, 18)
    assert resolve({"data": "digits", "data_dir": ".", "seed": 0, "preset": "imagenet"}).lr == 0.1


def test_an_unknown_preset_is_refused_with_the_known_ones():
    with pytest.raises(RequestError) as refusal:
        workload(preset="imagnet")
    assert str(refusal.value) == (
        "unknown preset 'imagnet'; did you mean 'imagenet'? known: crd-cifar100, digits, imagenet"
    )


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_supplies_every_value_and_names_its_source(name):
    resolved = workload(preset=name)
    assert PRESETS[name].source
    assert all(1 <= drop <= resolved.epochs for drop in resolved.lr_decay_epochs)
    assert workload(**resolved.as_request()) == resolved


@pytest.mark.parametrize(
    ("epochs", "drops"),
    [(240, (150, 180, 210)), (120, (75, 90, 105)), (8, (5, 6, 7)), (2, (1, 2)), (1, (1,))],
)
def test_a_shorter_training_drops_at_the_same_fractions(epochs, drops):
    assert workload(data="cifar100", epochs=epochs).lr_decay_epochs == drops


def test_given_options_win_over_the_preset():
    given = {"epochs": 10, "flip": True, "crop_padding": 0, "lr_decay_epochs": [4], "lr": 0.3}
    resolved = workload(**given)
    assert resolved == replace(
        workload(), epochs=10, passes=10, flip=True, crop_padding=0, lr_decay_epochs=(4,), lr=0.3
    )


def test_an_empty_list_of_drops_is_not_replaced_by_the_default():
    assert workload(lr_decay_epochs="").lr_decay_epochs == ()


@pytest.mark.parametrize(
    ("written", "name"),
    [("ResNet-20", "resnet20"), ("wrn-40-2", "wrn_40_2"), ("ShuffleNetV1", "ShuffleV1")],
)
def test_names_are_accepted_in_their_usual_spellings(written, name):
    assert workload(teacher=written).teacher == name
    assert workload(student=written).student == name


def test_an_unknown_network_is_refused():
    with pytest.raises(UnknownModel, match="did you mean 'resnet20'"):
        workload(student="resnet20o")


def test_light_networks_have_the_lower_learning_rate():
    light = workload(data="cifar100", student="MobileNetV2", teacher="ResNet50")
    assert light.lr == 0.01
    assert light.teacher_schedule()["lr"] == 0.05
    assert workload(teacher="MobileNetV2").teacher_schedule()["lr"] == 0.01


def test_the_teacher_has_its_own_schedule():
    """So that the same teacher can be kept for students of any schedule."""
    students = workload(lr_decay_epochs=[2], lr=0.2, epochs=20)
    assert students.teacher_schedule() == workload().teacher_schedule()
    own = workload(teacher_lr=0.3, teacher_epochs=40).teacher_schedule()
    assert (own["lr"], own["epochs"], own["lr_decay_epochs"]) == (0.3, 40, (25, 30, 35))
    assert workload().teacher_schedule()["lr_decay_epochs"] == (12, 15, 18)


def test_paths_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    resolved = workload(data="parquet:images", data_dir="~/cache", teacher="wrn-16-2@t.pt")
    assert resolved.data == f"parquet:{tmp_path}/images"
    assert resolved.data_dir == f"{tmp_path}/home/cache"
    assert (resolved.teacher, resolved.teacher_checkpoint) == ("wrn_16_2", f"{tmp_path}/t.pt")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"data": "cifar10", "student": "MobileNetV2", "limit": 500, "image_size": 16},
        {"teacher": "resnet32x4@somewhere/t@2.pt", "lr_decay_epochs": "1,2", "flip": True},
        {"preset": "imagenet", "teacher_epochs": 7},
        {"lr_decay_epochs": (), "seed": 7, "data": "imagefolder:images"},
    ],
)
def test_a_workload_survives_the_round_trip_through_a_request(given):
    resolved = workload(**given)
    request = SearchRequest(space="itrd", **resolved.as_request())
    assert resolve(request.model_dump(include=set(Workload.__dataclass_fields__))) == resolved


def test_the_data_folder_is_the_systems_cache(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert WorkloadRequest().data_dir == "/somewhere/tuner"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert WorkloadRequest().data_dir == str(Path("~/.cache/tuner").expanduser())

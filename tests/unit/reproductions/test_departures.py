"""What differs from the paper's protocol is labelled, and nothing else."""

import re

import pytest

from tests.support.reproducing import plan
from tuner.reproductions.measuring import Measurer
from tuner.reproductions.results import Results


@pytest.mark.parametrize(
    ("options", "label"),
    [
        ({"data": "digits"}, "data digits instead of cifar100"),
        ({"limit": 1}, "1 training image"),
        ({"epochs": 24}, "24 epochs instead of 240 (the rate drops after epochs 15, 18, 21)"),
        ({"epochs": 4}, "4 epochs instead of 240 (the rate drops after epochs 2, 3)"),
        ({"epochs": 2}, "2 epochs instead of 240 (the rate drops after epoch 1)"),
        ({"epochs": 1}, "1 epoch instead of 240 (the rate never drops)"),
        ({"student": "vgg8"}, "ResNet50 → vgg8 instead of ResNet50 → MobileNetV2"),
        ({"seeds": 1}, "1 seed instead of 5"),
        ({"set": {"kd_weight": "0.5"}}, "kd_weight = 0.5"),
        ({"lr": 0.01}, "lr = 0.01"),
        ({"lr_decay_epochs": (3, 5)}, "lr_decay_epochs = 3, 5"),
        ({"teacher_epochs": 2}, "teacher_epochs = 2"),
        ({"flip": False}, "flip = false"),
        ({"validation_fraction": 0.5}, "validation_fraction = 0.5"),
    ],
    ids=str,
)
def test_what_differs_from_the_paper_is_labelled(options, label) -> None:
    planned = plan("itrd-alpha", **options)
    assert any(label in one for one in planned.departures), planned.departures
    assert re.fullmatch(r"itrd-alpha-[0-9a-f]{6}", planned.name)


def test_where_it_runs_and_is_written_is_no_difference(tmp_path) -> None:
    planned = plan(
        "itrd-alpha", runs=tmp_path, data_dir=str(tmp_path), max_concurrent=1,
        tracking_uri="sqlite:///x.db", hang_timeout=60, experiment="mine",
    )  # fmt: skip
    assert (planned.departures, planned.name) == ((), "itrd-alpha")
    assert Results(planned, {}, {}, Measurer(planned.storage, None)).is_full_scale

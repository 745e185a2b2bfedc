"""Which pairs and variants are chosen, and what is refused."""

import pytest

from tests.support.reproducing import plan, refused
from tuner.reproductions.experiment import Pair


def test_pairs_are_chosen() -> None:
    planned = plan("crd-benchmark", pairs=("vgg13:vgg8", "resnet-56:resnet20"))
    assert planned.experiment.pairs == (Pair("vgg13", "vgg8"), Pair("resnet56", "resnet20"))
    assert [task.name for task in planned.tasks] == ["vgg13-vgg8", "resnet56-resnet20"]
    foreign = plan("crd-benchmark", pairs=("torchvision:resnet18:torchvision:resnet34",))
    assert foreign.experiment.pairs == (Pair("torchvision:resnet18", "torchvision:resnet34"),)
    # One teacher for all of them: pairs that have become equal are one.
    assert len(plan("mimkd-shallow", teacher="vgg13").tasks) == 2
    text = refused("itrd-log", pairs=("vgg13",))
    assert "'vgg13' is not a pair of networks; write teacher:student" in text


def test_methods_are_chosen_by_label_or_by_method() -> None:
    def labels(*methods: str) -> list[str]:
        variants = plan("crd-benchmark", methods=methods).experiment.variants
        return [variant.label for variant in variants]

    assert labels("plain", "kd") == ["plain", "kd"]
    assert labels("crd") == ["crd"]
    assert labels("crd+kd") == ["crd+kd"]
    assert len(plan("itrd-alpha", methods=("itrd",)).experiment.variants) == 7
    (variant,) = plan("itrd-alpha", methods=("α = 2",)).experiment.variants
    assert variant.label == "α = 2"
    assert "did you mean 'itrd'?" in refused("crd-benchmark", methods=("itdr",))


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("itrd-alpha", {"set": {"alpha": "2"}}, "itrd-alpha sets alpha itself"),
        ("itrd-alpha", {"set": {"aplha": "2"}}, "did you mean 'alpha'?"),
        ("crd-benchmark", {"set": {"at.layer": "x"}}, "has a hyperparameter 'at.layer'"),
        ("itrd-log", {"probe_data": ("stl10:x",)}, "itrd-log does not use probe_data"),
        ("itrd-log", {"memory_cap": "1GB"}, "leave out --memory-cap"),
        ("mimkd-pairs", {"epochs": 2}, "mimkd-pairs trains nothing; leave out --epochs"),
        ("mimkd-imagenet", {"data": None}, "give --data imagenet:DIR"),
        ("itrd-log", {"checkpoint": {"vgg13": "x"}}, "no pair has the teacher vgg13"),
        ("itrd-log", {"name": "a/b"}, "name"),
    ],
)
def test_what_makes_no_sense_is_refused(name, options, text) -> None:
    assert text in refused(name, **options)


def test_a_range_is_refused() -> None:
    text = refused("crd-benchmark", set={"weight": "1:10"})
    assert "is a range, but nothing is searched here" in text

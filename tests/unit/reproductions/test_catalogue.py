"""The declared experiments agree with what is published, and with methods and networks."""

import re
from functools import cache

import pytest
import torch

import models
from losses import LOSSES, LossError, build_objective
from models import shapes_of
from models.outputs import Shapes
from search_spaces import load_space
from tests.support.reproducing import EXPERIMENTS, every_experiment, plan
from tuner.reproductions.catalogue import CATALOGUE
from tuner.reproductions.published import all_published
from tuner.reproductions.settings import setting_of, training_name


def test_every_experiment_has_a_published_entry_and_every_entry_is_used() -> None:
    # The report of the costs has the parameters.
    assert set(all_published()) == {*CATALOGUE, "itrd-parameters"}
    assert [entry.experiment.name for entry in CATALOGUE.values()] == [*CATALOGUE]


@every_experiment
def test_the_pairs_of_an_experiment_are_the_published_ones(experiment) -> None:
    entry = all_published()[experiment.name]
    published = {(row["teacher"], row["student"]) for row in entry.rows if "teacher" in row}
    if published:
        assert {(pair.teacher, pair.student) for pair in experiment.pairs} == published
    elif entry.teacher is not None:
        (pair,) = experiment.pairs
        names = [
            name.replace("torchvision:resnet", "ResNet") for name in (pair.teacher, pair.student)
        ]
        assert names == [entry.teacher, entry.student]


@every_experiment
def test_every_published_accuracy_of_a_method_has_a_variant(experiment) -> None:
    entry = all_published()[experiment.name]
    if "accuracy in %" not in entry.what or not any("method" in row for row in entry.rows):
        return
    printed = {row["method"] for row in entry.rows if "mean" in row} - {"teacher"}
    if experiment.name == "mimkd-landscape":
        assert printed == {"plain"}  # named in a finding
    else:
        assert printed <= {variant.label for variant in experiment.variants}


@every_experiment
def test_the_labels_and_the_names_of_trainings_are_unique(experiment) -> None:
    labels = [variant.label for variant in experiment.variants]
    names = [training_name(variant, 1) for variant in experiment.variants]
    assert len(set(labels)) == len(labels)
    assert len(set(names)) == len(names)
    # Tune's trials have these names; what follows a + is not part of them.
    assert not any(re.search(r"[+/\s]", name) for name in names)


@every_experiment
def test_every_variant_has_a_whole_setting(experiment) -> None:
    workload = plan(experiment.name).workloads[0]
    for variant in experiment.variants:
        setting = setting_of(variant, workload, {})
        assert setting.items() >= dict(variant.values).items()
        if variant.method == "plain":
            assert setting == {}
        else:
            declared = {parameter.name for parameter in load_space(variant.method).params}
            assert set(setting) <= declared
            assert variant.method in LOSSES


def test_the_variants_are_the_papers() -> None:
    assert [a.values["alpha"] for a in EXPERIMENTS["itrd-alpha"].variants] == [
        1.01, 1.5, 2.0, 3.0, 4.0, 5.0, 10.0,
    ]  # fmt: skip
    assert len(EXPERIMENTS["itrd-beta"].variants) == 13
    assert len(EXPERIMENTS["mimkd-landscape"].variants) == 125
    assert len(EXPERIMENTS["mimkd-shallow"].pairs) == 6
    assert len(EXPERIMENTS["mimkd-shallow"].variants) == 7
    assert len(EXPERIMENTS["crd-benchmark"].pairs) == 13
    shallow = {variant.label: variant.values for variant in EXPERIMENTS["mimkd-shallow"].variants}
    assert shallow["kd"] == {"ce_weight": 0.9, "kd_weight": 0.1}
    assert shallow["crd"]["num_negatives"] == 4096


@pytest.mark.parametrize("name", ["crd-benchmark", "mimkd-shallow", "mimkd-imagenet", "itrd-log"])
def test_every_published_cell_has_networks_that_its_method_joins(name) -> None:
    num_classes, size = (1000, 224) if name == "mimkd-imagenet" else (100, 32)
    planned, entry, without_number = plan(name), all_published()[name], set()

    @cache
    def shapes(network: str) -> Shapes:
        return shapes_of(models.build_untrained(network, num_classes), (size, size), network)

    for pair, task in planned.tasks_by_pair.items():
        for training in {one.setting_label: one for one in task.trainings}.values():
            try:
                with torch.device("meta"):
                    build_objective(
                        LOSSES[training.method],
                        shapes(pair.student),
                        shapes(pair.teacher),
                        training.setting,
                    )
            except LossError:
                key = {"teacher": pair.teacher, "student": pair.student, "method": training.method}
                assert entry.value(**key) is None, key
                without_number.add(training.method)
    assert without_number == ({"fsp"} if name == "crd-benchmark" else set())

"""The setting of a variant: its own values, --set, the pair's and the published ones."""

from tests.support.reproducing import plan
from tuner.reproductions.experiment import Pair


def test_tables_that_share_a_setting_share_its_trainings() -> None:
    log, kernel, alpha, beta = (
        {t.setting_label: (t.method, t.setting) for t in plan(f"itrd-{name}").tasks[0].trainings}
        for name in ("log", "kernel", "alpha", "beta")
    )
    base = log["without log2"]
    assert kernel["polynomial"] == base
    assert alpha["α = 1.5"] == base
    assert beta["β_corr = 2, β_mi = 1"] == base
    assert log["with log2"] != base


def test_a_pin_changes_every_method_that_has_the_hyperparameter() -> None:
    crd_settings = {
        t.setting_label: t.setting
        for t in plan("crd-benchmark", set={"weight": "7", "at.weight": "8"}).tasks[0].trainings
    }
    assert crd_settings["sp"]["weight"] == 7.0
    assert crd_settings["at"]["weight"] == 8.0
    assert "weight" not in crd_settings["kd"]


def test_a_value_for_one_pair_replaces_the_published_one() -> None:
    planned = plan("crd-benchmark", methods=("reviewkd",))
    weights = {
        pair: task.trainings[0].setting["weight"] for pair, task in planned.tasks_by_pair.items()
    }
    assert weights[Pair("resnet56", "resnet20")] == 0.6
    assert weights[Pair("resnet110", "resnet32")] == 1.0
    assert weights[Pair("resnet32x4", "ShuffleV2")] == 8.0
    assert weights[Pair("vgg13", "vgg8")] == 5.0
    pinned = plan("crd-benchmark", methods=("reviewkd",), set={"reviewkd.weight": "3"})
    assert {task.trainings[0].setting["weight"] for task in pinned.tasks} == {3.0}

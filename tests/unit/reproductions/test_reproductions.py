"""From a request to the trainings of a reproduction, and from accuracies to words and tables."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import models
from losses import LOSSES, LossError, build_objective
from models import shapes_of
from models.outputs import Shapes
from search_spaces import SpaceError, load_space
from tuner import reproduce
from tuner.config.command_line import read_request
from tuner.config.options import ReproduceRequest
from tuner.config.run_folder import request_yaml
from tuner.config.yaml_file import read_yaml
from tuner.reports.document import Document, Table
from tuner.reports.statistics import Difference, difference_text, sentence
from tuner.reproductions import EXPERIMENTS
from tuner.reproductions.artefacts import figures, landscape
from tuner.reproductions.artefacts import findings as words
from tuner.reproductions.experiment import Artefact, Pair, Reproduction
from tuner.reproductions.measuring import Measurer, NotMeasuredError
from tuner.reproductions.page import document_of
from tuner.reproductions.papers import crd
from tuner.reproductions.planning import plan_reproduction, setting_of, training_name
from tuner.reproductions.published import Value, all_published
from tuner.reproductions.results import Results
from tuner.reproductions.running import check_begun, without
from tuner.results.record import Record
from tuner.results.trial import DONE, FINAL, TEACHER
from tuner.storage.folder import COMPARISON_FILE, SEARCH_FILE, Storage
from tuner.text.errors import RequestError

every_experiment = pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=lambda e: e.name)
SMALL = {"data": "digits", "teacher": "resnet20", "student": "resnet8", "epochs": 4, "seeds": 2}


def plan(name: str, /, runs: Path | str = "runs", **options: Any) -> Reproduction:
    request = ReproduceRequest(reproduction=name, runs_dir=str(runs), **options)
    return plan_reproduction(EXPERIMENTS[name], request)


def refused(name: str, /, **options: Any) -> str:
    with pytest.raises((RequestError, SpaceError)) as refusal:
        plan(name, **options)
    return str(refusal.value)


# What there is


def test_every_experiment_has_a_published_entry_and_every_entry_is_used() -> None:
    # The parameters stand in the report of the costs.
    assert set(all_published()) == {*EXPERIMENTS, "itrd-parameters"}


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
def test_every_published_accuracy_of_a_method_has_an_arm(experiment) -> None:
    entry = all_published()[experiment.name]
    if "accuracy in %" not in entry.what or not any("method" in row for row in entry.rows):
        return
    printed = {row["method"] for row in entry.rows if "mean" in row} - {"teacher"}
    if experiment.name == "mimkd-landscape":
        assert printed == {"plain"}  # told beside the setting without any term
    else:
        assert printed <= {arm.label for arm in experiment.arms}


@every_experiment
def test_the_labels_and_the_names_of_trainings_are_unique(experiment) -> None:
    labels = [arm.label for arm in experiment.arms]
    names = [training_name(arm, 1) for arm in experiment.arms]
    assert len(set(labels)) == len(labels)
    assert len(set(names)) == len(names)
    # Tune's trials have these names, where + begins what is not a name's.
    assert not any(re.search(r"[+/\s]", name) for name in names)


@every_experiment
def test_every_arm_has_a_whole_setting(experiment) -> None:
    options = {"data": "imagenet:x"} if experiment.name == "mimkd-imagenet" else {}
    (workload, *_) = plan(experiment.name, **options).workloads
    for arm in experiment.arms:
        setting = setting_of(arm, workload, {})
        assert setting.items() >= dict(arm.values).items()
        if arm.method == "plain":
            assert setting == {}
        else:
            declared = {parameter.name for parameter in load_space(arm.method).params}
            assert set(setting) <= declared
            assert arm.method in LOSSES


def test_the_arms_are_the_papers() -> None:
    assert [a.values["alpha"] for a in EXPERIMENTS["itrd-alpha"].arms] == [
        1.01, 1.5, 2.0, 3.0, 4.0, 5.0, 10.0,
    ]  # fmt: skip
    assert len(EXPERIMENTS["itrd-beta"].arms) == 13
    assert len(EXPERIMENTS["mimkd-landscape"].arms) == 125
    assert len(EXPERIMENTS["mimkd-shallow"].pairs) == 6
    assert len(EXPERIMENTS["mimkd-shallow"].arms) == 7
    assert len(EXPERIMENTS["crd-benchmark"].pairs) == 13
    shallow = {arm.label: arm.values for arm in EXPERIMENTS["mimkd-shallow"].arms}
    assert shallow["kd"] == {"ce_weight": 0.9, "kd_weight": 0.1}
    assert shallow["crd"]["num_negatives"] == 4096


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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["crd-benchmark", "mimkd-shallow", "mimkd-imagenet", "itrd-log"])
def test_every_published_cell_has_networks_that_its_method_joins(name) -> None:
    options = {"data": "imagenet:x"} if name == "mimkd-imagenet" else {}
    num_classes, size = (1000, 224) if options else (100, 32)
    planned, entry, without_number = plan(name, **options), all_published()[name], set()

    @cache
    def shapes(network: str) -> Shapes:
        return shapes_of(models.build_untrained(network, num_classes), (size, size), network)

    for pair, task in zip(planned.experiment.pairs, planned.tasks, strict=True):
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


# Planning


def test_the_published_protocol_has_no_labels_and_the_experiments_own_name() -> None:
    for name, experiment in EXPERIMENTS.items():
        options = {"data": "imagenet:x"} if name == "mimkd-imagenet" else {}
        planned = plan(name, **options)
        assert planned.labels == (), name
        assert len(planned.tasks) == (len(experiment.pairs) if experiment.arms else 0)
        assert planned.name.startswith(name)
        if not options:
            assert planned.name == name


def test_a_table_with_one_seed_comes_before_the_next_seed() -> None:
    trainings = plan("itrd-log").tasks[0].trainings
    assert [t.name for t in trainings[:3]] == ["without-log2-1", "with-log2-1", "without-log2-2"]
    assert [t.seed for t in trainings] == [n for n in range(1, 6) for _ in range(2)]


@pytest.mark.parametrize(
    ("options", "label"),
    [
        ({"data": "digits"}, "data digits instead of cifar100"),
        ({"limit": 1}, "1 training image"),
        ({"epochs": 24}, "24 epochs instead of 240 (the rate drops after epochs 15, 18, 21)"),
        ({"epochs": 4}, "4 epochs instead of 240 (the rate drops after epochs 2, 3)"),
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
    assert any(label in one for one in planned.labels), planned.labels
    assert re.fullmatch(r"itrd-alpha-[0-9a-f]{6}", planned.name)


def test_where_it_runs_and_is_written_is_no_difference(tmp_path) -> None:
    planned = plan(
        "itrd-alpha", runs=tmp_path, data_dir=str(tmp_path), max_concurrent=1,
        tracking_uri="sqlite:///x.db", hang_timeout=60, experiment="mine",
    )  # fmt: skip
    assert (planned.labels, planned.name) == ((), "itrd-alpha")
    assert Results(planned, {}, {}, Measurer(planned)).is_full_scale


def test_the_same_request_has_the_same_folder_and_another_has_its_own() -> None:
    assert plan("itrd-alpha", **SMALL).name == plan("itrd-alpha", **SMALL).name
    assert plan("itrd-alpha", **SMALL).name != plan("itrd-alpha", **SMALL | {"epochs": 5}).name
    assert plan("itrd-alpha", name="mine", **SMALL).name == "mine"


def test_pairs_are_chosen() -> None:
    planned = plan("crd-benchmark", pairs=("vgg13:vgg8", "resnet-56:resnet20"))
    assert planned.experiment.pairs == (Pair("vgg13", "vgg8"), Pair("resnet56", "resnet20"))
    assert [task.name for task in planned.tasks] == ["vgg13-vgg8", "resnet56-resnet20"]
    foreign = plan("crd-benchmark", pairs=("torchvision:resnet18:torchvision:resnet34",))
    assert foreign.experiment.pairs == (Pair("torchvision:resnet18", "torchvision:resnet34"),)
    # One teacher for all of them: pairs that have become equal are one.
    assert len(plan("mimkd-shallow", teacher="vgg13").tasks) == 2
    assert "no pair of networks; write teacher:student" in refused("itrd-log", pairs=("vgg13",))


def test_methods_are_chosen_by_label_or_by_method() -> None:
    def labels(*methods: str) -> list[str]:
        return [arm.label for arm in plan("crd-benchmark", methods=methods).experiment.arms]

    assert labels("plain", "kd") == ["plain", "kd"]
    assert labels("crd") == ["crd"]
    assert labels("crd+kd") == ["crd+kd"]
    assert len(plan("itrd-alpha", methods=("itrd",)).experiment.arms) == 7
    assert [a.label for a in plan("itrd-alpha", methods=("α = 2",)).experiment.arms] == ["α = 2"]
    assert "did you mean 'itrd'?" in refused("crd-benchmark", methods=("itdr",))


def test_a_checkpoint_is_a_teachers() -> None:
    planned = plan("itrd-log", checkpoint={"ResNet50": "r50.pt"})
    assert planned.workloads[0].teacher_checkpoint is not None
    assert planned.workloads[0].teacher_checkpoint.endswith("r50.pt")
    (published,) = plan("mimkd-imagenet", data="imagenet:x").workloads
    assert published.teacher_checkpoint == "IMAGENET1K_V1"


def test_a_pin_changes_what_has_it_but_not_what_the_experiment_varies() -> None:
    crd_settings = {
        t.setting_label: t.setting
        for t in plan("crd-benchmark", set={"weight": "7", "at.weight": "8"}).tasks[0].trainings
    }
    assert crd_settings["sp"]["weight"] == 7.0
    assert crd_settings["at"]["weight"] == 8.0
    assert "weight" not in crd_settings["kd"]


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("itrd-alpha", {"set": {"alpha": "2"}}, "alpha is what itrd-alpha sets itself"),
        ("itrd-alpha", {"set": {"aplha": "2"}}, "did you mean 'alpha'?"),
        ("crd-benchmark", {"set": {"at.layer": "x"}}, "has a hyperparameter 'at.layer'"),
        ("itrd-log", {"probe_data": ("stl10:x",)}, "itrd-log has no use for probe_data"),
        ("itrd-log", {"memory_cap": "1GB"}, "leave out --memory-cap"),
        ("mimkd-pairs", {"epochs": 2}, "mimkd-pairs trains nothing; leave out --epochs"),
        ("mimkd-imagenet", {}, "give --data imagenet:DIR"),
        ("itrd-log", {"name": "a/b"}, "name"),
    ],
)
def test_what_makes_no_sense_is_refused(name, options, text) -> None:
    assert text in refused(name, **options)


def test_a_range_is_refused() -> None:
    text = refused("crd-benchmark", set={"weight": "1:10"})
    assert "is a range, but nothing is searched here" in text


def test_a_recipe_of_a_pair_is_in_the_place_of_the_published_weight() -> None:
    planned = plan("crd-benchmark", methods=("reviewkd",))
    weights = {
        pair: task.trainings[0].setting["weight"]
        for pair, task in zip(planned.experiment.pairs, planned.tasks, strict=True)
    }
    assert weights[Pair("resnet56", "resnet20")] == 0.6
    assert weights[Pair("resnet110", "resnet32")] == 1.0
    assert weights[Pair("resnet32x4", "ShuffleV2")] == 8.0
    assert weights[Pair("vgg13", "vgg8")] == 5.0
    pinned = plan("crd-benchmark", methods=("reviewkd",), set={"reviewkd.weight": "3"})
    assert {task.trainings[0].setting["weight"] for task in pinned.tasks} == {3.0}


def test_transfer_is_refused_without_data_to_probe_on() -> None:
    planned = plan("itrd-transfer")
    with pytest.raises(RequestError, match="give --probe-data stl10:DIR,tinyimagenet:DIR"):
        planned.experiment.check(planned)
    planned = plan("itrd-transfer", probe_data=("stl10:nowhere",))
    with pytest.raises(RequestError, match="nowhere"):
        planned.experiment.check(planned)


# Its folder


def begun(planned: Reproduction) -> Reproduction:
    planned.storage.write(SEARCH_FILE, request_yaml(planned.request))
    planned.storage.write(COMPARISON_FILE, b"id")
    return planned


def test_another_request_in_the_same_folder_is_refused(tmp_path) -> None:
    begun(plan("itrd-alpha", runs=tmp_path, name="mine", **SMALL))
    other = plan("itrd-alpha", runs=tmp_path, name="mine", **SMALL | {"epochs": 5})
    with pytest.raises(RequestError, match="epochs is 5 but mine began with 4; choose another"):
        check_begun(other)
    less = plan("itrd-alpha", runs=tmp_path, name="mine", **SMALL | {"epochs": None})
    with pytest.raises(RequestError, match="epochs is not given but mine began with 4"):
        check_begun(less)


def test_a_request_of_which_only_the_given_options_were_written_is_the_same(tmp_path) -> None:
    planned = plan("itrd-alpha", runs=tmp_path, name="mine", **SMALL)
    content = planned.request.model_dump(
        mode="json", exclude_defaults=True, exclude={"name", "runs_dir"}
    )
    planned.storage.write(SEARCH_FILE, yaml.safe_dump(content).encode())
    check_begun(planned)


def test_it_goes_on_elsewhere_and_with_more_at_a_time(tmp_path) -> None:
    begun(plan("itrd-alpha", runs=tmp_path, max_concurrent=1, **SMALL))
    check_begun(plan("itrd-alpha", runs=tmp_path, data_dir=str(tmp_path), **SMALL))


def test_the_folder_of_a_search_is_refused(tmp_path) -> None:
    Storage(str(tmp_path)).write(f"mine/{SEARCH_FILE}", b"space: itrd\n")
    with pytest.raises(RequestError, match="'mine' is the folder of a search; choose another"):
        check_begun(plan("itrd-alpha", runs=tmp_path, name="mine"))


@every_experiment
def test_what_it_wrote_down_makes_the_same_again(experiment, tmp_path) -> None:
    options = {"data": "imagenet:x"} if experiment.name == "mimkd-imagenet" else {}
    planned = begun(plan(experiment.name, runs=tmp_path, teacher="vgg13", **options))
    written = read_yaml(planned.storage.path(SEARCH_FILE))
    given = {"name": planned.name, "runs_dir": str(tmp_path)}
    again = plan_reproduction(experiment, read_request(ReproduceRequest, given, base=written))
    assert (again.name, again.labels, again.workloads) == (
        planned.name, planned.labels, planned.workloads,
    )  # fmt: skip
    assert [task.identity for task in again.tasks] == [task.identity for task in planned.tasks]
    check_begun(again)


def test_what_is_not_measured_cannot_be_read(tmp_path) -> None:
    planned = begun(plan("itrd-cost", runs=tmp_path))
    with pytest.raises(NotMeasuredError, match=r"cost-kd is not measured yet; resume with `python"):
        Measurer(planned, only_read=True)("cost-kd", dict)
    assert Measurer(planned)("cost-kd", lambda: {"x": 0.1 + 0.2}) == {"x": 0.1 + 0.2}
    assert Measurer(planned, only_read=True)("cost-kd", dict) == {"x": 0.1 + 0.2}


# Words and tables


def results(
    name: str,
    accuracies: Mapping[str, Iterable[float]],
    tmp_path: Path,
    *,
    teacher: float | None = 90.0,
    **options: Any,
) -> Results:
    """Trainings of every pair with these test accuracies by seed; validation is one above."""
    planned = plan(name, runs=tmp_path, **options)
    records = {}
    for pair, task in zip(planned.experiment.pairs, planned.tasks, strict=True):
        record = records[pair] = Record(task.storage)
        if teacher is not None:
            record.begin(name="teacher", role=TEACHER, setting_label="teacher", method="plain",
                         setting={}, seed=0, num_epochs=1)  # fmt: skip
            record.epoch("teacher", {"epoch": 1.0, "test_accuracy": teacher})
            record.end("teacher", DONE)
        for training in task.trainings:
            by_seed = list(accuracies.get(training.setting_label, ()))
            number = training.seed
            if number > len(by_seed):
                continue
            record.begin(name=training.name, role=FINAL, setting_label=training.setting_label,
                         method=training.method, setting=training.setting, seed=training.seed,
                         num_epochs=2)  # fmt: skip
            value = by_seed[number - 1]
            for epoch, accuracy in ((1.0, value / 2), (2.0, value)):
                record.epoch(
                    training.name,
                    {"epoch": epoch, "test_accuracy": accuracy, "val_accuracy": accuracy + 1,
                     "seconds": 1.0},
                )  # fmt: skip
            record.end(training.name, DONE)
        record.close()
    return Results(
        planned, records, {} if teacher is None else dict.fromkeys(records, teacher),
        Measurer(planned, only_read=True),
    )  # fmt: skip


ALPHAS = ("α = 1.01", "α = 1.5", "α = 2", "α = 3", "α = 4", "α = 5", "α = 10")


def table_named(artefact: Artefact | Document, name: str) -> Table:
    (found,) = (p for p in artefact.parts if isinstance(p, Table) and p.name == name)
    return found


def test_the_best_beats_what_it_is_clearly_above(tmp_path) -> None:
    found = results(
        "itrd-kernel",
        {"polynomial": [70.0, 70.2, 70.4], "RBF, h = 1": [60.1, 60.2, 60.5],
         "RBF, h = 5": [69.5, 71.0, 69.9]},
        tmp_path, seeds=3,
    )  # fmt: skip
    told = words.best_of_many(
        found, ["polynomial", "RBF, h = 1", "RBF, h = 5"], "polynomial", is_papers=True
    )
    assert told == [
        "Of 3 settings, polynomial has the highest validation accuracy, as in the paper"
        " (71.20 ± 0.20 %; test 70.20 ± 0.20 %).",
        "polynomial beats RBF, h = 1 (intervals corrected for 3 comparisons).",
        "Within noise of it: RBF, h = 5.",
    ]


def test_one_seed_tells_nothing_apart(tmp_path) -> None:
    found = results("itrd-log", {"without log2": [70.0], "with log2": [60.0]}, tmp_path, seeds=1)
    first, second = words.best_of_many(found, ["without log2", "with log2"])
    assert "as in the paper" not in first
    assert second == (
        "without log2 is 10.00 points of test accuracy above with log2, but one seed says nothing"
        " about noise."
    )
    (told,) = words.beside_published(
        found, {"without log2": Value(71.5, None, ""), "with log2": Value(71.4, None, "")}
    )
    assert "do not differ beyond noise here, so their order neither agrees nor disagrees" in told


def test_no_training_is_no_finding(tmp_path) -> None:
    found = results("itrd-log", {}, tmp_path)
    assert words.best_of_many(found, ["without log2"]) == [words.NOTHING_FINISHED]
    assert words.beside_published(found, {"with log2": Value(1.0, None, "")}) == []
    assert "Too few" in words.spread(found, ["without log2", "with log2"], "both")


def test_the_order_is_compared_where_it_is_beyond_noise(tmp_path) -> None:
    accuracies = {
        label: [value, value + 0.1, value + 0.25]
        for label, value in zip(ALPHAS, (51, 52, 53, 54, 55, 56, 57), strict=True)
    }
    # Equal differences by seed have no interval; these have.
    accuracies = {
        label: [v + 0.01 * n * i for i, v in enumerate(values)]
        for n, (label, values) in enumerate(accuracies.items())
    }
    found = results("itrd-alpha", accuracies, tmp_path, seeds=3, epochs=2)
    published = {label: Value(60.0 - n, None, "") for n, label in enumerate(ALPHAS)}
    (told,) = words.beside_published(found, published)
    assert "Kendall's rank correlation with the paper's is -1.00 (p < 0.01) over 7 settings" in told
    assert "against the paper's order: " in told
    assert "Scaled down, accuracies cannot be compared" in told


def test_at_full_scale_accuracies_are_compared(tmp_path) -> None:
    found = results(
        "itrd-log",
        {"without log2": [71.4, 71.6, 71.5, 71.7, 71.3], "with log2": [70.0, 70.1, 70.2, 70.1, 70]},
        tmp_path,
    )
    assert found.is_full_scale
    text = " ".join(document_of(found).findings)
    assert "differ from the published ones by 0.65 points on average and 1.28 at most" in text
    assert "1 of 2 published values lie in the 95 % interval of ours" in text
    assert "The two settings differ beyond noise, in the paper's order." in text


def test_noise_alone_spreads_means(tmp_path) -> None:
    # 2/sqrt(pi) is the expected range of two normal values.
    assert words.expected_range(2) == pytest.approx(1.128379, abs=1e-5)
    assert words.expected_range(7) == pytest.approx(2.704, abs=1e-3)
    found = results("itrd-log", {"without log2": [70, 80], "with log2": [71, 81]}, tmp_path)
    told = words.spread(found, ["without log2", "with log2"], "both")
    # Seeds differ by ten points, settings always by one: no noise is left.
    assert told == (
        "Test accuracy varies by 1.00 points over both (75.00 to 76.00 %);"
        " noise alone would spread them by about 0.00."
    )


@pytest.mark.parametrize(
    ("chance", "text"), [(0.1361, "p = 0.14"), (0.0004, "p < 0.01"), (1.0, "p = 1.00")]
)
def test_a_probability_has_two_digits(chance, text) -> None:
    assert words.probability_text(chance) == text


def test_an_interval_that_says_nothing_is_not_written_out() -> None:
    wide = Difference(1.5, -149.0, 152.0, num_seeds=2, num_comparisons=6)
    assert difference_text(wide) == "+1.50 (more than ± 20)"
    assert sentence("a", "b", wide) == (
        "a and b differ within noise: +1.50 points of test accuracy (95 % interval of more than 20"
        " points to either side, corrected for 6 comparisons, 2 seeds)."
    )


def test_a_table_has_published_beside_measured(tmp_path) -> None:
    accuracies = {label: [50.0 + n, 51.0 + n / 2] for n, label in enumerate(ALPHAS)}
    document = document_of(results("itrd-alpha", accuracies, tmp_path, seeds=2))
    table = table_named(document, "alpha")
    assert list(table.headings) == [
        "α", "published (%)", "test (%)", "validation (%)", "− α = 2 (points)", "seeds",
    ]  # fmt: skip
    assert table.rows[2][:3] == ["α = 2", "71.42 ± 0.39", "52.00 ± 0.00"]
    assert table.emphasised == {6}
    assert document.labels == ["scaled down: 2 seeds instead of 5"]


def test_a_table_without_published_numbers_has_no_column_for_them(tmp_path) -> None:
    found = results("mimkd-critics", {"convolve": [50.0], "project and dot": [51.0]}, tmp_path,
                    seeds=1)  # fmt: skip
    table = table_named(found.experiment.artefact(found), "critics")
    assert "published (%)" not in table.headings


def test_imagenets_table_has_the_teacher(tmp_path) -> None:
    found = results(
        "mimkd-imagenet", {"plain": [60.0], "kd": [61.0], "mimkd": [62.5]}, tmp_path,
        data="imagenet:x",
    )  # fmt: skip
    artefact = found.experiment.artefact(found)
    *_, teacher = table_named(artefact, "imagenet").rows
    assert teacher[:3] == ["teacher", "72.82", "90.00"]
    assert any("mimkd +2.50 (published +1.44)" in text for text in artefact.findings)


def test_the_benchmark_is_parted_as_in_the_paper(tmp_path) -> None:
    labels = [arm.label for arm in crd.ARMS]
    found = results("crd-benchmark", {label: [50.0 + n, 52] for n, label in enumerate(labels)},
                    tmp_path, seeds=2)  # fmt: skip
    artefact = found.experiment.artefact(found)
    verdicts, *parts = (part for part in artefact.parts if isinstance(part, Table))
    assert [row[:2] for row in verdicts.rows[:1]] == [["wrn_40_2 → wrn_16_2", "crd+kd"]]
    assert artefact.findings[0] == (
        "Of 17 methods, the best by validation accuracy is crd+kd for 13 pairs."
    )
    assert [part.name for part in parts] == ["same-1", "same-2", "different-1", "different-2"]
    assert [len(part.headings) - 1 for part in parts] == [4, 3, 3, 3]
    shown = [Pair(*text.split(" → ")) for part in parts for text in part.headings[1:]]
    assert shown == [*crd.SAME, *crd.DIFFERENT]
    first = {row[0]: row[1] for row in parts[0].rows if row[0] != "published"}
    assert first["teacher"] == "90.00"
    under_kd = parts[0].rows[[row[0] for row in parts[0].rows].index("kd") + 1]
    assert under_kd[:2] == ["published", "74.92"]


def test_the_landscape_tells_the_effect_of_each_weight(tmp_path) -> None:
    # λ_f alone matters: ten points over its range.
    accuracies = {
        arm.label: [60 + 10 * arm.values["lambda_f"] + 0.01 * (n % 7)]
        for n, arm in enumerate(EXPERIMENTS["mimkd-landscape"].arms)
    }
    found = results("mimkd-landscape", accuracies, tmp_path)
    artefact = found.experiment.artefact(found)
    text = " ".join(artefact.findings)
    assert re.search(r"Raising λ_g from 0 to 1 .*?: no effect beyond noise", text)
    assert re.search(
        r"Raising λ_f from 0 to 1 changes test accuracy by \+(9.9|10.0).*: a gain", text
    )
    assert "the teacher's accuracy is 79.24 % and the student's accuracy is 72.44 %" in text
    table = table_named(artefact, "settings")
    assert (len(table.rows), table.data.num_rows) == (10, 125)


def test_levels_are_round_and_hold_the_best() -> None:
    levels = landscape._levels([10.0, *(60 + n / 10 for n in range(100))])
    assert levels[0] > 50
    assert levels[-1] >= 69.9
    steps = {round(float(b - a), 6) for a, b in pairwise(levels)}
    assert steps == {1.0}


def test_what_failed_and_what_was_left_out_is_told(tmp_path) -> None:
    found = results("itrd-log", {"without log2": [50.0]}, tmp_path, seeds=1)
    planned = without(
        found.reproduction, {"ResNet50-MobileNetV2": {"with log2": "it does not fit"}}
    )
    assert [t.setting_label for t in planned.tasks[0].trainings] == ["without log2"]
    document = document_of(replace(found, reproduction=planned))
    (text,) = (part for part in document.parts if part.title == "Not in the tables")
    assert text.paragraphs == ["with log2 with ResNet50-MobileNetV2: it does not fit"]


def test_hyperparameters_are_listed_once_where_they_are_shared(tmp_path) -> None:
    accuracies = {label: [50.0] for label in ALPHAS}
    table = table_named(document_of(results("itrd-alpha", accuracies, tmp_path, seeds=1)),
                        "hyperparameters")  # fmt: skip
    shared, *own = table.rows
    assert shared[:2] == ["itrd", "all"]
    assert "beta_corr 2" in shared[2]
    assert "alpha" not in shared[2]
    assert own[0] == ["itrd", "α = 1.01", "alpha 1.01"]
    assert len(own) == 7
    assert table.data.num_rows == 7


@pytest.mark.parametrize(
    "name", [e.name for e in EXPERIMENTS.values() if e.arms and e.name != "itrd-transfer"]
)
@pytest.mark.parametrize("num_seeds", [0, 1])
def test_every_artefact_is_made_of_few_trainings(name, num_seeds, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tuner.reproductions.artefacts.costs.negatives_cost", lambda *_: ([], []))
    arms = EXPERIMENTS[name].arms
    # One training has not finished, as it may be where one failed.
    accuracies = {arm.label: [40.0 + n % 9][:num_seeds] for n, arm in enumerate(arms[:-1])}
    options: dict[str, Any] = {"seeds": 1, "epochs": 2}
    if name == "mimkd-imagenet":
        options["data"] = "imagenet:x"
    if name == "crd-benchmark":
        options["pairs"] = ("vgg13:vgg8",)
    document = document_of(results(name, accuracies, tmp_path, **options))
    assert document.findings
    assert "nan" not in " ".join(document.findings)


def test_a_symbol_is_printed_with_its_index_set_lower() -> None:
    assert figures.symbol("λ_g") == r"$λ_{\mathrm{g}}$"
    assert figures.symbol("α") == "α"
    assert figures.symbol("negatives of the global term") == "negatives of the global term"


# The command


def test_the_list_names_every_reproduction(capsys) -> None:
    assert reproduce.main(["--list"]) == 0
    printed = capsys.readouterr().out
    assert [name for name in EXPERIMENTS if name not in printed] == []


def test_a_misspelt_name_is_refused_with_the_right_one(capsys) -> None:
    assert reproduce.main(["itrd-alhpa"]) == 2
    assert "did you mean 'itrd-alpha'?" in capsys.readouterr().err

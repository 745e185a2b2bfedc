"""From a request to the trainings and the folder of a reproduction."""

from tests.support.reproducing import EXPERIMENTS, SMALL, plan


def test_the_published_protocol_departs_in_nothing_and_has_the_experiments_name() -> None:
    for name, experiment in EXPERIMENTS.items():
        planned = plan(name)
        assert planned.departures == (), name
        assert len(planned.tasks) == (len(experiment.pairs) if experiment.variants else 0)
        assert planned.name.startswith(name)
        if name != "mimkd-imagenet":  # whose folder of data has to be given
            assert planned.name == name


def test_a_table_with_one_seed_comes_before_the_next_seed() -> None:
    trainings = plan("itrd-log").tasks[0].trainings
    assert [t.name for t in trainings[:3]] == ["without-log2-1", "with-log2-1", "without-log2-2"]
    assert [t.seed for t in trainings] == [n for n in range(1, 6) for _ in range(2)]


def test_the_same_request_has_the_same_folder_and_another_has_its_own() -> None:
    assert plan("itrd-alpha", **SMALL).name == plan("itrd-alpha", **SMALL).name
    assert plan("itrd-alpha", **SMALL).name != plan("itrd-alpha", **SMALL | {"epochs": 5}).name
    assert plan("itrd-alpha", name="mine", **SMALL).name == "mine"


def test_a_teacher_has_its_checkpoint() -> None:
    planned = plan("itrd-log", checkpoint={"ResNet50": "r50.pt"})
    assert planned.workloads[0].teacher_checkpoint is not None
    assert planned.workloads[0].teacher_checkpoint.endswith("r50.pt")
    (published,) = plan("mimkd-imagenet").workloads
    assert published.teacher_checkpoint == "IMAGENET1K_V1"

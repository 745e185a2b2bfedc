"""A reproduction resumes in its own folder; variants that do not fit are left out."""

import pytest
import yaml

from tests.support.reproducing import SMALL, every_experiment, plan
from tuner.config.command_line import read_request
from tuner.config.options import ReproduceRequest
from tuner.config.run_folder import request_yaml
from tuner.config.yaml_file import read_yaml
from tuner.reproductions.planning import Reproduction, plan_reproduction
from tuner.reproductions.running import check_begun, find_unfit, without
from tuner.storage.folder import COMPARISON_FILE, SEARCH_FILE, Storage
from tuner.text.errors import RequestError


def begun(planned: Reproduction) -> Reproduction:
    """With the files that a reproduction writes first."""
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


def test_a_folder_that_holds_only_the_given_options_is_of_the_same_request(tmp_path) -> None:
    planned = plan("itrd-alpha", runs=tmp_path, name="mine", **SMALL)
    content = planned.request.model_dump(
        mode="json", exclude_defaults=True, exclude={"name", "runs_dir"}
    )
    planned.storage.write(SEARCH_FILE, yaml.safe_dump(content).encode())
    check_begun(planned)


def test_it_resumes_elsewhere_and_with_more_at_a_time(tmp_path) -> None:
    begun(plan("itrd-alpha", runs=tmp_path, max_concurrent=1, **SMALL))
    check_begun(plan("itrd-alpha", runs=tmp_path, data_dir=str(tmp_path), **SMALL))


def test_the_folder_of_a_search_is_refused(tmp_path) -> None:
    Storage(str(tmp_path)).write(f"mine/{SEARCH_FILE}", b"space: itrd\n")
    with pytest.raises(RequestError, match="'mine' is the folder of a search; choose another"):
        check_begun(plan("itrd-alpha", runs=tmp_path, name="mine"))


@every_experiment
def test_the_request_it_wrote_makes_the_same_plan(experiment, tmp_path) -> None:
    planned = begun(plan(experiment.name, runs=tmp_path, teacher="vgg13"))
    written = read_yaml(planned.storage.path(SEARCH_FILE))
    given = {"name": planned.name, "runs_dir": str(tmp_path)}
    again = plan_reproduction(experiment, read_request(ReproduceRequest, given, base=written))
    assert (again.name, again.departures, again.workloads) == (
        planned.name, planned.departures, planned.workloads,
    )  # fmt: skip
    assert [task.identity for task in again.tasks] == [task.identity for task in planned.tasks]
    check_begun(again)


def test_a_variant_that_does_not_fit_is_left_out_and_says_why(data_dir) -> None:
    planned = plan("crd-benchmark", data="digits", data_dir=data_dir, methods=("kd", "fsp"),
                   pairs=("vgg8:ShuffleV1",))  # fmt: skip
    unfit = find_unfit(planned)
    assert list(unfit["vgg8-ShuffleV1"]) == ["fsp"]
    kept = without(planned, unfit)
    assert {training.setting_label for training in kept.tasks[0].trainings} == {"kd"}
    (reason,) = kept.left_out
    assert reason.startswith("fsp with vgg8-ShuffleV1: ")


def test_a_pair_that_no_variant_fits_is_refused(data_dir) -> None:
    planned = plan("crd-benchmark", data="digits", data_dir=data_dir, methods=("fsp",),
                   pairs=("vgg8:ShuffleV1",))  # fmt: skip
    with pytest.raises(RequestError, match="fsp"):
        find_unfit(planned)

"""Machines that differ are refused in one sentence that names the machine and what to do."""

from dataclasses import replace
from pathlib import Path

import pytest

from tuner.config.options import SearchRequest
from tuner.data import Dataset
from tuner.orchestration import preflight
from tuner.orchestration.cluster import refusal
from tuner.orchestration.preflight import Answer, answer, check_machines, versions
from tuner.planning.search import Search, plan_search
from tuner.text.errors import RequestError
from tuner.training.workload_data import open_data

NODE = {"Resources": {"CPU": 2.0}, "NodeID": "1", "NodeManagerHostname": "gpu1"}


@pytest.fixture
def search(tmp_path: Path, data_dir: str, monkeypatch: pytest.MonkeyPatch) -> Search:
    monkeypatch.chdir(tmp_path)
    return plan_search(SearchRequest(space="itrd", data_dir=data_dir, address="auto"))


@pytest.fixture
def dataset(search: Search) -> Dataset:
    return open_data(search.workload)[0]


def refused(
    search: Search, dataset: Dataset, monkeypatch: pytest.MonkeyPatch, **changes: object
) -> str:
    """What is said when a machine answers otherwise than this one; "" if nothing is."""

    def ask(nodes: list, function: object) -> list[Answer]:
        assert nodes == [NODE]
        return [replace(function(), host="gpu1", **changes)]

    monkeypatch.setattr(preflight, "on_machines", ask)
    try:
        check_machines(search, dataset, 0.0, [NODE, NODE | {"Resources": {"CPU": 0.5}}])
    except RequestError as error:
        return str(error)
    return ""


def test_machines_that_agree_are_accepted_and_nothing_is_left(search, dataset, monkeypatch):
    assert refused(search, dataset, monkeypatch) == ""
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"versions": versions() | {"torch": "2.0"}}, "gpu1 has torch 2.0 but this driver has "),
        ({"versions": versions() | {"Python": "3.9.1"}}, "gpu1 has Python 3.9.1 but this driver"),
        ({"sees_storage": False}, "gpu1 does not see "),
        ({"fingerprint": "other"}, "digits differs on gpu1; copy the same data"),
        ({"code": ("other",)}, "the file of a custom network or method differs on gpu1"),
        ({"problem": "/x: there is no such folder"}, "gpu1: /x: there is no such folder"),
    ],
)
def test_a_machine_that_differs_is_named(search, dataset, monkeypatch, changes, sentence):
    assert refused(search, dataset, monkeypatch, **changes).startswith(sentence)


def test_a_machine_tells_what_it_lacks_instead_of_failing(search, tmp_path):
    elsewhere = replace(search.workload, data=f"imagefolder:{tmp_path}/none")
    found = answer(elsewhere, "itrd", search.runs.uri, ".probe")
    assert "none" in found.problem
    own = answer(search.workload, "./none.py", search.runs.uri, ".probe")
    assert "none.py" in own.problem


def test_a_cluster_of_other_versions_is_not_called_absent():
    error = RuntimeError(
        "Version mismatch: The cluster was started with:\n    Ray: 2.40.0\n    Python: 3.10.1\n"
        "This process on node 1 was started with:\n    Ray: 2.60.0\n    Python: 3.11.7\n"
    )
    sentence = refusal("auto", error)
    assert "runs other versions than this driver (Ray: 2.40.0; Python: 3.10.1; " in sentence
    assert "no Ray cluster answers at 'x' (gone)" in refusal("x", ConnectionError("gone"))

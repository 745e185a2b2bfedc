"""Checks the machines of a cluster before a search begins, and finds its resources."""

import platform
import socket
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from tuner.config.method import source_digests
from tuner.config.workload import Workload
from tuner.data import Dataset
from tuner.orchestration.cluster import on_machines, with_gpu_share
from tuner.planning.resources import Resources, fit, resources_for
from tuner.planning.task import Task
from tuner.storage.folder import Storage
from tuner.text.errors import RequestError
from tuner.training.workload_data import open_data

# The results of a trial depend on these.
PACKAGES = ("torch", "torchvision", "numpy", "pillow", "pyarrow")


@dataclass(frozen=True)
class Answer:
    """What a machine returns."""

    host: str
    versions: dict[str, str]
    sees_storage: bool
    fingerprint: str  # of the data
    code: tuple[str, ...]  # digests of the user's own files
    problem: str  # the error that kept it from answering


def find_resources(task: Task, dataset: Dataset) -> Resources:
    """Returns what the running Ray offers a task, after checking the machines of a cluster.

    Raises RequestError if no trial fits, or a machine differs from the driver's.
    """
    import ray

    machines = [node for node in ray.nodes() if node["Alive"]]
    nodes = [node["Resources"] for node in machines]
    request = with_gpu_share(task, nodes)
    resources = resources_for(request, nodes)
    if request.address is not None:
        check_machines(task, dataset, resources.gpus_per_trial, machines)
    return resources


def check_machines(task: Task, dataset: Dataset, gpus: float, nodes: list[Any]) -> None:
    """Asks every machine on which trials will run, all at once.

    A machine prepares data that it lacks. Raises RequestError, naming the machine.
    """
    places = [node for node in nodes if fit(node["Resources"], task.request.cpus_per_trial, gpus)]
    # What a remote function captures is sent with it: only small values.
    workload, space, runs_uri = task.workload, task.space_name, task.runs.uri
    with task.runs.probe() as marker:
        answers = on_machines(places, lambda: answer(workload, space, runs_uri, marker))
    code = tuple(source_digests(workload, space))
    for one in answers:
        problem = _problem(one, task, dataset.fingerprint, code)
        if problem:
            raise RequestError(problem)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages, without build tags ("+cpu")."""
    found = {"Python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package).partition("+")[0]
        except PackageNotFoundError:
            found[package] = "missing"
    return found


def answer(workload: Workload, space: str, runs_uri: str, marker: str) -> Answer:
    """Answers for this machine; runs on it.

    `marker` is a file that the driver has just written to the folder `runs_uri`.
    """
    fingerprint, problem = "", ""
    code: tuple[str, ...] = ()
    try:
        sees_storage = Storage(runs_uri).exists(marker)
        dataset, _ = open_data(workload)
        fingerprint = dataset.fingerprint
        code = tuple(source_digests(workload, space))
    except (ValueError, OSError) as error:  # RequestError and the leaf packages' errors too
        sees_storage, problem = True, str(error)
    return Answer(socket.gethostname(), versions(), sees_storage, fingerprint, code, problem)


def _problem(one: Answer, task: Task, fingerprint: str, code: tuple[str, ...]) -> str:
    here = versions()
    for name, found in one.versions.items():
        if found != here[name]:
            return (
                f"{one.host} has {name} {found} but this driver has {here[name]}; "
                "install the same on all machines (setup_commands in cluster.yaml)"
            )
    if not one.sees_storage:
        return (
            f"{one.host} does not see {task.runs.uri}; give a folder that all machines share, "
            "or a bucket, as --runs-dir"
        )
    if one.problem:
        return f"{one.host}: {one.problem}"
    if one.fingerprint != fingerprint:
        return f"{task.workload.data} differs on {one.host}; copy the same data to all machines"
    if one.code != code:
        return (
            f"the file of a custom network or method differs on {one.host}; "
            "copy the same file to all machines"
        )
    return ""

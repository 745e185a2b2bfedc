"""Connects to a Ray cluster, or starts a local one; runs functions on its machines."""

import logging
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import losses
import models
import search_spaces
import tuner
from tuner.config.environment import settings_of_workers
from tuner.config.options import RunRequest
from tuner.planning.resources import machine_resources
from tuner.planning.task import Task
from tuner.text.errors import RequestError

Result = TypeVar("Result")
Measuring = Callable[[Callable[[], Any]], Any]  # calls a function on a machine that trains


@contextmanager
def ray_for(task: Task) -> Iterator[None]:
    """Joins an existing Ray cluster, or starts one on this machine, while the context lasts.

    Raises RequestError if the cluster cannot be joined.
    """
    import ray

    if ray.is_initialized():
        yield
        return
    from tuner.orchestration.ray_internals import listening_on_loopback

    # The record holds the reason why a trial ended; Ray would print it a second time.
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    request = task.request
    options: dict[str, Any] = {
        "log_to_driver": False,
        "configure_logging": False,
        "namespace": f"tuner-{task.name}",
    }
    if request.address:
        try:
            ray.init(address=request.address, runtime_env=_runtime_env(), **options)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise RequestError(refusal(request.address, error)) from error
    else:
        # A local cluster listens on the loopback address only; Ray's tokens would stay in the
        # home directory and change how later clusters start.
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
        cpus = machine_resources()["CPU"]
        if task.population is not None and request.max_concurrent:
            cpus = min(cpus, request.max_concurrent * request.cpus_per_trial)
        with listening_on_loopback():
            ray.init(
                address="local",
                num_cpus=math.ceil(cpus),
                include_dashboard=False,
                _node_ip_address="127.0.0.1",
                object_store_memory=200_000_000,
                **options,
            )
    try:
        yield
    finally:
        ray.shutdown()


def _runtime_env() -> dict[str, Any]:
    """Makes workers run the driver's own code, with its library settings."""
    packages = (losses, models, search_spaces, tuner)
    return {
        "py_modules": [str(Path(str(package.__file__)).parent) for package in packages],
        "env_vars": settings_of_workers(),
    }


def refusal(address: str, error: Exception) -> str:
    """The error message for a cluster that cannot be reached."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if "ersion mismatch" in str(error):
        found = "; ".join(line for line in lines if line.startswith(("Ray:", "Python:")))
        return (
            f"the cluster at {address!r} runs other versions than this driver "
            f"({found or lines[0]}); install the same Python and Ray on both"
        )
    return (
        f"no Ray cluster answers at {address!r} ({lines[0] if lines else type(error).__name__}); "
        "start one with `ray up cluster.yaml`, or leave out --address"
    )


def with_gpu_share(task: Task, nodes: list[dict[str, float]]) -> RunRequest:
    """The request with the measured share of a GPU that a trial needs."""
    import ray

    from tuner.orchestration.gpu_share import measure_gpu_fraction

    has_gpu = any(node.get("GPU") for node in nodes)
    if task.request.gpus_per_trial is not None or not has_gpu:
        return task.request
    measure = ray.remote(num_gpus=1, max_calls=1)(measure_gpu_fraction)
    try:
        calls = [measure.remote(task.workload, *example) for example in task.examples]
        fraction = max(ray.get(calls))
    except ray.exceptions.RayTaskError:
        fraction = 1.0  # not measurable: each trial gets a whole GPU
    return task.request.model_copy(update={"gpus_per_trial": fraction})


def on_every_machine(task: Task, function: Callable[[], object]) -> None:
    """Calls a function here, or once on each machine of the cluster."""
    import ray

    if task.request.address is None:
        function()
        return
    calls = _call_on([node for node in ray.nodes() if node["Alive"]], function)
    ray.wait(calls, num_returns=len(calls), timeout=60)


def on_machines(nodes: list[dict[str, Any]], function: Callable[[], Result]) -> list[Result]:
    """Calls a function on several machines at once; returns the results in their order.

    Raises RequestError, naming the machine where the call fails.
    """
    import ray

    results = []
    for node, call in zip(nodes, _call_on(nodes, function), strict=True):
        try:
            results.append(ray.get(call))
        except ray.exceptions.RayError as error:
            host = node["NodeManagerHostname"]
            raise RequestError(
                f"{host} cannot run the driver's code ({_last_line(error)}); "
                "install the same packages there, or remove it from the cluster"
            ) from error
    return results


def _last_line(error: Exception) -> str:
    lines = str(getattr(error, "cause", None) or error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__


def _call_on(nodes: list[dict[str, Any]], function: Callable[[], object]) -> list[Any]:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    places = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in nodes]
    return [
        ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=place)(function).remote()
        for place in places
    ]


def where_trials_run(task: Task, gpus: float) -> Measuring:
    """Returns a callable that runs a function where a trial would run: here, or on a worker.

    The callable raises RequestError if its machine is lost.
    """
    import ray

    def call(function: Callable[[], Any]) -> Any:
        if task.request.address is None and not gpus:
            return function()
        cpus = task.request.cpus_per_trial

        @ray.remote(num_cpus=cpus, num_gpus=gpus, max_calls=1)
        def remote() -> Any:
            return function()  # Ray itself takes no partial

        try:
            return ray.get(remote.remote())
        except ray.exceptions.RayTaskError:
            raise  # a bug of ours, with its traceback
        except ray.exceptions.RayError as error:
            raise RequestError(
                f"the machine that was measuring is lost ({_last_line(error)}); "
                "look at the cluster with `ray status`, then run this again"
            ) from error

    return call


def measuring_for(task: Task) -> Measuring:
    """As `where_trials_run`, with a trial's share of a GPU, or one GPU if that is not known."""
    import ray

    gpus = task.request.gpus_per_trial
    if gpus is None:
        gpus = min(1.0, ray.cluster_resources().get("GPU", 0.0))
    return where_trials_run(task, gpus)

"""The machines: a Ray cluster that is there already, or one of our own."""

import logging
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tuner.errors import RequestError
from tuner.orchestration.prepare import Search, machine_resources
from tuner.request import SearchRequest

Measuring = Callable[[Callable[[], Any]], Any]  # calls a function on a machine that trains


@contextmanager
def ray_for(search: Search) -> Iterator[None]:
    """A cluster that is there already, or one of our own on this machine."""
    import ray

    if ray.is_initialized():
        yield
        return
    # Whatever ends a trial is in the record, with its reason; Ray would print it twice.
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    request = search.request
    options: dict[str, Any] = {
        "log_to_driver": False,
        "configure_logging": False,
        "namespace": f"tuner-{search.name}",
    }
    if request.address:
        try:
            ray.init(address=request.address, **options)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise RequestError(
                f"no Ray cluster answers at {request.address!r} ({str(error).splitlines()[0]}); "
                "start one with `ray up cluster.yaml`, or leave out --address"
            ) from error
    else:
        # Our own cluster listens on the loopback address only; Ray's new tokens would
        # stay behind in the home directory and change how later clusters start.
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
        cpus = machine_resources()["CPU"]
        if request.scheduler == "pbt" and request.max_concurrent:
            cpus = min(cpus, request.max_concurrent * request.cpus_per_trial)
        with _on_loopback():
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


@contextmanager
def _on_loopback() -> Iterator[None]:
    """A Ray that starts within listens on the loopback address, with all of its processes.

    By default Ray takes 127.0.0.1 for this machine's address in its network, and listens on all
    of them. Where it cannot form clusters, which this variable is about, it leaves it as it is.
    It is read when Ray is imported, so what was read is set too.
    """
    from ray._private import ray_constants

    name, before = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", ray_constants.ENABLE_RAY_CLUSTER
    was_set = os.environ.get(name)
    os.environ[name], ray_constants.ENABLE_RAY_CLUSTER = "0", False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
        os.environ.pop(name)
        if was_set is not None:
            os.environ[name] = was_set


def with_gpu_share(search: Search, nodes: list[dict[str, float]]) -> SearchRequest:
    """The request with the share of a GPU that a trial needs, measured on one of them."""
    import ray

    from tuner.orchestration.gpu_share import measure_gpu_fraction

    has_gpu = any(node.get("GPU") for node in nodes)
    if search.request.gpus_per_trial is not None or not has_gpu:
        return search.request
    measure = ray.remote(num_gpus=1, max_calls=1)(measure_gpu_fraction)
    try:
        fraction = ray.get(measure.remote(search.workload, search.method, search.published))
    except ray.exceptions.RayTaskError:
        fraction = 1.0  # what cannot be measured gets a GPU of its own
    return search.request.model_copy(update={"gpus_per_trial": fraction})


def on_every_machine(search: Search, function: Callable[[], object]) -> None:
    """Calls a function here, or once on each machine of the cluster."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    if search.request.address is None:
        function()
        return
    places = [
        NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        for node in ray.nodes()
        if node["Alive"]
    ]
    calls = [
        ray.remote(num_cpus=0, scheduling_strategy=place)(function).remote() for place in places
    ]
    ray.wait(calls, num_returns=len(calls), timeout=60)


def where_trials_run(search: Search, gpus: float) -> Measuring:
    """Calls a function where a trial would run: here, or on a machine of the cluster."""
    import ray

    def call(function: Callable[[], Any]) -> Any:
        if search.request.address is None and not gpus:
            return function()
        cpus = search.request.cpus_per_trial
        return ray.get(ray.remote(num_cpus=cpus, num_gpus=gpus, max_calls=1)(function).remote())

    return call

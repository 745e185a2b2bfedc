"""Ray has several words for a process that is gone; Tune knows one, and ends the run at any other.

A trial that Ray's memory monitor ends (`OutOfMemoryError`), or whose machine dies at a certain
moment (`NodeDiedError`), would end the whole search: Tune's actor manager begins a trial again
for a `RayActorError` only, and raises for the others (seen in ray 2.60).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import RayActorError, RayError, RayTaskError


@contextmanager
def begun_again() -> Iterator[None]:
    """While it is open, Tune begins a trial again however its process was lost."""
    stock = RayActorManager._actor_task_failed

    def failed(self: RayActorManager, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, RayError) and not isinstance(
            exception, RayActorError | RayTaskError
        ):
            lines = str(exception).strip().splitlines() or [""]
            exception = RayActorError(error_msg=f"{type(exception).__name__}: {lines[0]}")
        stock(self, tracked_actor_task, exception)

    RayActorManager._actor_task_failed = failed
    try:
        yield
    finally:
        RayActorManager._actor_task_failed = stock

"""What is measured beside the trainings: once, and where trials run.

A file for each in the reproduction's folder, so that a report can be made again without any work.
"""

import json
from collections.abc import Callable
from typing import Any

from tuner.config.run_folder import resume_command
from tuner.orchestration.cluster import where_trials_run
from tuner.reproductions.experiment import Reproduction
from tuner.text.errors import RequestError

FOLDER = "measured"
Measured = dict[str, Any]  # as JSON has it


class NotMeasuredError(RequestError):
    """A report is wanted of what is not measured yet."""


class Measurer:
    """Reads what was measured before under a name, or measures it."""

    def __init__(self, reproduction: Reproduction, *, only_read: bool = False) -> None:
        self._reproduction, self._only_read = reproduction, only_read

    def __call__(self, name: str, function: Callable[[], Measured]) -> Measured:
        """`function` may be called on another machine. Raises NotMeasuredError if only reading."""
        storage = self._reproduction.storage
        file = f"{FOLDER}/{name}.json"
        try:
            content: Measured = json.loads(storage.read(file))
        except (FileNotFoundError, ValueError):
            if self._only_read:
                raise NotMeasuredError(
                    f"{name} is not measured yet; resume with `{resume_command(storage)}`"
                ) from None
            content = self._call(function)
            storage.write(file, json.dumps(content).encode())
        return content

    def _call(self, function: Callable[[], Measured]) -> Measured:
        if not self._reproduction.tasks:  # nothing is trained, so there are no other machines
            return function()
        import ray

        (task, *_), gpus = self._reproduction.tasks, 0.0
        if task.request.gpus_per_trial is not None:
            gpus = task.request.gpus_per_trial
        elif ray.is_initialized():
            gpus = min(1.0, ray.cluster_resources().get("GPU", 0.0))
        measured: Measured = where_trials_run(task, gpus)(function)
        return measured

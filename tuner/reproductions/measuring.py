"""Measures what an artefact needs beside trainings, once, and keeps each result as JSON."""

import json
from collections.abc import Callable
from typing import Any

from tuner.config.run_folder import resume_command
from tuner.storage.folder import Storage
from tuner.text.errors import RequestError

FOLDER = "measured"
Measured = dict[str, Any]  # as JSON holds it
CallFunction = Callable[[Callable[[], Measured]], Measured]


class NotMeasuredError(RequestError):
    """A report needs a measurement that has not been made yet."""


class Measurer:
    """Returns the earlier measurement of a name, or makes it."""

    def __init__(self, storage: Storage, call: CallFunction | None) -> None:
        """`storage`: the reproduction's folder.

        `call` runs a function where trials run; None: earlier measurements are only read.
        """
        self._storage, self._call = storage, call

    def __call__(self, name: str, function: Callable[[], Measured]) -> Measured:
        """Raises NotMeasuredError where it may only read and there is nothing to read."""
        file = f"{FOLDER}/{name}.json"
        try:
            content: Measured = json.loads(self._storage.read(file))
        except (FileNotFoundError, ValueError):
            if self._call is None:
                raise NotMeasuredError(
                    f"{name} is not measured yet; resume with `{resume_command(self._storage)}`"
                ) from None
            content = self._call(function)
            self._storage.write(file, json.dumps(content).encode())
        return content

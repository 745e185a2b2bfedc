"""Rebuilds the report of a reproduction from its folder, without training or measuring."""

import json

from tuner.config.command_line import read_started
from tuner.config.options import ReproduceRequest
from tuner.config.run_folder import resume_command
from tuner.reproductions.catalogue import CATALOGUE
from tuner.reproductions.measuring import Measurer
from tuner.reproductions.page import write_report
from tuner.reproductions.planning import plan_reproduction
from tuner.reproductions.results import results_of
from tuner.reproductions.running import LEFT_OUT_FILE, without
from tuner.results.tables import read_record
from tuner.storage.folder import SEARCH_FILE, Storage
from tuner.text.errors import RequestError


def rebuild_artefact(name: str, runs: Storage) -> str:
    """Writes the report from what is finished so far; returns the page's path.

    Raises RequestError where no training has begun, and NotMeasuredError where the artefact needs
    a measurement that has not been made.
    """
    storage, request = runs.sub(name), read_started(ReproduceRequest, runs, name)
    if request.reproduction not in CATALOGUE:
        path = storage.path(SEARCH_FILE)
        raise RequestError(f"{path}: unknown reproduction {request.reproduction!r}; correct it")
    entry = CATALOGUE[request.reproduction]
    planned = plan_reproduction(entry.experiment, request)
    reproduction = without(planned, json.loads(storage.read(LEFT_OUT_FILE)))
    records = {
        pair: read_record(task.storage)
        for pair, task in reproduction.tasks_by_pair.items()
        if task.storage.exists(SEARCH_FILE)
    }
    if reproduction.tasks and not records:
        raise RequestError(
            f"no training of {name!r} has begun; start it with `{resume_command(storage)}`"
        )
    results = results_of(reproduction, records, Measurer(storage, None))
    return write_report(results, entry.artefact(results))[0]

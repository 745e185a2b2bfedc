"""The report of a reproduction again, as far as it is, without training or measuring."""

import json

from tuner.config.command_line import read_request
from tuner.config.options import ReproduceRequest
from tuner.config.run_folder import resume_command
from tuner.config.yaml_file import parse_yaml
from tuner.reproductions import EXPERIMENTS
from tuner.reproductions.measuring import Measurer
from tuner.reproductions.page import write_report
from tuner.reproductions.planning import plan_reproduction
from tuner.reproductions.results import results_of
from tuner.reproductions.running import LEFT_OUT_FILE, without
from tuner.results.tables import read_record
from tuner.storage.folder import SEARCH_FILE, Storage
from tuner.text.errors import RequestError


def rebuild_report(name: str, runs: Storage) -> str:
    """Returns the page's path.

    Raises RequestError where no training has begun, or what the artefact needs is not measured.
    """
    storage = runs.sub(name)
    path = storage.path(SEARCH_FILE)
    given = parse_yaml(path, storage.read(SEARCH_FILE)) | {"name": name, "runs_dir": runs.uri}
    request = read_request(ReproduceRequest, {}, base=given)
    if request.reproduction not in EXPERIMENTS:
        raise RequestError(f"{path}: there is no reproduction {request.reproduction!r}; correct it")
    planned = plan_reproduction(EXPERIMENTS[request.reproduction], request)
    reproduction = without(planned, json.loads(storage.read(LEFT_OUT_FILE)))
    records = {
        pair: read_record(task.storage)
        for pair, task in zip(reproduction.experiment.pairs, reproduction.tasks, strict=False)
        if task.storage.exists(SEARCH_FILE)
    }
    if reproduction.tasks and not records:
        raise RequestError(
            f"no training of {name!r} has begun; start it with `{resume_command(storage)}`"
        )
    measurer = Measurer(reproduction, only_read=True)
    return write_report(results_of(reproduction, records, measurer))[0]

"""The folder of a run: its request as YAML, the command that resumes it, where MLflow's files go.

A run is a search, a comparison of methods or a reproduction. A folder's name and place are not
in its files, so that it can be moved and renamed.
"""

import shlex

import yaml

from tuner.config.options import OPERATIONAL, ReproduceRequest, RunRequest
from tuner.config.yaml_file import parse_yaml
from tuner.storage.folder import SEARCH_FILE, Storage
from tuner.text.errors import RequestError
from tuner.text.secrets import has_secret, shown


def request_yaml(request: RunRequest) -> bytes:
    """The request as YAML for --config; without an address of MLflow that holds a secret."""
    left_out = {"name", "runs_dir"}
    if request.tracking_uri and has_secret(request.tracking_uri):
        left_out.add("tracking_uri")
    content = request.model_dump(mode="json", exclude_none=True, exclude=left_out)
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode()


def is_reproduction(storage: Storage) -> bool:
    """Whether a folder is that of a reproduction which has started."""
    if not storage.exists(SEARCH_FILE):
        return False
    try:
        request = parse_yaml(storage.path(SEARCH_FILE), storage.read(SEARCH_FILE))
    except RequestError:  # damaged: whoever needs its content reports that
        return False
    return "reproduction" in request


def resume_command(storage: Storage, request: RunRequest | None = None) -> str:
    """The shell command that resumes the run in a folder, or repeats a finished reproduction.

    `request`: options that are not read from the folder are repeated from it: the cluster of
    this session, and the address of MLflow, in which the user puts the secret again.
    """
    parent = Storage(storage.parent_uri)
    if is_reproduction(parent):  # `storage` is one of its pairs, which all resume together
        storage = parent
    if isinstance(request, ReproduceRequest) or is_reproduction(storage):
        words = ["reproduce", "--config", storage.path(SEARCH_FILE), "--name", storage.name]
    else:
        words = ["search", "--resume", storage.name]
    words += ["--runs-dir", storage.parent_uri]
    if request is not None and request.address:
        words += ["--address", request.address]
    if request is not None and request.tracking_uri and has_secret(request.tracking_uri):
        words += ["--tracking-uri", shown(request.tracking_uri)]
    return shlex.join(["python", "-m", f"tuner.{words[0]}", *words[1:]])


def check_unchanged(name: str, started: RunRequest, now: RunRequest, remedy: str) -> None:
    """Raises RequestError if an option that results depend on is not what a run started with."""
    for option in type(now).model_fields:
        before, after = getattr(started, option), getattr(now, option)
        if option not in OPERATIONAL and before != after:
            raise RequestError(
                f"{option} is {_given(after)} but {name} began with {_given(before)}; {remedy}"
            )


def _given(value: object) -> str:
    return "not given" if value is None else repr(value)


def default_tracking_uri(runs: Storage, data_dir: str) -> str:
    """SQLite in the runs folder; in the data folder if the runs are in an object store."""
    return f"sqlite:///{_local_folder(runs, data_dir)}/mlflow.db"


def artifact_folder(runs: Storage, data_dir: str) -> str:
    """Where MLflow keeps files if it is a database without a server."""
    return f"{_local_folder(runs, data_dir)}/mlartifacts"


def _local_folder(runs: Storage, data_dir: str) -> str:
    return runs.base if runs.is_local else data_dir

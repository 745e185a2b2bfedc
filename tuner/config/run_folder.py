"""What a folder of runs is, and what a person types to go on with a reproduction."""

import shlex

import yaml

from tuner.config.options import ReproduceRequest, RunRequest
from tuner.config.yaml_file import parse_yaml
from tuner.storage.folder import SEARCH_FILE, Storage
from tuner.text.errors import RequestError
from tuner.text.secrets import has_secret


def is_reproduction(storage: Storage) -> bool:
    """Whether a folder is a reproduction's: it has been begun, and names its experiment."""
    if not storage.exists(SEARCH_FILE):
        return False
    try:
        request = parse_yaml(storage.path(SEARCH_FILE), storage.read(SEARCH_FILE))
    except RequestError:  # damaged: whoever needs what is in it says so
        return False
    return "reproduction" in request


def reproduce_command(storage: Storage) -> str:
    """What makes a reproduction go on, or makes it again; `storage`: its own folder."""
    name = storage.base.rpartition("/")[2]
    words = ["python", "-m", "tuner.reproduce", "--config", storage.path(SEARCH_FILE)]
    return shlex.join([*words, "--name", name, "--runs-dir", storage.parent_uri])


def search_yaml(request: RunRequest) -> bytes:
    """The resolved request, to be fed back with --config; a folder's name is not in its files."""
    left_out = {"name", "runs_dir"}
    if request.tracking_uri and has_secret(request.tracking_uri):
        left_out.add("tracking_uri")
    content = request.model_dump(mode="json", exclude_none=True, exclude=left_out)
    return yaml.safe_dump(content, sort_keys=False).encode()


def default_tracking_uri(runs: Storage, data_dir: str) -> str:
    """SQLite beside the searches; for searches in an object store, beside the data."""
    return f"sqlite:///{runs.base if runs.is_local else data_dir}/mlflow.db"


def artifact_folder(runs: Storage, data_dir: str) -> str:
    """Where files of runs are kept for a database that no server stands before."""
    return f"{runs.base if runs.is_local else data_dir}/mlartifacts"


def request_yaml(request: ReproduceRequest) -> bytes:
    """The request, to be fed back with --config; a folder's name is not in its files."""
    left_out = {"name", "runs_dir"}
    if request.tracking_uri and has_secret(request.tracking_uri):
        left_out.add("tracking_uri")
    content = request.model_dump(mode="json", exclude_defaults=True, exclude=left_out)
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode()

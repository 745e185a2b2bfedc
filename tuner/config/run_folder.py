"""What a folder of runs is, and what a person types to go on with a reproduction."""

import shlex

from tuner.config.command_line import parse_yaml
from tuner.storage.folder import SEARCH_FILE, Storage
from tuner.text.errors import RequestError


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

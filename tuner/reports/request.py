"""Reads what a search was asked to do from search.yaml, and puts it in words for reports.

A folder of an earlier version may lack some options, so a request here is a plain dict.
"""

from collections.abc import Mapping
from typing import Any

from search_spaces import Space, load_space
from tuner.config.yaml_file import parse_yaml
from tuner.storage.folder import SEARCH_FILE, Storage
from tuner.text.errors import RequestError
from tuner.text.formatting import count_text, value_text


def read_request_of(storage: Storage) -> tuple[str, dict[str, Any]]:
    """search.yaml, as text and as values. Raises RequestError if it is missing or damaged."""
    path = storage.path(SEARCH_FILE)
    try:
        text = storage.read(SEARCH_FILE).decode(errors="replace")
    except FileNotFoundError as error:
        raise RequestError(f"{path} is missing; give the folder of a search") from error
    request = parse_yaml(path, text)
    # null and absent mean the same.
    return text, {name: value for name, value in request.items() if value is not None}


def metric_of(request: Mapping[str, Any]) -> str:
    """The name of the accuracy that ranks trials."""
    return f"{request.get('select_on', 'val')}_accuracy"


def axis_of(request: Mapping[str, Any]) -> str:
    """The same accuracy, as a figure's axis names it."""
    return "test accuracy" if is_selected_on_test(request) else "validation accuracy"


def is_selected_on_test(request: Mapping[str, Any]) -> bool:
    """Whether the test set ranked the trials, so that test accuracies are optimistic."""
    return request.get("select_on") == "test"


def space_of(request: Mapping[str, Any]) -> Space:
    """The space that was searched. Raises SpaceError if it can no longer be read."""
    space = load_space(str(request.get("space", "")))
    if "epochs" in request:
        space = space.for_epochs(request["epochs"])
    return space.narrow(request.get("set") or {})


def workload_text(request: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Data, networks, schedule and search as (name, value), those that the request has."""
    teacher, _, checkpoint = str(request.get("teacher", "")).partition("@")
    data = str(request.get("data", ""))
    if "limit" in request:
        data += f", {count_text(request['limit'], 'training image')}"
    if "validation_fraction" in request:
        share = value_text(100.0 * request["validation_fraction"])
        data += f", {share} % of the training set held out for validation"
    ranked = (
        "the test set (the papers' protocol; the accuracies below are optimistic)"
        if is_selected_on_test(request)
        else "the validation split; the test set is read only after the final trainings"
    )
    algorithm = f"{request.get('algo', 'tpe')} with {request.get('scheduler', 'asha')}"
    values = [
        ("Data", data),
        ("Teacher", teacher + (f", from {checkpoint}" if checkpoint else "")),
        ("Student", str(request.get("student", ""))),
        ("Schedule", _schedule(request)),
        ("Search", f"{request.get('space', '')}, {algorithm}, seed {request.get('seed', 0)}"),
        ("Ranked on", ranked),
    ]
    return [(name, value) for name, value in values if value]


def _schedule(request: Mapping[str, Any]) -> str:
    parts = [count_text(request["epochs"], "epoch")] if "epochs" in request else []
    if "batch_size" in request:
        parts.append(f"batches of {request['batch_size']}")
    if "lr" in request:
        parts.append(f"learning rate {value_text(request['lr'])}")
    return ", ".join(parts)

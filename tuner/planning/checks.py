"""Checks of a request that need no training."""

import re

from tuner.config.method import source_digests
from tuner.data import Dataset
from tuner.planning.task import Task
from tuner.results.journal import COPY_FILE, JOURNAL_FILE
from tuner.results.ledger import FOLDER as LEDGER_FOLDER
from tuner.results.record import Record
from tuner.results.trial import DONE, TEACHER
from tuner.storage.folder import SEARCH_FILE
from tuner.text.errors import RequestError


def check_name(name: str) -> None:
    """Raises RequestError for a name that could not be a folder's."""
    if not re.fullmatch(r"[\w+=@%][\w+=@% .,:-]{0,99}", name):
        raise RequestError(
            f"the name {name!r} is no good as a folder's; use up to 100 letters, digits, - and _"
        )
    if name == LEDGER_FOLDER:
        raise RequestError(
            f"{name!r} is the folder of all searches' finished trainings; choose another --name"
        )


def check_storage(search: Task) -> None:
    """Raises RequestError for a search that exists, or a folder that cannot be written."""
    if search.storage.exists(SEARCH_FILE):
        raise RequestError(
            f"a search named {search.name!r} exists in {search.runs.uri}; "
            f"resume it with --resume {search.name} or choose another --name"
        )
    names = {*search.storage.folders(), *search.storage.files("")}
    # A kill before the request was written leaves an empty journal.
    if any(name not in (JOURNAL_FILE, COPY_FILE) and name[0] != "." for name in names):
        raise RequestError(
            f"{search.storage.uri} holds files of something else; choose another --name"
        )
    search.runs.check_writable()


def check_teacher(search: Task, record: Record, digest: str | None) -> None:
    """Raises RequestError where a resumed search cannot have the teacher that it began with.

    `digest` is of the teacher's weights, None where there is no whole copy of them.
    """
    began_with = record.header.get("teacher")
    if digest is not None and began_with not in (None, digest):
        raise RequestError(
            f"the teacher has changed since {search.name} began; restore it, or start a new search"
        )
    trained = record.trials.get(TEACHER)
    if digest is None and (began_with or (trained is not None and trained.status == DONE)):
        raise RequestError(
            f"the teacher of {search.name} is damaged, and there is no other copy; "
            "restore teacher.pt, or start a new search"
        )


def check_resumed(search: Task, record: Record, dataset: Dataset) -> None:
    """Raises RequestError where space or data are no longer what the search began with."""
    if not record.header:
        return
    code = source_digests(search.workload, search.custom_method)
    for name, what, now in (
        ("space", search.request.space, search.identity),
        ("data", search.workload.data, dataset.fingerprint),
    ):
        if record.header[name] != now:
            raise RequestError(
                f"the {name} {what} has changed since {search.name} began; "
                "restore it, or start a new search"
            )
    if record.header.get("code", code) != code:
        raise RequestError(
            f"a network's or method's own file has changed since {search.name} began; "
            "restore it, or start a new search"
        )
    if "code" not in record.header:
        raise RequestError(
            f"{search.name} was begun with an earlier version, which cannot be resumed; "
            "start a new search"
        )

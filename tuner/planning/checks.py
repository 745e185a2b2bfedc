"""Checks a request before anything is trained."""

import inspect
import re

from losses import COMMON, DistillationLoss
from search_spaces import Space
from search_spaces.wording import list_of
from tuner.config.method import source_digests
from tuner.config.options import SearchRequest
from tuner.data import Dataset
from tuner.planning.rungs import longest_trial
from tuner.planning.sampler import FULL_LENGTH_ONLY
from tuner.planning.task import Task
from tuner.results.journal import JOURNAL_FILE
from tuner.results.ledger import FOLDER as LEDGER_FOLDER
from tuner.results.record import Record
from tuner.results.trial import DONE, TEACHER
from tuner.storage.folder import SEARCH_FILE, Storage
from tuner.text.errors import RequestError


def check_name(name: str) -> None:
    """Raises RequestError for a name that is not a valid folder name."""
    if not re.fullmatch(r"[\w+=@%][\w+=@% .,:-]{0,99}", name):
        raise RequestError(
            f"{name!r} is not a valid folder name; use up to 100 letters, digits, - and _"
        )
    if name == LEDGER_FOLDER:
        raise RequestError(f"{name!r} is reserved for the ledger; choose another --name")


def check_is_new(name: str, runs: Storage) -> None:
    """Raises RequestError if the folder of all searches, `runs`, has a search of this name."""
    if runs.sub(name).exists(SEARCH_FILE):
        raise RequestError(
            f"a search named {name!r} exists in {runs.uri}; "
            f"resume it with --resume {name} or choose another --name"
        )


def check_storage(task: Task) -> None:
    """Raises RequestError if the search exists already or its folder cannot be written."""
    check_is_new(task.name, task.runs)
    names = {*task.storage.folders(), *task.storage.files("")}
    # A kill before the request was written leaves an empty journal.
    if any(name != JOURNAL_FILE and name[0] != "." for name in names):
        raise RequestError(f"{task.storage.uri} already holds other files; choose another --name")
    task.runs.check_writable()


def check_resumed(task: Task, record: Record, dataset: Dataset) -> None:
    """Raises RequestError if the task, its data or its code changed since the search began."""
    if not record.is_open:
        return
    began, code = record.header, tuple(source_digests(task.workload, task.space_name))
    for what, before, now in (
        (f"the space {', '.join(task.methods)}", began.task, task.identity),
        (f"the data {task.workload.data}", began.data, dataset.fingerprint),
        ("the file of a custom network or method", began.code, code),
    ):
        if before != now:
            raise RequestError(
                f"{what} has changed since {task.name} began; restore it, or start a new search"
            )


def check_teacher(task: Task, record: Record, digest: str | None) -> None:
    """Raises RequestError if the teacher that a resumed search began with has changed or is lost.

    `digest`: of the teacher's weights; None if there is no intact copy of them.
    """
    began_with = record.header.teacher if record.is_open else None
    if digest is not None and began_with not in (None, digest):
        raise RequestError(
            f"the teacher has changed since {task.name} began; restore it, or start a new search"
        )
    trained = record.trials.get(TEACHER)
    if digest is None and (began_with or (trained is not None and trained.status == DONE)):
        raise RequestError(
            f"the teacher of {task.name} is damaged, and there is no other copy; "
            "restore teacher.pt, or start a new search"
        )


def check_hyperparameters(place: str, space: Space, method: type[DistillationLoss]) -> None:
    """Raises RequestError unless the space declares exactly the loss's hyperparameters."""
    own = list(inspect.signature(method).parameters)[2:]  # after student and teacher
    known = {*own, *COMMON}
    declared = {parameter.name for parameter in space.params}
    if declared - known:
        raise RequestError(
            f"{place}: {space.method} has no hyperparameter {list_of(sorted(declared - known))}; "
            f"known: {list_of(sorted(known))}"
        )
    if known - declared:
        raise RequestError(
            f"{place}: {space.method} also needs {list_of(sorted(known - declared))}; "
            "declare it, as Fixed(NAME, VALUE) if it is not searched, "
            "ce_weight, kd_weight and temperature with *common()"
        )


def check_combination(request: SearchRequest, num_trials: int) -> None:
    """Raises RequestError for options that contradict each other."""
    early = request.scheduler != "none"
    if request.deterministic and early and request.max_concurrent != 1:
        raise RequestError(
            "deterministic needs --scheduler none or --max-concurrent 1: "
            "a scheduler's decisions depend on which trial reports first"
        )
    if request.algo != "priorband" and (request.prior is not None or request.prior_strength != 1):
        raise RequestError(
            f"{request.algo} knows no prior; leave out --prior and --prior-strength, or use "
            "--algo priorband"
        )
    if request.algo in FULL_LENGTH_ONLY and request.scheduler not in ("none", "pbt"):
        raise RequestError(
            f"{request.algo} learns only from trials that ran to the end, and {request.scheduler} "
            "stops most of them; use --scheduler none or --algo tpe"
        )
    if request.scheduler == "pbt" and request.algo not in ("random", "tpe"):
        raise RequestError(
            f"pbt perturbs the settings itself, so --algo {request.algo} has no effect; "
            "use --algo random"
        )
    if request.scheduler == "pbt" and num_trials < 4:
        raise RequestError(
            f"trials is {num_trials} but pbt needs a population; use --trials 4 or more"
        )
    if request.scheduler == "pbt" and request.address and request.max_concurrent:
        raise RequestError(
            "pbt trains its whole population at the same time; leave out --max-concurrent"
        )


def check_epoch_budget(request: SearchRequest, scheduler: str, epochs: int) -> None:
    """Raises RequestError if not even one trial fits into the epochs."""
    needed = longest_trial(scheduler, epochs)
    if request.epoch_budget is not None and request.epoch_budget < needed:
        raise RequestError(
            f"epoch_budget is {request.epoch_budget} but one trial may train for {needed} epochs; "
            "raise it with --epoch-budget, or lower --epochs"
        )

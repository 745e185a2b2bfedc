"""The report of a search, rebuilt at any time from three files of its folder: search.yaml,
trials.parquet and epochs.parquet.
"""

import shlex
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from search_spaces import Space, SpaceError, load_space
from tuner.config.yaml_file import parse_yaml
from tuner.reports import accuracy_figures
from tuner.reports import hyperparameter_figures as figures
from tuner.reports.document import Document, Facts, Figure, Table, Text
from tuner.reports.page import write_document
from tuner.reports.settings import Row, compare
from tuner.reports.statistics import accuracy_text, difference_text
from tuner.reports.study import study_of
from tuner.reports.summary import axis_of, findings, is_interrupted, metric_of, workload_text
from tuner.results.record import Record, winner
from tuner.results.tables import read_tables, seconds_of, trials_table
from tuner.results.trial import FAILED, FINAL, SEARCH, Setting, Trial
from tuner.storage.folder import SEARCH_FILE, Storage
from tuner.text.errors import RequestError
from tuner.text.formatting import NOTHING, duration_text, percent_text, setting_text, value_text
from tuner.text.secrets import without_secrets

ON_TEST_LABEL = (
    "Settings were selected on the test set (the papers' protocol). Accuracies on it are"
    " optimistic and not comparable with those of a search that holds the test set back."
)


def write_report(storage: Storage) -> str:
    """Writes the report into a search's folder and returns the page's path.

    Raises RequestError where one of the three files is missing or damaged.
    """
    record = read_tables(storage)
    text, request = read_request_of(storage)
    return write_document(storage, _document(storage, record, text, request))


def read_request_of(storage: Storage) -> tuple[str, dict[str, Any]]:
    """search.yaml, as text and as values. Raises RequestError where it is missing or damaged."""
    path = storage.path(SEARCH_FILE)
    try:
        text = storage.read(SEARCH_FILE).decode(errors="replace")
    except FileNotFoundError as error:
        raise RequestError(f"{path} is missing; give the folder of a search") from error
    request = parse_yaml(path, text)
    # What was not asked for may be written as null; it is the same as left out.
    return text, {name: value for name, value in request.items() if value is not None}


def _document(storage: Storage, record: Record, text: str, request: dict[str, Any]) -> Document:
    metric, axis = metric_of(request), axis_of(request)
    best, rows = winner(record, metric), compare(record)
    space, problem = _space(request)
    finals = record.trials_of(FINAL)
    groups = {row.label: [t for t in finals if t.setting_label == row.label] for row in rows}
    what = "Continue" if is_interrupted(record, request) else "Repeat"
    return Document(
        title=str(request.get("name") or storage.base.rpartition("/")[2]),
        labels=[ON_TEST_LABEL] if request.get("select_on") == "test" else [],
        findings=findings(record, request, rows, best),
        parts=[
            Facts("Workload", workload_text(request)),
            _comparison(rows, is_optimistic=request.get("select_on") == "test"),
            *([accuracy_figures.final_accuracies(groups)] if finals else []),
            _hyperparameters(record, space, best),
            *([accuracy_figures.final_curves(record, metric, axis)] if finals else []),
            accuracy_figures.search_curves(record, best, metric, axis),
            *_search_figures(record, space, problem, metric, axis),
            _trials(record, best, metric, axis),
            *([_finals(record)] if finals else []),
            *_failed(record),
            Text(f"{what} this search", [_command(storage, record, request)], is_code=True),
            Text(
                "search.yaml: everything that was asked for, with every value resolved",
                [without_secrets(text)],
                is_code=True,
                is_folded=True,
            ),
        ],
    )


def _space(request: dict[str, Any]) -> tuple[Space | None, str]:
    """The space that was searched, or why there is none any more."""
    try:
        space = load_space(str(request.get("space", "")))
        if "epochs" in request:
            space = space.for_epochs(request["epochs"])
        return space.narrow(request.get("set") or {}), ""
    except SpaceError as error:
        return None, f"The search space cannot be read any more: {error}."


def _search_figures(
    record: Record, space: Space | None, problem: str, metric: str, axis: str
) -> list[Figure]:
    """The figures of the hyperparameters, or one line that says why there are none."""
    if space is not None:
        try:
            study = study_of(record, space, metric)
        except (KeyError, ValueError) as error:
            problem = f"The trials do not fit the search space any more: {error}."
        else:
            return [
                figures.slices(study, axis),
                figures.importances(study, axis),
                figures.parallel_coordinates(study, axis),
                figures.contour(study, axis),
            ]
    return [Figure("slices", f"Hyperparameters and {axis}", problem)]


def _comparison(rows: list[Row], *, is_optimistic: bool) -> Table:
    selected = ", selected on it" if is_optimistic else ""
    return Table(
        name="comparison",
        title="Comparison",
        headings=(
            "setting",
            "method",
            "seeds",
            "validation accuracy (%)",
            f"test accuracy (%){selected}",
            "minus plain (points)",
            "minus published (points)",
        ),
        rows=[
            (
                row.label,
                "" if row.label == "teacher" else row.method,
                f"{row.num_seeds} ({row.num_failed} failed)"
                if row.num_failed
                else f"{row.num_seeds}",
                accuracy_text(row.val_accuracy),
                accuracy_text(row.test_accuracy),
                difference_text(row.to_plain),
                difference_text(row.to_published),
            )
            for row in rows
        ],
        data=_comparison_data(rows),
        note=(
            "Final trainings at full length, with seeds that the search has not used: mean ±"
            " standard deviation over seeds at the last epoch. Differences are in test accuracy,"
            " paired by seed, with their 95 % t-intervals; an interval that holds 0 is within"
            " noise. The seeds did not choose the tuned setting, so its intervals need no"
            " correction for its having been the best of many trials."
            if rows
            else "No final training has begun."
        ),
        num_text_columns=2,
    )


def _comparison_data(rows: list[Row]) -> pa.Table:
    columns: dict[str, list[Any]] = {
        "setting": [row.label for row in rows],
        "method": [row.method for row in rows],
        "hyperparameters": [setting_text(row.setting) for row in rows],
        "num_seeds": [row.num_seeds for row in rows],
        "num_failed": [row.num_failed for row in rows],
    }
    return pa.table(columns | numbers_of(rows, ("to_plain", "to_published")))


def numbers_of(
    rows: Sequence[Any],
    differences: Sequence[str],
    accuracies: Sequence[str] = ("val_accuracy", "test_accuracy"),
) -> dict[str, pa.Array]:
    """Columns of accuracies in percent and of differences in points, with their intervals."""
    fields = [
        *((name, field) for name in accuracies for field in ("mean", "std")),
        *((name, field) for name in differences for field in ("mean", "low", "high")),
    ]
    return {
        f"{name}_{field}": pa.array(
            [getattr(getattr(row, name), field, None) for row in rows], pa.float64()
        )
        for name, field in fields
    }


def _hyperparameters(record: Record, space: Space | None, best: Trial | None) -> Table:
    """Tuned beside published and what was searched; a row a hyperparameter."""
    published: Setting = next(
        (trial.setting for trial in record.trials.values() if trial.setting_label == "published"),
        {},
    )
    if not published and space is not None:
        published = space.published()
    tuned: Setting = best.setting if best is not None else {}
    searched = {row["name"]: row for row in space.table()} if space is not None else {}
    names = list(dict.fromkeys([*searched, *published, *tuned]))
    differs = {
        number
        for number, name in enumerate(names)
        if best is not None and tuned.get(name) != published.get(name)
    }
    return Table(
        name="hyperparameters",
        title="Hyperparameters",
        headings=("hyperparameter", "searched", "scale", "applies when", "tuned", "published"),
        rows=[
            (
                name,
                str(searched.get(name, {}).get("range", NOTHING)),
                str(searched.get(name, {}).get("scale", "")),
                str(searched.get(name, {}).get("when", "")),
                _value(tuned.get(name)),
                _value(published.get(name)),
            )
            for name in names
        ],
        note=(
            "Tuned is the winner of the search; bold is what differs from published. A dash means"
            " that it does not apply, or is left to the method."
            if names
            else "No hyperparameters."
        ),
        num_text_columns=4,
        emphasised=frozenset(differs),
    )


def _trials(record: Record, best: Trial | None, metric: str, axis: str) -> Table:
    trials = sorted(record.trials_of(SEARCH), key=lambda trial: _order(trial, metric))
    varied, constant = _varied(trials)
    same = f" The same in every trial: {_constants(constant)}." if constant else ""
    return Table(
        name="trials",
        title="Trials of the search",
        headings=("trial", "status", "reason", f"{axis} (%)", "epochs", "time", *varied),
        rows=[
            (
                f"{trial.name} ({trial.setting_label})" if trial.setting_label else trial.name,
                trial.status,
                trial.reason,
                percent_text(trial.last(metric)),
                _epochs(trial),
                duration_text(seconds_of(trial)),
                *(_value(trial.setting.get(name)) for name in varied),
            )
            for trial in trials
        ],
        data=_numbers(record, trials),
        note=(
            "Accuracy at the last epoch, one seed each. Full-length trials come first, the best on"
            f" top; shorter ones, in grey, are not ranked against them.{same}"
            if trials
            else "No trial has begun."
        ),
        num_text_columns=3,
        emphasised=frozenset(n for n, trial in enumerate(trials) if trial is best),
        faint=frozenset(n for n, trial in enumerate(trials) if not trial.is_full_length),
    )


def _finals(record: Record) -> Table:
    trials = record.trials_of(FINAL)
    return Table(
        name="final-trainings",
        title="Final trainings",
        headings=(
            "training",
            "status",
            "seed",
            "validation accuracy (%)",
            "test accuracy (%)",
            "epochs",
            "time",
        ),
        rows=[
            (
                trial.name,
                trial.status,
                str(trial.seed),
                percent_text(trial.last("val_accuracy")),
                percent_text(trial.last("test_accuracy")),
                _epochs(trial),
                duration_text(seconds_of(trial)),
            )
            for trial in trials
        ],
        data=_numbers(record, trials),
        num_text_columns=2,
        faint=frozenset(n for n, trial in enumerate(trials) if not trial.is_full_length),
    )


def _failed(record: Record) -> list[Table]:
    failed = [trial for trial in record.trials.values() if trial.status == FAILED]
    rows = [(trial.name, trial.reason or "no reason recorded", _epochs(trial)) for trial in failed]
    headings = ("training", "reason", "epochs")
    return [Table("failed", "Failed", headings, rows, num_text_columns=2)] if failed else []


def _numbers(record: Record, trials: list[Trial]) -> pa.Table:
    """The rows of trials.parquet that are theirs, in their order."""
    places = {name: number for number, name in enumerate(record.trials)}
    order = pa.array([places[trial.name] for trial in trials], pa.int64())
    return trials_table(record).take(order)


def _epochs(trial: Trial) -> str:
    return f"{len(trial.epochs)} of {trial.num_epochs}"


def _value(value: Any) -> str:
    return NOTHING if value is None else value_text(value)


def _constants(setting: Setting) -> str:
    return ", ".join(f"{name} {_value(value)}" for name, value in setting.items())


def _varied(trials: list[Trial]) -> tuple[list[str], Setting]:
    """Hyperparameters that differ between trials, and the values of those that do not."""
    names = dict.fromkeys(name for trial in trials for name in trial.setting)
    values = {name: {trial.setting.get(name) for trial in trials} for name in names}
    varied = [name for name in names if len(values[name]) > 1]
    return varied, {name: values[name].pop() for name in names if name not in varied}


def _order(trial: Trial, metric: str) -> tuple[bool, bool, int, float]:
    """Full-length trials first, best first; then the others, the longest first."""
    return (
        not trial.is_full_length,
        trial.status == FAILED,
        -len(trial.epochs),
        -(trial.last(metric) or 0.0),
    )


def _command(storage: Storage, record: Record, request: dict[str, Any]) -> str:
    runs, name = storage.parent_uri, storage.base.rpartition("/")[2]
    if is_interrupted(record, request):
        return shlex.join(["python", "-m", "tuner.search", "--resume", name, "--runs-dir", runs])
    path = storage.path(SEARCH_FILE)
    return shlex.join(["python", "-m", "tuner.search", "--config", path, "--name", f"{name}-again"])

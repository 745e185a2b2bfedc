"""The tables of a search's report: settings compared, hyperparameters, trials, failures."""

from typing import Any

import pyarrow as pa

from search_spaces import Setting, Space
from tuner.reports.document import Table
from tuner.reports.settings import Row
from tuner.reports.statistics import accuracy_text, columns_of, difference_text
from tuner.results.record import Record
from tuner.results.tables import trials_table
from tuner.results.trial import FAILED, FINAL, PUBLISHED, SEARCH, TEACHER, Trial, varied_names
from tuner.text.formatting import NOTHING, duration_text, percent_text, setting_text, value_text

SETTINGS_NOTE = (
    "Final trainings at full length, with seeds that the search did not use: mean ± standard"
    " deviation over seeds at the last epoch. Differences are in test accuracy, paired by seed,"
    " with 95 % t-intervals; an interval that contains 0 is within noise. These seeds did not"
    " choose the tuned setting, so its intervals need no correction for being the best of many"
    " trials."
)


def settings_table(rows: list[Row], *, is_optimistic: bool) -> Table:
    """One row per setting; `is_optimistic`: the test set selected the settings."""
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
                "" if row.label == TEACHER else row.method,
                f"{row.num_seeds}" + (f" ({row.num_failed} failed)" if row.num_failed else ""),
                accuracy_text(row.val_accuracy),
                accuracy_text(row.test_accuracy),
                difference_text(row.to_plain),
                difference_text(row.to_published),
            )
            for row in rows
        ],
        data=_settings_data(rows),
        note=SETTINGS_NOTE if rows else "No final training has begun.",
        num_text_columns=2,
    )


def hyperparameters_table(record: Record, space: Space | None, best: Trial | None) -> Table:
    """One row per hyperparameter: the range that was searched, tuned and published value."""
    published: Setting = next(
        (trial.setting for trial in record.trials.values() if trial.setting_label == PUBLISHED),
        {} if space is None else space.published(),
    )
    tuned: Setting = best.setting if best is not None else {}
    searched = {row["name"]: row for row in space.table()} if space is not None else {}
    names = list(dict.fromkeys([*searched, *published, *tuned]))
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
            "Tuned is the winner of the search; rows that differ from published are bold. A dash"
            " means that the hyperparameter does not apply or is left to the method."
            if names
            else "No hyperparameters."
        ),
        num_text_columns=4,
        emphasised=frozenset(
            number
            for number, name in enumerate(names)
            if best is not None and tuned.get(name) != published.get(name)
        ),
    )


def trials_of_search(record: Record, best: Trial | None, metric: str, axis: str) -> Table:
    """One row per trial: full-length trials first, best first, then the others, longest first."""
    trials = sorted(record.trials_of(SEARCH), key=lambda trial: _order(trial, metric))
    varied = varied_names([trial.setting for trial in trials])
    first = trials[0].setting if trials else {}
    constant = {name: value for name, value in first.items() if name not in varied}
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
                duration_text(trial.seconds),
                *(_value(trial.setting.get(name)) for name in varied),
            )
            for trial in trials
        ],
        data=_numbers(record, trials),
        note=(
            "Accuracy at the last epoch, one seed each. Full-length trials come first, best on"
            f" top; shorter ones, in grey, are not ranked against them.{same}"
            if trials
            else "No trial has begun."
        ),
        num_text_columns=3,
        emphasised=frozenset(n for n, trial in enumerate(trials) if trial is best),
        faint=frozenset(n for n, trial in enumerate(trials) if not trial.is_full_length),
    )


def finals_table(record: Record) -> Table:
    """One row per final training, in the order they began."""
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
                duration_text(trial.seconds),
            )
            for trial in trials
        ],
        data=_numbers(record, trials),
        num_text_columns=2,
        faint=frozenset(n for n, trial in enumerate(trials) if not trial.is_full_length),
    )


def failures_table(record: Record) -> Table:
    """One row per training that failed, with its reason."""
    return Table(
        name="failed",
        title="Failed",
        headings=("training", "reason", "epochs"),
        rows=[
            (trial.name, trial.reason or "no reason recorded", _epochs(trial))
            for trial in record.trials.values()
            if trial.status == FAILED
        ],
        num_text_columns=2,
    )


def _settings_data(rows: list[Row]) -> pa.Table:
    columns: dict[str, Any] = {
        "setting": [row.label for row in rows],
        "method": [row.method for row in rows],
        "hyperparameters": [setting_text(row.setting) for row in rows],
        "num_seeds": [row.num_seeds for row in rows],
        "num_failed": [row.num_failed for row in rows],
    }
    return pa.table(columns | columns_of(rows, ("to_plain", "to_published")))


def _numbers(record: Record, trials: list[Trial]) -> pa.Table:
    """The rows of trials.parquet that hold these trials, in their order."""
    places = {name: number for number, name in enumerate(record.trials)}
    order = pa.array([places[trial.name] for trial in trials], pa.int64())
    return trials_table(record).take(order)


def _epochs(trial: Trial) -> str:
    return f"{len(trial.epochs)} of {trial.num_epochs}"


def _value(value: Any) -> str:
    return NOTHING if value is None else value_text(value)


def _constants(setting: Setting) -> str:
    return ", ".join(f"{name} {_value(value)}" for name, value in setting.items())


def _order(trial: Trial, metric: str) -> tuple[bool, bool, int, float]:
    return (
        not trial.is_full_length,
        trial.status == FAILED,
        -len(trial.epochs),
        -(trial.last(metric) or 0.0),
    )

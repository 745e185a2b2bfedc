"""The table of every hyperparameter of every setting."""

from collections.abc import Sequence

import pyarrow as pa

from search_spaces import Setting
from tuner.planning.fixed_trainings import FixedTask
from tuner.reports.document import Table
from tuner.results.trial import varied_names
from tuner.text.formatting import setting_text

MOST_SETTINGS = 40  # that a page lists; the files have all


def hyperparameters_table(tasks: Sequence[FixedTask]) -> Table:
    """For each method the values that all its settings share, then those that differ."""
    settings = {
        (task.name, training.setting_label): (training.method, training.setting)
        for task in tasks
        for training in task.trainings
    }
    by_method: dict[str, list[Setting]] = {}
    for method, setting in settings.values():
        by_method.setdefault(method, []).append(setting)
    shared = {method: _shared(of_method) for method, of_method in by_method.items()}
    rows = [
        [method, "all", setting_text(setting) or "none"]
        for method, setting in shared.items()
        if method != "plain"
    ]
    # Equal values of several pairs are one row.
    varied: dict[tuple[str, str, str], list[str]] = {}
    for (pair, label), (method, setting) in settings.items():
        own = {name: value for name, value in setting.items() if name not in shared[method]}
        if own:
            varied.setdefault((method, label, setting_text(own)), []).append(pair)
    if len(varied) <= MOST_SETTINGS:
        rows += [
            [method, label if len(pairs) == len(tasks) else f"{label}, {', '.join(pairs)}", text]
            for (method, label, text), pairs in varied.items()
        ]
    return Table(
        "hyperparameters",
        "Hyperparameters",
        ("method", "setting", "values"),
        rows,
        pa.table(
            {
                "pair": [pair for pair, _ in settings],
                "setting": [label for _, label in settings],
                "method": [method for method, _ in settings.values()],
                "values": [setting_text(setting) for _, setting in settings.values()],
            }
        ),
        note="Those of each setting are in the files." if len(varied) > MOST_SETTINGS else "",
        num_text_columns=3,
    )


def _shared(settings: Sequence[Setting]) -> Setting:
    """The values that are equal in all settings."""
    varied = varied_names(settings)
    return {name: value for name, value in settings[0].items() if name not in varied}

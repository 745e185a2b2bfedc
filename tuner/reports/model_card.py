"""The model card of a registered student: what it is, how good, how sure, and how to make it."""

from collections.abc import Mapping
from typing import Any

from tuner.reports.settings import SELECTED_ON_TEST, Row, verdict
from tuner.reports.statistics import accuracy_text, difference_text
from tuner.reports.summary import axis_of, rows_of_students, workload_text
from tuner.results.record import Record
from tuner.results.trial import SEARCH, Trial
from tuner.text.formatting import count_text, percent_text, setting_text

CARD_FILE = "model-card.md"


def model_card(
    name: str,
    record: Record,
    request: Mapping[str, Any],
    rows: list[Row],
    trained: Trial,
    commands: Mapping[str, str],
) -> str:
    """Markdown. `trained`: the final training whose weights the model has.

    `request` is what search.yaml holds, `rows` what the final trainings came to, `commands` what
    they do and how they are typed.
    """
    facts = dict(workload_text(dict(request)))
    teacher = next((row for row in rows if row.label == "teacher"), None)
    if teacher is not None:
        facts["Teacher"] += (
            f"; {accuracy_text(teacher.val_accuracy)} % validation accuracy,"
            f" {accuracy_text(teacher.test_accuracy)} % test accuracy"
        )
    facts["Method"] = trained.method
    facts["Setting"] = f"{setting_text(trained.setting)} ({_origin(record, trained)})"
    facts["These weights"] = (
        f"of seed {trained.seed}: {percent_text(trained.last('val_accuracy'))} % validation"
        f" accuracy, {percent_text(trained.last('test_accuracy'))} % test accuracy"
    )
    students = rows_of_students(rows)
    return (
        "\n\n".join(
            [
                f"# {_cell(name)}",
                "Takes float images [B, 3, H, W] in [0, 1] and gives logits [B, classes];"
                " normalises by itself.",
                _table(("", ""), list(facts.items())),
                "## Accuracies",
                verdict(rows, str(request.get("select_on", "val"))),
                _table(
                    (
                        "setting",
                        "validation (%)",
                        "test (%)",
                        "minus plain (points, 95 %)",
                        "seeds",
                    ),
                    [
                        (
                            row.label,
                            accuracy_text(row.val_accuracy),
                            accuracy_text(row.test_accuracy),
                            difference_text(row.to_plain),
                            str(row.num_seeds),
                        )
                        for row in students
                    ],
                ),
                "Means over the seeds ± their standard deviation; all settings see the same seeds.",
                "## Limits",
                "\n".join(f"- {limit}" for limit in _limits(record, request, students, trained)),
                "## Make it again",
                *(f"{what}:\n\n    {command}" for what, command in commands.items()),
            ]
        )
        + "\n"
    )


def _origin(record: Record, trained: Trial) -> str:
    """Where the setting comes from."""
    num_trials = count_text(len(record.trials_of(SEARCH)), "trial")
    if trained.setting_label == "published":
        return f"the published one, which won a search of {num_trials}"
    return f"the best of {num_trials}"


def _limits(
    record: Record, request: Mapping[str, Any], rows: list[Row], trained: Trial
) -> list[str]:
    data = str(request.get("data", "")).partition(":")[0]
    num_seeds = next((row.num_seeds for row in rows if row.label == trained.setting_label), 1)
    limits = [
        f"One data set ({data}) and one split of it; what it does on other images is not known.",
        f"The setting was chosen by {axis_of(dict(request))} with one seed among "
        f"{count_text(len(record.trials_of(SEARCH)), 'trial')}.",
    ]
    if request.get("select_on") == "test":
        limits.append(SELECTED_ON_TEST)
    if num_seeds > 1:
        limits.append(
            f"Of {num_seeds} seeds these weights validate best, which flatters their validation"
            " accuracy; the means do not choose."
        )
        limits.append("The intervals cover the seeds, not the choice of the test images.")
    else:
        limits.append("One seed says nothing about noise.")
    if request.get("limit") is not None:
        images = count_text(int(request["limit"]), "training image")
        limits.append(f"Only {images} were used.")
    return limits


def _table(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [headings, ("---",) * len(headings), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    """Of a name or a path whatever would end the cell, or be a tag or a link, is a letter."""
    for sign in "\\|<[`*":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())

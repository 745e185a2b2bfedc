"""The model card of a registered student: what it is, how good, how to reproduce it."""

from collections.abc import Mapping
from typing import Any

from tuner.reports.final_trainings import SELECTED_ON_TEST, finals_of
from tuner.reports.request import axis_of, is_selected_on_test, workload_text
from tuner.reports.settings import Row, rows_of_students, verdict
from tuner.reports.statistics import accuracy_text, difference_text
from tuner.results.record import Record
from tuner.results.trial import PUBLISHED, SEARCH, TEACHER, TUNED, Trial
from tuner.text.formatting import count_text, percent_text, setting_text

CARD_FILE = "model-card.md"
HEADINGS = ("setting", "validation (%)", "test (%)", "minus plain (points, 95 %)", "seeds")


def model_card(
    name: str,
    record: Record,
    request: Mapping[str, Any],
    rows: list[Row],
    trained: Trial,
    commands: Mapping[str, str],
) -> str:
    """Markdown.

    `trained` is the final training whose weights the model has, `request` the content of
    search.yaml, `rows` the comparison of settings; `commands` maps what a command reproduces to
    the command.
    """
    students = rows_of_students(rows)
    blocks = [
        f"# {_cell(name)}",
        "Takes float images [B, 3, H, W] in [0, 1] and returns logits [B, classes]; it normalises"
        " the images itself.",
        _table(("", ""), list(_facts(record, request, rows, trained).items())),
        "## Accuracies",
        verdict(rows, str(request.get("select_on", "val"))),
        _table(HEADINGS, [_accuracies(row) for row in students]),
        "Means ± standard deviations over seeds; all settings use the same seeds.",
        "## Limits",
        "\n".join(f"- {limit}" for limit in _limits(record, request, students, trained)),
        "## Reproduce",
        *(f"{what}:\n\n    {command}" for what, command in commands.items()),
    ]
    return "\n\n".join(blocks) + "\n"


def _facts(
    record: Record, request: Mapping[str, Any], rows: list[Row], trained: Trial
) -> dict[str, str]:
    facts = dict(workload_text(request))
    teacher = next((row for row in rows if row.label == TEACHER), None)
    if teacher is not None:
        facts["Teacher"] += (
            f"; {accuracy_text(teacher.val_accuracy)} % validation accuracy,"
            f" {accuracy_text(teacher.test_accuracy)} % test accuracy"
        )
    facts["Method"] = trained.method
    facts["Setting"] = f"{setting_text(trained.setting)} ({_origin(record, trained)})"
    facts["These weights"] = (
        f"seed {trained.seed}: {percent_text(trained.last('val_accuracy'))} % validation"
        f" accuracy, {percent_text(trained.last('test_accuracy'))} % test accuracy"
    )
    return facts


def _accuracies(row: Row) -> tuple[str, ...]:
    return (
        row.label,
        accuracy_text(row.val_accuracy),
        accuracy_text(row.test_accuracy),
        difference_text(row.to_plain),
        str(row.num_seeds),
    )


def _origin(record: Record, trained: Trial) -> str:
    """Where the setting comes from."""
    num_trials = count_text(len(record.trials_of(SEARCH)), "trial")
    if trained.setting_label == PUBLISHED and finals_of(record, TUNED):
        return f"the published setting, which validates better than the best of {num_trials}"
    if trained.setting_label == PUBLISHED:
        return f"the published setting, which won a search of {num_trials}"
    return f"the best of {num_trials}"


def _limits(
    record: Record, request: Mapping[str, Any], rows: list[Row], trained: Trial
) -> list[str]:
    data = str(request.get("data", "")).partition(":")[0]
    num_trials = count_text(len(record.trials_of(SEARCH)), "trial")
    num_seeds = next((row.num_seeds for row in rows if row.label == trained.setting_label), 1)
    limits = [
        f"One data set ({data}) and one split of it; performance on other images is unknown.",
        f"The setting was chosen by {axis_of(request)} among {num_trials} of one seed each.",
    ]
    if is_selected_on_test(request):
        limits.append(SELECTED_ON_TEST)
    if num_seeds > 1:
        limits += [
            f"These weights validate best among {num_seeds} seeds, so their validation accuracy is"
            " optimistic; the means above are not affected.",
            "The intervals cover the seeds, not the choice of the test images.",
        ]
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
    """Escapes what would end the cell or begin a tag, a link or emphasis."""
    for sign in "\\|<[`*":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())

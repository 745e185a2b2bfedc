"""The report lists what is missing and every hyperparameter."""

from dataclasses import replace

from tests.support.reproducing import ALPHAS, artefact_of, report_of, results, table_named
from tuner.reproductions.page import document_of
from tuner.reproductions.running import without


def test_what_was_left_out_is_listed_with_its_reason(tmp_path) -> None:
    found = results("itrd-log", {"without log2": [50.0]}, tmp_path, seeds=1)
    planned = without(
        found.reproduction, {"ResNet50-MobileNetV2": {"with log2": "it does not fit"}}
    )
    assert [t.setting_label for t in planned.tasks[0].trainings] == ["without log2"]
    document = document_of(replace(found, reproduction=planned), artefact_of(found))
    (text,) = (part for part in document.parts if part.title == "Not in the tables")
    assert text.paragraphs == ["with log2 with ResNet50-MobileNetV2: it does not fit"]


def test_hyperparameters_are_listed_once_where_they_are_shared(tmp_path) -> None:
    accuracies = {label: [50.0] for label in ALPHAS}
    table = table_named(report_of(results("itrd-alpha", accuracies, tmp_path, seeds=1)),
                        "hyperparameters")  # fmt: skip
    shared, *own = table.rows
    assert shared[:2] == ["itrd", "all"]
    assert "beta_corr 2" in shared[2]
    assert "alpha" not in shared[2]
    assert own[0] == ["itrd", "α = 1.01", "alpha 1.01"]
    assert len(own) == 7
    assert table.data.num_rows == 7

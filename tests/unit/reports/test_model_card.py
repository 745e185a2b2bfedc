"""The model card of a registered student."""

from typing import Any

import pytest

from tests.support.by_hand import begin, new_record, run, train_finals
from tuner.reports.model_card import model_card
from tuner.reports.settings import compare
from tuner.results.trial import TEACHER

REQUEST = {
    "data": "digits",
    "validation_fraction": 0.2,
    "teacher": "resnet20",
    "student": "resnet8",
    "epochs": 2,
    "space": "itrd",
    "select_on": "val",
}
TESTED = {"tuned": (90.0, 92.0, 91.0), "published": (89.0, 90.0, 88.0), "plain": (80.0, 83.0, 80.0)}


def card_of(
    folder: object, num_seeds: int = 3, labels: tuple[str, ...] = tuple(TESTED), **request: Any
) -> str:
    record = new_record(folder)
    train_finals(record, "teacher", [97.0], role=TEACHER, method="plain")
    for number in range(4):
        begin(record, f"{number:04d}")
        run(record, f"{number:04d}", [50.0] * 3)
    for label in labels:
        setting = {} if label == "plain" else {"weight": 1.5}
        accuracies = TESTED[label][:num_seeds]
        train_finals(record, label, accuracies, method="itrd", setting=setting)
    commands = {"The search": "python -m tuner.search --config search.yaml"}
    trained = record.trials[f"{labels[0]}-{min(2, num_seeds)}"]
    return model_card("resnet8-itrd", record, REQUEST | request, compare(record), trained, commands)


def test_the_card_says_what_the_model_is_and_how_good(tmp_path):
    card = card_of(tmp_path)
    assert card.startswith("# resnet8-itrd\n")
    for line in (
        "| Data | digits, 20 % of the training set held out for validation |",
        "| Teacher | resnet20; 98.00 % validation accuracy, 97.00 % test accuracy |",
        "| Student | resnet8 |",
        "| Method | itrd |",
        "| Setting | weight 1.5 (the best of 4 trials) |",
        "| These weights | seed 2: 93.00 % validation accuracy, 92.00 % test accuracy |",
        "| tuned | 92.00 ± 1.00 | 91.00 ± 1.00 | +10.00 (+7.52 to +12.48) | 3 |",
        "| plain | 82.00 ± 1.73 | 81.00 ± 1.73 | – | 3 |",
        "The search:\n\n    python -m tuner.search --config search.yaml",
    ):
        assert line in card
    assert "Tuned beats plain by 10.00 points of test accuracy (95 % interval" in card


def test_the_card_states_its_limits(tmp_path):
    card = card_of(tmp_path, limit=100)
    for sentence in (
        "One data set (digits) and one split of it",
        "chosen by validation accuracy among 4 trials of one seed each",
        "These weights validate best among 3 seeds",
        "The intervals cover the seeds",
        "Only 100 training images were used",
    ):
        assert sentence in card


def test_one_seed_and_selection_on_the_test_set_are_stated(tmp_path):
    card = card_of(tmp_path, num_seeds=1, select_on="test")
    assert "One seed says nothing about noise." in card
    assert "these test accuracies are optimistic" in card
    assert "validate best" not in card


def test_a_published_setting_that_won_is_stated(tmp_path):
    card = card_of(tmp_path, labels=("published", "plain"))
    assert "(the published setting, which won a search of 4 trials)" in card


@pytest.mark.parametrize("name", ["a|b", "[x](javascript:y)", "<script>", "`rm`"])
def test_a_name_stays_a_name(tmp_path, name):
    card = card_of(tmp_path, data=f"parquet:{name}")
    assert name not in card.replace(f"\\{name}", "")

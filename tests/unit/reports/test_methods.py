"""The table of a comparison of methods, from records made by hand."""

import io
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from tests.support.by_hand import new_record
from tuner.config.options import SearchRequest
from tuner.reports.methods import compare_methods, methods_verdict
from tuner.reports.methods_page import METHODS_FILE, write_methods_report
from tuner.reports.methods_table import row_as_dict, row_texts
from tuner.results.record import Record
from tuner.results.trial import DONE, FAILED, FINAL, SEARCH
from tuner.storage.folder import Storage
from tuner.terminal.outcome import print_methods

SEEDS = (1, 2, 3)


def final(record: Record, label: str, method: str, weight: float, accuracies, seconds=1.0) -> None:
    for seed, accuracy in zip(SEEDS, accuracies, strict=True):
        name = f"{label}-{seed}"
        setting = {} if label == "plain" else {"weight": weight, "temperature": 4.0}
        record.begin(
            name=name,
            role=FINAL,
            setting_label=label,
            method=method,
            setting=setting,
            seed=seed,
            num_epochs=1,
        )
        record.epoch(
            name,
            {
                "epoch": 1.0,
                "val_accuracy": accuracy + 1.0,
                "test_accuracy": accuracy,
                "seconds": seconds,
            },
        )
        record.end(name, DONE)


def searched(folder: Path, method: str, *, tuned=None, published=(), seconds=1.0) -> Record:
    """A search of two trials with its final trainings; plain is at 50, 51 and 52 %."""
    record = new_record(folder / method)
    for number, weight in enumerate((1.0, 2.0)):
        record.begin(
            name=f"{number:04d}",
            role=SEARCH,
            setting_label="",
            method=method,
            setting={"weight": weight, "temperature": 4.0},
            seed=0,
            num_epochs=1,
        )
        record.end(f"{number:04d}", DONE)
    if tuned:
        final(record, "tuned", method, 2.0, tuned, seconds)
    if published:
        final(record, "published", method, 1.0, published, seconds)
    final(record, "plain", "plain", 0.0, (50.0, 51.0, 52.0), 0.5)
    return record


@pytest.fixture
def records(tmp_path) -> dict[str, Record]:
    return {
        "kd": searched(tmp_path, "kd", tuned=(60.0, 61.5, 62.0), published=(59.0, 60.0, 61.0)),
        "at": searched(tmp_path, "at", published=(55.0, 56.0, 57.1), seconds=2.0),
        "sp": searched(tmp_path, "sp"),
    }


def test_methods_are_ranked_on_validation_and_compared_on_the_test_set(records):
    kd, at, sp, plain = compare_methods(records)
    assert [row.method for row in (kd, at, sp, plain)] == ["kd", "at", "sp", "plain"]
    assert kd.setting == {"weight": 2.0}  # what was searched, of the tuned setting
    assert not kd.is_published
    assert at.is_published
    assert kd.val_accuracy.mean == pytest.approx(62.1666, abs=1e-3)
    assert kd.test_accuracy.mean == pytest.approx(61.1666, abs=1e-3)
    assert kd.to_plain.mean == pytest.approx(10.1666, abs=1e-3)
    assert kd.to_best is None
    assert at.to_best.mean == pytest.approx(-(5.0 + 5.5 + 4.9) / 3)
    assert at.to_best.low < at.to_best.mean < at.to_best.high < 0
    assert plain.to_plain is None
    assert plain.to_best.mean == pytest.approx(-10.1666, abs=1e-3)


def test_cost_is_the_time_of_an_epoch_relative_to_plain_training(records):
    assert [row.cost for row in compare_methods(records)] == [2.0, 4.0, None, 1.0]


def test_an_initial_stage_counts_as_cost(tmp_path):
    record = searched(tmp_path, "ft", published=(55.0, 56.0, 57.0), seconds=0.5)
    for seed in SEEDS:
        trial = record.trials[f"published-{seed}"]
        trial.initial_epochs.append({"initial_epoch": 1.0, "initial_seconds": 0.25})
    assert compare_methods({"ft": record})[0].cost == 1.5


def test_the_cost_of_the_teacher_is_that_of_a_usual_epoch(tmp_path):
    # The first training with a seed fills the cache; a search has many that only read it.
    record = searched(tmp_path, "kd", published=(55.0, 56.0, 57.0), seconds=2.0)
    for seed in SEEDS:
        record.trials[f"published-{seed}"].epochs[0]["teacher_seconds"] = 1.5
    for number in range(5):
        name = f"read-{number}"
        record.begin(
            name=name, role=SEARCH, setting_label="", method="kd", setting={}, seed=0, num_epochs=1
        )
        record.epoch(name, {"epoch": 1.0, "seconds": 0.75, "teacher_seconds": 0.25})
    assert compare_methods({"kd": record})[0].cost == (0.5 + 0.25) / 0.5


def test_what_a_person_pinned_is_shown(tmp_path):
    record = searched(tmp_path, "kd", tuned=(60.0, 61.5, 62.0), published=(59.0, 60.0, 61.0))
    for seed in SEEDS:
        record.trials[f"tuned-{seed}"].setting["temperature"] = 7.0
    for number in range(2):
        record.trials[f"{number:04d}"].setting["temperature"] = 7.0
    assert compare_methods({"kd": record})[0].setting == {"weight": 2.0, "temperature": 7.0}


def test_a_method_without_a_finished_training_is_last_and_named(records):
    rows = compare_methods(records)
    assert rows[2].num_seeds == 0
    assert rows[2].to_best is None
    assert row_texts(rows[2]) == ("sp", "", "–", "–", "–", "–", "–")
    assert methods_verdict(rows) == (
        "kd has the highest validation accuracy of the methods."
        # t of 1 - 0.05 / 4 with 2 degrees of freedom is 6.2053, the standard error 1 / 6.
        " kd beats plain by 10.17 points of test accuracy"
        " (95 % interval 9.13 to 11.20, corrected for 2 comparisons, 3 seeds)."
        " It beats at on the test set."
        " Without a finished final training: sp."
        " These trainings also picked the best method, so intervals are corrected: those of its"
        " differences from the other methods hold together with 95 %."
    )


def test_methods_within_noise_are_named(tmp_path):
    records = {
        "kd": searched(tmp_path, "kd", published=(60.0, 61.5, 62.0)),
        "at": searched(tmp_path, "at", published=(59.0, 62.0, 61.0)),
    }
    verdict = methods_verdict(compare_methods(records), "test")
    assert "Within noise of it: at." in verdict
    assert "selected on the test set" in verdict


def test_the_best_on_validation_may_lose_on_the_test_set(tmp_path):
    records = {
        "kd": searched(tmp_path, "kd", published=(60.0, 61.5, 62.0)),
        "at": searched(tmp_path, "at", published=(65.0, 66.4, 67.1)),
    }
    for trial in records["kd"].trials_of(FINAL):
        trial.epochs[0]["val_accuracy"] = 90.0
    verdict = methods_verdict(compare_methods(records))
    assert verdict.startswith("kd has the highest validation accuracy of the methods.")
    assert "It loses to at on the test set." in verdict


def test_nothing_finished_is_said(tmp_path):
    rows = compare_methods({"kd": searched(tmp_path, "kd")})
    assert methods_verdict(rows).startswith("No method has a finished final training")


@pytest.mark.parametrize("width", [80, 160])
def test_no_number_is_cut_off_in_the_terminal(records, width):
    text = io.StringIO()
    rows = compare_methods(records)
    print_methods(rows, Console(file=text, width=width))
    for part in ("62.17 ± 1.04", "61.17 ± 1.04", "+10.17", "-5.13", "2.00", "weight 2", "4.00"):
        assert part in text.getvalue()
    assert max(map(len, text.getvalue().splitlines())) <= width


def test_page_and_table_hold_every_method(records, tmp_path):
    storage = Storage(str(tmp_path / "comparison"))
    request = SearchRequest(
        space="kd,at,sp", name="<b>mine</b>", trials=2, seeds=1, set={"weight": "7"}
    )
    path = write_methods_report(storage, request, records)
    page = Path(path).read_text()
    assert "&lt;b&gt;mine&lt;/b&gt;" in page
    assert '<a href="kd/report.html">kd</a>' in page
    assert "plain/report.html" not in page
    assert "2 trials at most, then final trainings with 1 seed that no search has used." in page
    assert "Set by hand: weight=7." in page
    table = pq.read_table(tmp_path / "comparison" / METHODS_FILE).to_pydict()
    assert table["method"] == ["kd", "at", "sp", "plain"]
    assert table["to_best_mean"][:2] == [None, pytest.approx(-5.1333, abs=1e-3)]
    assert table["test_accuracy_mean"][2] is None


def test_the_more_methods_the_wider_the_intervals_of_the_best(tmp_path):
    records = {
        "kd": searched(tmp_path, "kd", published=(60.0, 61.5, 62.0)),
        "at": searched(tmp_path, "at", published=(59.0, 60.2, 61.1)),
    }
    (_, two, _) = compare_methods(records)
    records |= {
        name: searched(tmp_path, name, published=(50.0, 51.5, 52.2)) for name in ("sp", "cc")
    }
    (_, four, *_) = compare_methods(records)
    # t of 1 - 0.05 / 2 and of 1 - 0.05 / 12, with 2 degrees of freedom.
    assert two.to_best.num_comparisons == 1
    assert four.to_best.num_comparisons == 6  # pairs: each might have been the best
    margins = [row.to_best.high - row.to_best.mean for row in (two, four)]
    assert margins[1] / margins[0] == pytest.approx(10.8859 / 4.3027, rel=1e-4)


def test_a_plain_training_that_failed_is_another_searchs(records):
    records["kd"].trials["plain-2"].status = FAILED
    kd, *_ = compare_methods(records)
    assert kd.to_plain.num_seeds == 3


def test_the_figure_has_plain_training_once(records, tmp_path):
    storage = Storage(str(tmp_path / "comparison"))
    write_methods_report(storage, SearchRequest(space="kd,at,sp", name="x"), records)
    assert storage.files("figures") == ["final-accuracies.png", "final-accuracies.svg"]


def test_a_row_is_plain_data_for_programs(records):
    row = row_as_dict(compare_methods(records)[1])
    assert row["method"] == "at"
    assert row["to_best"]["num_seeds"] == 3


def test_whatever_is_named_a_page_holds_no_markup_but_its_own(tmp_path):
    word = """</td><script>alert(1)</script>"'&"""
    pages = []
    for name in ("word", word):
        storage = Storage(str(tmp_path / f"page-{len(pages)}"))
        records = {name: searched(tmp_path / f"{len(pages)}", "kd", published=(50.0, 51.0, 52.0))}
        request = SearchRequest(space="kd,at", name=name, set={name: name}, data=name, student=name)
        write_methods_report(storage, request, records)
        pages.append(storage.read("report.html").decode())
    assert "<script" not in pages[1]
    calm, hostile = (re.sub("<svg.*?</svg>", "", page, flags=re.DOTALL) for page in pages)
    assert hostile.count("<") == calm.count("<")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in hostile

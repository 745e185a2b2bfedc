"""`tuner report A B C`: searches that were made at any time, compared on one page."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

import tuner.report
from tests.support.by_hand import make_header, new_record
from tuner.reports.searches import (
    Searched,
    compare_searches,
    differing,
    pairable,
    searches_findings,
)
from tuner.results.record import Record
from tuner.results.trial import DONE, FINAL, SEARCH, STOPPED

REQUEST: dict[str, Any] = {
    "data": "digits",
    "validation_fraction": 0.2,
    "teacher": "resnet20",
    "student": "resnet8",
    "epochs": 2,
    "seed": 0,
    "seeds": 3,
    "trials": 2,
    "select_on": "val",
}


def train(record: Record, name: str, accuracy: float, *, epochs: int = 2, **fields: Any) -> None:
    record.begin(
        name=name,
        **{
            "role": SEARCH,
            "setting_label": "",
            "method": "kd",
            "setting": {},
            "seed": 0,
            "num_epochs": 2,
        }
        | fields,
    )
    for epoch in range(1, epochs + 1):
        metrics = {"epoch": float(epoch), "val_accuracy": accuracy + 1, "seconds": 1.0}
        if fields.get("role") == FINAL and epoch == 2:
            metrics["test_accuracy"] = accuracy
        record.epoch(name, metrics)
    record.end(name, DONE if epochs == 2 else STOPPED)


def search(
    name: str, tuned: tuple[float, ...], plain: tuple[float, ...] = (50.0, 51.0, 52.0), **given: Any
) -> Searched:
    """A search of two trials and a stopped one below runs/, its final trainings included."""
    folder = Path("runs", name)
    record = new_record(folder)
    first_seed = given.get("seed", 0) + 1
    train(record, "0000", 60.0, setting={"weight": 1.0}, setting_label="published")
    train(record, "0001", 90.0, setting={"weight": 9.0}, epochs=1)
    train(record, "0002", 62.0, setting={"weight": 2.0})
    for label, accuracies in (("tuned", tuned), ("published", plain), ("plain", plain)):
        for seed, accuracy in enumerate(accuracies, start=first_seed):
            method = "plain" if label == "plain" else "kd"
            setting = {"weight": 2.0} if label == "tuned" else {}
            train(
                record,
                f"{label}-{seed}",
                accuracy,
                role=FINAL,
                setting_label=label,
                method=method,
                setting=setting,
                seed=seed,
            )
    record.close()
    request = REQUEST | {"space": "kd"} | given
    (folder / "search.yaml").write_text(yaml.safe_dump(request))
    return Searched(name, request, record)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_winners_are_paired_by_seed_and_corrected_for_the_best_having_been_picked():
    searches = [
        search("a", (60.0, 61.0, 63.0)),
        search("b", (70.0, 71.5, 72.0), epochs=2, trials=8),
        search("c", (69.0, 70.5, 72.0)),
    ]
    rows = compare_searches(searches)
    assert [row.search for row in rows] == ["b", "c", "a"]  # by validation accuracy
    best, second, third = rows
    assert best.to_best is None
    assert best.setting == {"weight": 2.0}
    assert best.test_accuracy.mean == pytest.approx(71.1667, abs=1e-4)
    assert best.plain.mean == 51.0
    assert (best.to_plain.num_comparisons, second.to_best.num_comparisons) == (1, 3)
    assert second.to_best.mean == pytest.approx(-2 / 3)
    assert third.to_best.mean == pytest.approx(-9.8333, abs=1e-4)
    first, others = searches_findings(searches, rows)
    assert first == (
        "Of 3 searches with the same data, split and seeds, b has the highest validation accuracy"
        " after its final trainings."
    )
    # Differences 1, 1, 0: deviation 0.577, standard error 1/3, and t is 7.649.
    assert others.startswith(
        "b and c differ within noise: +0.67 points of test accuracy"
        " (95 % interval -1.88 to 3.22, corrected for 3 comparisons, 3 seeds). b beats a by 9.83"
    )


def test_a_search_without_a_journal_does_not_make_pairs_of_other_images():
    searches = [search(name, (60.0, 61.0, 63.0)) for name in "abc"]
    for one, data in zip(searches, (None, "some", "other"), strict=True):
        if data:
            one.record._header = make_header(data=data)
    groups = [[one.name for one in group] for group in pairable(searches)]
    assert groups == [["a", "b"], ["c"]]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"limit": 500}, "number of training images"),
        ({"seed": 7}, "seed of the split and of the trainings"),
        ({"validation_fraction": 0.1}, "validation split"),
        ({"data": "cifar10"}, "data"),
    ],
)
def test_what_cannot_be_paired_is_said_with_its_reason(given, why):
    searches = [search("a", (60.0, 61.0, 63.0)), search("b", (70.0, 71.5, 72.0), **given)]
    assert differing(*searches) == [why]
    rows = compare_searches(searches)
    assert [row.to_best for row in rows] == [None, None]
    (paragraph,) = searches_findings(searches, rows)
    assert paragraph == (
        f"a and b cannot be paired, for they differ in {why}: their accuracies stand beside each"
        " other, and no difference is claimed."
    )


def test_data_of_one_name_and_other_content_are_no_pair():
    one, other = search("a", (60.0, 61.0, 63.0)), search("b", (70.0, 71.5, 72.0))
    one.record._header = make_header(data="1234")
    assert differing(one, other) == []  # where only the tables were kept
    other.record._header = make_header(data="5678")
    assert differing(one, other) == ["data"]


def test_the_page_compares_what_was_asked_for_and_what_came_of_it(capsys):
    search("a", (60.0, 61.0, 63.0))
    search("b", (70.0, 71.5, 72.0), student="resnet14", trials=5)
    assert tuner.report.main(["a", "b"]) == 0
    path = Path("runs/a+b/report.html")
    assert capsys.readouterr().out.strip() == str(path.absolute())
    page = path.read_text()
    assert '<a href="../b/report.html">b</a>' in page
    assert "<td>student</td><td>resnet8</td><td>resnet14</td>" in page
    assert "<td>teacher</td>" not in page  # the same in both
    assert page.count("<svg") == 2
    assert sorted(one.name for one in Path("runs/a+b/figures").iterdir()) == [
        "best-so-far.png",
        "best-so-far.svg",
        "final-accuracies.png",
        "final-accuracies.svg",
    ]
    table = pq.read_table("runs/a+b/tables/searches.parquet").to_pydict()
    assert table["search"] == ["b", "a"]
    assert table["to_best_low"][1] < table["to_best_mean"][1] < table["to_best_high"][1]
    assert table["plain_mean"] == [51.0, 51.0]


def test_a_stopped_trial_is_never_the_best_so_far(capsys):
    from tuner.reports.accuracy_figures import best_so_far

    one = search("a", (60.0, 61.0, 63.0))
    figure = best_so_far({"a": (one.record, "val_accuracy")}, "validation accuracy")
    (line,) = figure.drawing.axes[0].lines
    assert list(line.get_xdata()) == [2, 5, 5]  # the stopped trial's epoch counts
    assert list(line.get_ydata()) == [61.0, 63.0, 63.0]


def test_the_page_has_a_name_of_its_own_where_one_is_given():
    search("a", (60.0, 61.0, 63.0))
    search("b", (70.0, 71.5, 72.0))
    assert tuner.report.main(["a", "b", "--name", "both"]) == 0
    assert tuner.report.main(["b", "a", "--name", "both"]) == 0  # again
    assert Path("runs/both/report.html").exists()


def test_the_searches_of_a_comparison_of_methods_are_compared_with_others():
    search("several/kd", (60.0, 61.0, 63.0))
    search("b", (70.0, 71.5, 72.0))
    for name, content in (("search.yaml", "space: kd,at"), ("id", "1")):
        Path("runs/several", name).write_text(content)
    assert tuner.report.main(["several", "b"]) == 0
    page = Path("runs/several+b/report.html").read_text()
    assert '<a href="../several/kd/report.html">several/kd</a>' in page


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["a", "none"], "there is no search named 'none' in "),
        (["a", "a"], "'a' is named twice; name each search once"),
        (["a", "b", "--name", "a"], "'a' is the folder of a search; choose another --name"),
        (["a", "b", "--name", "../x"], "'../x' is not a valid folder name"),
        (["a", "--name", "x"], "--name is for the report of several searches; leave it out"),
        (["a", "b" * 99], "there is no search named"),
    ],
)
def test_what_cannot_be_compared_is_refused_and_nothing_written(arguments, sentence, capsys):
    search("a", (60.0, 61.0, 63.0))
    search("b", (70.0, 71.5, 72.0))
    before = sorted(Path("runs").rglob("*"))
    assert tuner.report.main(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"tuner: {sentence}")
    assert err.count("\n") == 1
    assert sorted(Path("runs").rglob("*")) == before


def test_names_that_are_too_long_together_are_refused(capsys):
    names = ["a" * 60, "b" * 60]
    for name in names:
        search(name, (60.0, 61.0, 63.0))
    assert tuner.report.main(names) == 2
    assert "give one with --name" in capsys.readouterr().err
    assert tuner.report.main([*names, "--name", "short"]) == 0


def test_a_search_without_final_trainings_is_shown_and_not_compared():
    searches = [search("a", (), plain=()), search("b", (70.0, 71.5, 72.0))]
    rows = compare_searches(searches)
    assert [row.search for row in rows] == ["b", "a"]
    assert "a has no finished final training to compare with." in " ".join(
        searches_findings(searches, rows)
    )


def test_settings_selected_on_the_test_set_are_labelled():
    search("a", (60.0, 61.0, 63.0), select_on="test")
    search("b", (70.0, 71.5, 72.0))
    assert tuner.report.main(["a", "b"]) == 0
    page = Path("runs/a+b/report.html").read_text()
    assert "Settings were selected on the test set" in page
    assert "accuracy that trials ranked on" in page


def test_files_of_a_persons_own_are_left_alone(capsys):
    for name in "ab":
        search(name, (60.0, 61.0, 63.0))
    own = Path("runs/thesis/figures/own.png")
    own.parent.mkdir(parents=True)
    own.write_bytes(b"mine")
    assert tuner.report.main(["a", "b", "--name", "thesis"]) == 2
    assert "holds files of something else" in capsys.readouterr().err
    assert own.read_bytes() == b"mine"


def test_a_search_whose_name_begins_with_a_sign_of_matplotlibs_is_in_the_legend():
    from tuner.reports.accuracy_figures import best_so_far

    searches = {name: (search(name, (60.0,)).record, "val_accuracy") for name in ("_a", "$b$")}
    (axes,) = best_so_far(searches, "accuracy").drawing.axes
    texts = [text.get_text().strip() for text in axes.get_legend().get_texts()]
    assert texts == ["_a", r"\$b\$"]

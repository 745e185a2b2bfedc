"""report.html, rebuilt from the three files of a search's folder."""

import math
import re
from html.parser import HTMLParser
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from optuna.trial import TrialState

from search_spaces import Choice, Float, Space, load_space
from tuner.reports.hyperparameter_figures import (
    compared_params,
    contour,
    importance_of,
    importances,
    parallel_coordinates,
    slices,
)
from tuner.reports.search_page import write_report
from tuner.reports.study import study_of
from tuner.results.record import Record
from tuner.results.tables import write_tables
from tuner.results.trial import DONE, FAILED, FINAL, SEARCH, STOPPED, TEACHER
from tuner.storage.folder import Storage
from tuner.text.errors import RequestError

EPOCHS = 3
SPACE = Space(
    method="toy",
    params=(
        Float("weight", 0.0, 10.0, grid=(1.0,), published=1.0),
        Choice("kernel", ("polynomial", "rbf"), published="rbf"),
        Float("h", 0.1, 10.0, log=True, grid=(1.0,), published=1.0, when={"kernel": "rbf"}),
        Choice("only", ("one",), published="one"),
    ),
)
REQUEST: dict[str, Any] = {
    "name": "a search",
    "space": "itrd",
    "data": "digits",
    "validation_fraction": 0.2,
    "teacher": "resnet20@/somewhere/teacher.pt",
    "student": "resnet8",
    "epochs": EPOCHS,
    "select_on": "val",
    "seeds": 1,
    "trials": 1,
}


@pytest.fixture
def storage(tmp_path) -> Storage:
    return Storage(str(tmp_path / "search"))


def setting(weight: float, h: float | None = None) -> dict[str, Any]:
    return {
        "weight": weight,
        "kernel": "polynomial" if h is None else "rbf",
        "h": h,
        "only": "one",
    }


def itrd(beta_corr: float, h: float | None = None) -> dict[str, Any]:
    chosen = {"kernel": "polynomial"} if h is None else {"kernel": "rbf", "h": h}
    return load_space("itrd").complete({"beta_corr": beta_corr, **chosen})


def add(
    record: Record,
    trial: str,
    values: dict[str, Any],
    accuracy: float,
    *,
    status: str | None = DONE,
    epochs: int = EPOCHS,
    role: str = SEARCH,
    setting_label: str = "",
    seed: int = 0,
    reason: str = "",
) -> None:
    record.begin(
        name=trial,
        role=role,
        setting_label=setting_label,
        method="plain" if setting_label in ("plain", "teacher") else "itrd",
        setting=values,
        seed=seed,
        num_epochs=EPOCHS,
    )
    for epoch in range(1, epochs + 1):
        metrics = {"epoch": epoch, "val_accuracy": accuracy - EPOCHS + epoch, "seconds": 1.0}
        if epoch == EPOCHS and role != SEARCH:
            metrics["test_accuracy"] = accuracy - 1
        record.epoch(trial, metrics)
    if status is not None:
        record.end(trial, status, reason)


def whole_search(storage: Storage) -> Record:
    """Six trials of full length, one stopped, one failed, and the final trainings."""
    record = Record(storage)
    add(record, "teacher", {}, 95.0, role=TEACHER, setting_label="teacher")
    add(record, "0000", load_space("itrd").published(), 80.0, setting_label="published")
    for number in range(1, 6):
        h = float(number) if number % 2 else None
        add(record, f"{number:04d}", itrd(0.5 + number / 2, h), 80.0 + number)
    add(record, "0006", itrd(3.0), 99.0, status=STOPPED, epochs=1, reason="asha, epoch 1")
    reason = "<script>alert(1)</script>"
    add(record, "0007", itrd(3.5), 10.0, status=FAILED, epochs=1, reason=reason)
    for label, values, accuracy in (
        ("tuned", itrd(3.0, 5.0), 86.0),
        ("published", load_space("itrd").published(), 82.0),
        ("plain", {}, 79.0),
    ):
        for seed in (1, 2):
            add(
                record,
                f"{label}-{seed}",
                values,
                accuracy + seed,
                role=FINAL,
                setting_label=label,
                seed=seed,
            )
    return record


def report_of(storage: Storage, record: Record, **request: Any) -> str:
    storage.write("search.yaml", yaml.safe_dump(REQUEST | request).encode())
    write_tables(storage, record)
    storage.delete("journal.jsonl")  # the report needs the three files only
    assert write_report(storage) == storage.path("report.html")
    return storage.read("report.html").decode()


class Page(HTMLParser):
    """The text of a page, its headings, and every address outside it that it refers to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.num_scripts = 0
        self._open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.num_scripts += tag == "script"
        self.addresses += [
            value or ""
            for name, value in attrs
            if name in ("src", "href", "xlink:href", "srcset", "data")
            and not (value or "").startswith(("#", "data:"))
        ]
        if tag in ("h1", "h2", "h3", "script", "style"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1] == tag:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("h1", "h2", "h3"):
            self.headings.append(data)
        if not self._open or self._open[-1] not in ("script", "style"):
            self.text += data


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Storage:
    storage = Storage(str(tmp_path_factory.mktemp("search")))
    report_of(storage, whole_search(storage), seeds=2, trials=8)
    return storage


@pytest.fixture(scope="module")
def html(whole) -> str:
    return whole.read("report.html").decode()


@pytest.fixture(scope="module")
def page(html) -> Page:
    return Page(html)


def test_the_sections_stand_in_their_order(page):
    wanted = [
        "a search",
        "Workload",
        "Comparison",
        "Final trainings: test accuracy",
        "Hyperparameters",
        "Final trainings: validation accuracy by epoch",
        "Trials of the search: validation accuracy by epoch",
        "Each hyperparameter against validation accuracy",
        "Importance of the hyperparameters for validation accuracy",
        "Settings and validation accuracy",
        "The two most important hyperparameters and validation accuracy",
        "Trials of the search",
        "Failed",
        "Repeat this search",
    ]
    assert [heading for heading in page.headings if heading in wanted] == wanted


def test_the_report_opens_without_a_network_and_without_scripts(html, page, whole):
    # What it leads to lies beside it.
    assert len(page.addresses) > 10
    for address in page.addresses:
        assert re.match(r"(figures|tables)/[a-z-]+\.(png|svg|csv|parquet)$", address)
        assert whole.exists(address)
    assert page.num_scripts == 0
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:;" in html


def test_a_reason_cannot_run_as_a_script(html):
    assert "<script>alert(1)</script>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_the_findings_are_said_in_words(page):
    assert "Tuned is 7.00 points of test accuracy above plain" in page.text
    assert "Winner: trial 0005" in page.text  # not 0006, which was stopped at 97 %
    assert "As the best of 6, that accuracy flatters it" in page.text
    assert "8 trials: 6 ran to the end, 1 stopped early, 1 failed." in page.text
    assert "20 % of the training set held out for validation" in page.text


def test_every_figure_is_drawn(html, whole):
    names = [
        *("contour", "final-accuracies", "final-curves", "importances"),
        *("search-curves", "settings", "slices"),
    ]
    assert html.count("<svg") == len(names)
    assert whole.files("figures") == [f"{name}.{kind}" for name in names for kind in ("png", "svg")]


def test_the_tables_hold_the_numbers_in_the_order_of_the_page(whole):
    table = pq.read_table(pa.BufferReader(whole.read("tables/trials.parquet"))).to_pydict()
    assert table["trial"][:2] == ["0005", "0004"]
    assert table["last_val_accuracy"][:2] == [85.0, 84.0]
    comparison = pq.read_table(pa.BufferReader(whole.read("tables/comparison.parquet")))
    assert comparison["to_plain_mean"].to_pylist()[:2] == [7.0, 3.0]
    header = whole.read("tables/comparison.csv").decode().splitlines()[0]
    assert header.startswith('"setting","method","hyperparameters","num_seeds"')


def test_the_trials_are_sorted_full_length_first(page):
    table = page.text[page.text.index("reason") :]  # of the trials' table
    order = [table.index(trial) for trial in ("0005", "0001", "0006", "0007")]
    assert order == sorted(order)


def test_numbers_selected_on_the_test_set_are_labelled(storage):
    record = Record(storage)
    add(record, "0000", itrd(1.0), 80.0)
    page = Page(report_of(storage, record, select_on="test"))
    assert "Settings were selected on the test set" in page.text
    assert "Trials of the search: test accuracy by epoch" in page.headings


def test_a_password_in_an_address_is_not_shown(storage):
    html = report_of(storage, Record(storage), tracking_uri="https://me:secret@mlflow.example")
    assert "secret" not in html
    assert "https://me:***@mlflow.example" in html


def test_what_a_person_named_is_escaped(storage):
    record = Record(storage)
    add(record, "0000", {"<b>weight</b>": 1.0, "kernel": "</script><i>"}, 80.0)
    html = report_of(storage, record, name="<b>bold</b>")
    assert "<b>" not in html
    assert "</script><i>" not in html


HOSTILE = """</script><script>alert(1)</script><img src=x onerror=alert(2)>"'&<a href=//x>x</a>"""


class Markup(HTMLParser):
    """The tags and attributes of a page, without what is drawn: letters are paths there."""

    DRAWN = ("path", "use", "g", "defs", "clippath", "rect")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.DRAWN:
            self.tags.append((tag, tuple(name for name, _ in attrs)))


def hostile_report(storage: Storage, word: str) -> Markup:
    """The report of a search in which everything that can be named is named so."""
    record = Record(storage)
    for number in range(4):
        name = f"{number:04d}" + (word if number == 3 else "")
        values = {"weight": float(number + 1), "kernel": word if number % 2 else "b", word: word}
        add(
            record,
            name,
            values,
            80.0 + number,
            reason=word,
            setting_label=word if number == 0 else "",
        )
    add(record, "0009", {word: word}, 1.0, status=FAILED, epochs=1, reason=word)
    add(record, "final", {word: word}, 82.0, role=FINAL, setting_label="published")
    names = ("name", "data", "teacher", "student", "tracking_uri", "experiment", "runs_dir")
    space = storage.path("space.py")
    storage.write(
        "space.py",
        f"from search_spaces import Choice, Float, Space\nWORD = {word!r}\n"
        "SPACE = Space('toy', (Float('weight', 0.0, 9.0, grid=(1.0,), published=1.0),"
        " Choice('kernel', ('b', WORD), published='b')), source=WORD)".encode(),
    )
    request = dict.fromkeys(names, word) | {"space": space, "set": {}}
    return Markup(report_of(storage, record, **request))


def test_whatever_is_named_a_report_holds_no_markup_but_its_own(tmp_path):
    calm = hostile_report(Storage(str(tmp_path / "calm")), "word")
    hostile = hostile_report(Storage(str(tmp_path / "hostile")), HOSTILE)
    assert hostile.tags == calm.tags
    assert "script" not in {tag for tag, _ in hostile.tags}


def test_a_dollar_in_a_name_is_no_formula(storage):
    record = Record(storage)
    for number in range(3):
        add(record, f"{number:04d}", {"$\\frac$": float(number), "kernel": "$^"}, 80.0 + number)
    add(record, "tuned-1", {}, 82.0, role=FINAL, setting_label="$a_$")
    assert "$\\frac$" in Page(report_of(storage, record)).text


def test_an_interrupted_search_shows_the_command_that_resumes_it(storage):
    record = Record(storage)
    add(record, "0000", itrd(1.0), 80.0)
    add(record, "0001", itrd(2.0), 80.0, status=None, epochs=1)
    page = Page(report_of(storage, record))
    assert "Continue this search" in page.text
    assert "tuner.search --resume search --runs-dir" in page.text
    assert "No final training has begun." in page.text


@pytest.mark.parametrize(
    "trials",
    [
        [],
        [{"accuracy": 80.0}],
        [{"accuracy": 80.0, "status": FAILED, "epochs": 0}] * 2,
        [{"accuracy": 80.0, "status": STOPPED, "epochs": 1}] * 2,
        [{"accuracy": 80.0, "status": None, "epochs": 0}],
        [{"accuracy": 80.0}] * 3,  # all alike
    ],
    ids=["no trial", "one", "all failed", "all stopped", "just begun", "all alike"],
)
def test_a_search_with_little_to_show_has_a_report_too(storage, trials):
    record = Record(storage)
    for number, trial in enumerate(trials):
        add(record, f"{number:04d}", itrd(1.0), **trial)
    page = Page(report_of(storage, record))
    assert "Not enough" in page.text


def test_a_search_that_has_begun_fewer_trials_than_planned_is_continued(storage):
    record = Record(storage)
    add(record, "0000", itrd(1.0), 80.0, status=FAILED, epochs=0)
    assert "Continue this search" in Page(report_of(storage, record, trials=2)).text
    assert "Repeat this search" in Page(report_of(storage, record, trials=1)).text


def test_a_trial_that_was_stopped_early_never_wins(storage):
    record = Record(storage)
    add(record, "0000", itrd(1.0), 80.0, status=STOPPED, epochs=2)
    page = Page(report_of(storage, record))
    assert "No trial has won, for none ran to its last epoch." in page.text


def test_a_space_file_that_is_gone_leaves_the_rest_of_the_report(storage):
    record = whole_search(storage)
    page = Page(report_of(storage, record, space="/gone/space.py"))
    assert "The search space cannot be read any more" in page.text
    assert "Tuned is 7.00 points of test accuracy above plain" in page.text


def test_a_space_that_has_changed_since_leaves_the_rest_of_the_report(storage):
    record = Record(storage)
    add(record, "0000", {"another": 1.0}, 80.0)
    page = Page(report_of(storage, record))
    assert "The trials do not fit the search space any more" in page.text


def test_a_folder_without_a_search_is_refused(storage):
    with pytest.raises(RequestError, match=r"trials\.parquet is missing"):
        write_report(storage)
    write_tables(storage, Record(storage))
    with pytest.raises(RequestError, match=r"search\.yaml is missing"):
        write_report(storage)


def test_the_study_tells_complete_from_pruned_and_failed(storage):
    record = Record(storage)
    add(record, "0000", setting(1.0, h=2.0), 80.0)
    add(record, "0001", setting(2.0), 90.0, status=STOPPED, epochs=2)
    add(record, "0002", setting(3.0), 90.0, status=FAILED, epochs=1)
    add(record, "0003", setting(4.0), 90.0, status=None, epochs=1)
    complete, pruned, failed, running = study_of(record, SPACE, "val_accuracy").trials
    assert (complete.state, complete.value) == (TrialState.COMPLETE, 80.0)
    assert complete.params == {"weight": 1.0, "kernel": "rbf", "h": 2.0}  # "only" has one value
    assert (pruned.state, pruned.value) == (TrialState.PRUNED, None)
    assert pruned.intermediate_values == {1: 88.0, 2: 89.0}
    assert pruned.params == {"weight": 2.0, "kernel": "polynomial"}
    assert (failed.state, running.state) == (TrialState.FAIL, TrialState.RUNNING)


def test_a_setting_outside_a_narrowed_range_is_still_shown(storage):
    record = Record(storage)
    add(record, "0000", setting(1.0, h=2.0), 80.0)
    (trial,) = study_of(record, SPACE.narrow({"weight": "5:10"}), "val_accuracy").trials
    assert trial.params["weight"] == 1.0
    assert trial.distributions["weight"].low == 1.0


def test_figures_compare_full_length_trials_only(storage):
    record = Record(storage)
    add(record, "0000", setting(1.0, h=2.0), 80.0)
    add(record, "0001", setting(2.0, h=2.0), 81.0)
    add(record, "0002", setting(9.0), 99.0, status=STOPPED, epochs=2)
    study = study_of(record, SPACE, "val_accuracy")
    assert compared_params(study) == ["weight"]  # the stopped trial's kernel does not count
    panel = slices(study, "accuracy")
    (axes,) = panel.drawing.axes
    points = [x for drawn in axes.collections for x, _ in drawn.get_offsets()]
    assert sorted(points) == [1.0, 2.0]
    assert panel.caption.startswith("From the 2 trials that ran to the end")
    assert importances(study, "accuracy").drawing is None
    assert contour(study, "accuracy").drawing is None


def test_importances_allow_conditions_and_do_not_change_from_run_to_run(storage):
    record = Record(storage)
    for number in range(12):
        h = 1.0 + number if number % 2 else None
        values = setting(number * 0.8, h)
        add(record, f"{number:04d}", values, 80 + 5 * math.sin(number * 0.8))
    study = study_of(record, SPACE, "val_accuracy")
    found = importance_of(study)
    assert set(found) == {"weight", "kernel", "h"}
    assert sum(found.values()) == pytest.approx(1.0)
    assert importance_of(study) == found
    panel = parallel_coordinates(study, "accuracy")
    assert "Left out, for not every trial has them: h." in panel.caption
    assert contour(study, "accuracy").drawing is not None

"""report.html, rebuilt from the three files of a search's folder."""

import re
from html.parser import HTMLParser
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from search_spaces import load_space
from tuner.reports.document import Document, Figure
from tuner.reports.figure_style import style
from tuner.reports.search_page import search_document, write_search_report
from tuner.results.record import Record
from tuner.results.tables import write_tables
from tuner.results.trial import DONE, FAILED, FINAL, SEARCH, STOPPED, TEACHER
from tuner.storage.folder import Storage
from tuner.text.errors import RequestError

EPOCHS = 3
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
    """Six full-length trials, a stopped one, a failed one, and the final trainings."""
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


def write_files(storage: Storage, record: Record, **request: Any) -> None:
    """The three files that a report needs, and no journal."""
    storage.write("search.yaml", yaml.safe_dump(REQUEST | request).encode())
    write_tables(storage, record)
    storage.delete("journal.jsonl")


def report_of(storage: Storage, record: Record, **request: Any) -> str:
    """The whole page."""
    write_files(storage, record, **request)
    assert write_search_report(storage) == storage.path("report.html")
    return storage.read("report.html").decode()


def document_of(storage: Storage, record: Record, **request: Any) -> Document:
    """The report before it is written; each of its figures can be drawn."""
    write_files(storage, record, **request)
    document = search_document(storage)
    with style():
        for part in document.parts:
            if isinstance(part, Figure) and part.drawing is not None:
                part.drawing.draw_without_rendering()
    return document


def part_of(document: Document, title: str) -> Any:
    (part,) = (part for part in document.parts if part.title == title)
    return part


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
    # Its links lead to files beside it.
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
    assert "Best trial: 0005" in page.text  # not 0006, which was stopped at 97 %
    assert "As the best of 6, this accuracy is optimistic" in page.text
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
    document = document_of(storage, record, select_on="test")
    assert document.labels[0].startswith("Settings were selected on the test set")
    assert part_of(document, "Trials of the search: test accuracy by epoch").drawing is not None


def test_a_password_in_an_address_is_not_shown(storage):
    document = document_of(
        storage, Record(storage), tracking_uri="https://me:secret@mlflow.example"
    )
    (text,) = part_of(document, "search.yaml: the request, with every value resolved").paragraphs
    assert "secret" not in text
    assert "https://me:***@mlflow.example" in text


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
    table = part_of(document_of(storage, record), "Hyperparameters")
    assert "$\\frac$" in [row[0] for row in table.rows]


def test_an_interrupted_search_shows_the_command_that_resumes_it(storage):
    record = Record(storage)
    add(record, "0000", itrd(1.0), 80.0)
    add(record, "0001", itrd(2.0), 80.0, status=None, epochs=1)
    document = document_of(storage, record)
    (command,) = part_of(document, "Resume this search").paragraphs
    assert command.startswith("python -m tuner.search --resume search --runs-dir")
    assert part_of(document, "Comparison").note == "No final training has begun."


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
    figure = part_of(
        document_of(storage, record), "Each hyperparameter against validation accuracy"
    )
    assert figure.drawing is None
    assert figure.caption.startswith("Not enough")


def test_a_space_file_that_is_gone_leaves_the_rest_of_the_report(storage):
    document = document_of(storage, whole_search(storage), space="/gone/space.py")
    caption = part_of(document, "Hyperparameters and validation accuracy").caption
    assert caption.startswith("The search space can no longer be read")
    assert document.findings[0].startswith("Tuned is 7.00 points of test accuracy above plain")


def test_a_space_that_has_changed_since_leaves_the_rest_of_the_report(storage):
    record = Record(storage)
    add(record, "0000", {"another": 1.0}, 80.0)
    document = document_of(storage, record)
    caption = part_of(document, "Hyperparameters and validation accuracy").caption
    assert caption.startswith("The trials no longer fit the search space")
    assert len(part_of(document, "Trials of the search").rows) == 1


def test_a_folder_without_a_search_is_refused(storage):
    with pytest.raises(RequestError, match=r"trials\.parquet is missing"):
        search_document(storage)
    write_tables(storage, Record(storage))
    with pytest.raises(RequestError, match=r"search\.yaml is missing"):
        search_document(storage)

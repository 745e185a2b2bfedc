"""The one engine of all reports: a page, and its figures and tables beside it."""

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import matplotlib
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tuner.reports.document import Document, Facts, Figure, Table, Text
from tuner.reports.figure_style import BLUE, INK, PAPER, drawing, legend_above, literal, log_scale
from tuner.reports.page import report_files, write_document
from tuner.storage.folder import Storage


def drawn(title: str = ""):
    with drawing(3.0, 2.0) as figure:
        axes = figure.subplots()
        axes.plot([1, 2, 3], [1.0, 4.0, 9.0], "o-", color=BLUE, label="a line")
        axes.set_title(title)
        legend_above(axes)
    return figure


def document(**given) -> Document:
    parts = [
        Facts("Workload", [("Data", "digits")]),
        Table(
            name="one",
            title="A table",
            headings=("setting", "accuracy (%)"),
            rows=[("tuned", "81.23"), ("plain", "79.00")],
            data=pa.table({"setting": ["tuned", "plain"], "accuracy": [81.234567, 79.0]}),
            emphasised=frozenset({0}),
            faint=frozenset({1}),
            links={1: "plain/report.html"},
        ),
        Table("cells", "Only cells", ("a", "b"), [("x, y", '"1"')]),
        Table("empty", "Nothing", ("a",), [], note="There are no rows."),
        Figure("curve", "A figure", "How to read it.", drawn()),
        Figure("again", "Another", "The same.", drawn()),
        Figure("none", "No figure", "Too few trials."),
        Text("Words", ["One.", "Two."]),
        Text("Command", ["tuner search"], is_code=True),
        Text("Request", ["a: 1"], is_code=True, is_folded=True),
    ]
    return Document(**{"title": "A report", "findings": ["It works."], "parts": parts} | given)


@pytest.fixture
def storage(tmp_path) -> Storage:
    return Storage(str(tmp_path / "report"))


@pytest.fixture
def page(storage) -> str:
    assert write_document(storage, document()) == storage.path("report.html")
    return storage.read("report.html").decode()


def test_findings_come_first_and_labels_before_them(storage):
    write_document(storage, document(labels=["scaled down: 4 epochs"]))
    page = storage.read("report.html").decode()
    order = ["<h1>", "scaled down: 4 epochs", "It works.", "Workload", "A table", "A figure"]
    places = [page.index(text, page.index("<body>")) for text in order]
    assert places == sorted(places)


def test_a_page_has_no_script_and_asks_for_nothing(page):
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)[1]
    assert policy.startswith("default-src 'none'; ")
    assert "script" not in page
    assert "http:" not in re.sub(r' xmlns(:\w+)?="[^"]+"', "", page)
    assert "https:" not in page


def test_every_figure_and_table_lies_beside_the_page_which_links_to_them(storage, page):
    beside = [
        *(f"figures/{name}.{kind}" for name in ("again", "curve") for kind in ("png", "svg")),
        *(f"tables/{name}.{kind}" for name in ("cells", "one") for kind in ("csv", "parquet")),
    ]
    assert report_files(storage) == ["report.html", *beside]
    assert sorted(re.findall(r'href="((?:figures|tables)/[^"]+)"', page)) == beside
    assert "Too few trials." in page
    assert "There are no rows." in page


def test_a_table_keeps_its_numbers_in_full(storage, page):
    assert "81.23<" in page
    table = pq.read_table(pa.BufferReader(storage.read("tables/one.parquet")))
    assert table["accuracy"].to_pylist() == [81.234567, 79.0]
    assert b"81.234567" in storage.read("tables/one.csv")
    assert storage.read("tables/cells.csv").decode() == '"a","b"\n"x, y","""1"""\n'


def test_rows_that_stand_out_and_rows_that_do_not_count_are_told_apart(page):
    assert '<tr class="emphasised"><td>tuned</td><td class="number">81.23</td>' in page
    assert '<tr class="faint"><td><a href="plain/report.html">plain</a></td>' in page


def test_an_inlined_figure_takes_the_colours_of_the_page(storage, page):
    inlined = "".join(re.findall("<svg.*?</svg>", page, re.DOTALL))
    assert "var(--text)" in inlined
    assert "var(--paper)" in inlined
    assert BLUE in inlined  # what is drawn stays as it is
    assert INK not in inlined
    assert PAPER not in inlined
    # Alone it is a light figure.
    alone = storage.read("figures/curve.svg").decode()
    assert INK in alone
    assert "var(" not in alone


def test_ids_of_several_figures_do_not_collide(page):
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids)) > 10
    referred = set(re.findall(r'href="#([^"]+)"', page)) | set(re.findall(r"url\(#([^)]+)\)", page))
    assert referred
    assert referred <= set(ids)


def test_a_png_is_light_and_fine_enough_for_print(storage, page, tmp_path):
    with Image.open(tmp_path / "report/figures/curve.png") as image:
        assert image.size == (600, 400)  # 3 by 2 inches
        assert min(image.getpixel((0, 0))[:3]) > 250


def test_the_same_document_gives_the_same_bytes(storage, page, tmp_path):
    other = Storage(str(tmp_path / "other"))
    write_document(other, document())
    for name in report_files(storage):
        assert other.read(name) == storage.read(name), name


def test_what_an_earlier_page_left_is_removed(storage, page):
    storage.write("figures/mine.txt", b"of a person's")
    write_document(storage, document(parts=[Figure("curve", "A figure", "", drawn())]))
    assert storage.files("tables") == []
    assert storage.files("figures") == ["curve.png", "curve.svg", "mine.txt"]


@pytest.mark.parametrize("name", ["", "../up", "A B", "a.b", "x" + '"'])
def test_a_name_that_could_not_be_a_files_is_a_bug(storage, name):
    with pytest.raises(ValueError, match="cannot be the name of one"):
        write_document(storage, document(parts=[Figure(name, "", "", drawn())]))
    assert not storage.exists()


def test_two_figures_of_one_name_are_a_bug(storage):
    twice = [Figure("a", "", "", drawn()), Figure("a", "", "", drawn())]
    with pytest.raises(ValueError, match="cannot be the name of one"):
        write_document(storage, document(parts=twice))


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)


def test_text_is_never_markup(storage):
    word = "</svg><script>alert(1)</script>--><b title=\"'&$x^$"

    def page_of(text: str) -> list[str]:
        parts = [
            Figure("a", text, text, drawn(literal("calm"))),
            Table("t", text, (text,), [(text,)], note=text, links={0: text}),
            Text(text, [text]),
            Facts(text, [(text, text)]),
        ]
        write_document(storage, Document(text, [text], parts, [text]))
        return Tags(storage.read("report.html").decode()).tags

    assert page_of(word) == page_of("calm")
    # Letters are drawn, and what matplotlib notes beside them is not kept.
    write_document(storage, document(parts=[Figure("a", "", "", drawn(literal(word)))]))
    assert b"alert" not in storage.read("figures/a.svg")
    assert "alert" not in storage.read("report.html").decode()


def test_what_a_person_set_matplotlib_to_neither_shows_nor_changes(storage, page):
    with matplotlib.rc_context({"figure.facecolor": "red", "font.size": 30, "svg.hashsalt": "x"}):
        before = dict(matplotlib.rcParams)
        write_document(storage, document())
        assert dict(matplotlib.rcParams) == before
    assert storage.read("report.html").decode() == page


def test_pyplot_and_its_state_are_not_used():
    code = (
        "import sys, tuner.reports.search_page, tuner.reports.searches_page\n"
        "from tuner.reports.figure_style import drawing\n"
        "with drawing(): pass\n"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_matplotlib_is_imported_only_where_a_report_is_written():
    code = (
        "import sys, tuner.search, tuner.driver.comparison, tuner.driver.results, tuner.report\n"
        "sys.exit(any(name.partition('.')[0] == 'matplotlib' for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0.01, 1.0, ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1"]),
        (1.0, 8.0, ["1", "2", "3", "5", "7"]),
        (1e-6, 1e3, ["1e-06", "1e-05", "0.0001", "0.001", "0.01", "0.1", "1", "10", "100", "1000"]),
        (3.0, 4.0, ["3", "3.25", "3.5", "3.75", "4"]),
    ],
)
def test_logarithmic_axes_have_few_plain_labels(low, high, labels):
    with drawing() as figure:
        axes = figure.subplots()
        axes.plot([low, high], [0, 1])
        axes.margins(0)
        log_scale(axes, "x")
        figure.draw_without_rendering()
    assert [text.get_text() for text in axes.get_xticklabels()] == labels


@pytest.mark.browser
@pytest.mark.parametrize(("scheme", "is_dark"), [(0, True), (1, False)])
def test_a_browser_shows_the_figures_in_the_readers_scheme(page, tmp_path, scheme, is_dark):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("Chromium is not installed")
    shot = tmp_path / "shot.png"
    subprocess.run(
        [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *("--disable-background-networking", f"--user-data-dir={tmp_path}/profile"),
            f"--blink-settings=preferredColorScheme={scheme}",
            *(
                "--window-size=800,1800",
                f"--screenshot={shot}",
                f"file://{tmp_path}/report/report.html",
            ),
        ],
        capture_output=True,
        timeout=60,
        check=True,
    )
    with Image.open(shot) as image:
        colours = {colour[:3]: number for number, colour in image.convert("RGB").getcolors(2**24)}
    assert colours[tuple(bytes.fromhex(BLUE[1:]))] > 100  # the lines of both figures
    paper = max(colours, key=lambda colour: colours[colour])
    assert (sum(paper) < 150) == is_dark
    # No light rectangle behind a figure of a dark page, nor the other way round.
    opposite = [n for colour, n in colours.items() if (sum(colour) > 382) == is_dark]
    assert sum(opposite) < 0.05 * sum(colours.values())

"""The page that any document becomes, with its figures and tables beside it."""

import re
from functools import cache
from html.parser import HTMLParser

import matplotlib
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib.figure import Figure as Drawing
from PIL import Image

from tuner.reports.document import Document, Facts, Figure, Table, Text
from tuner.reports.figure_style import BLUE, INK, PAPER, drawing, legend_above, literal
from tuner.reports.page import report_files, write_document
from tuner.storage.folder import Storage


@cache
def drawn(title: str = "") -> Drawing:
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


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Storage:
    storage = Storage(str(tmp_path_factory.mktemp("report")))
    assert write_document(storage, document()) == storage.path("report.html")
    return storage


@pytest.fixture(scope="module")
def page(written) -> str:
    return written.read("report.html").decode()


@pytest.fixture
def storage(tmp_path) -> Storage:
    return Storage(str(tmp_path / "report"))


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


def test_every_figure_and_table_lies_beside_the_page_which_links_to_them(written, page):
    beside = [
        *(f"figures/{name}.{kind}" for name in ("again", "curve") for kind in ("png", "svg")),
        *(f"tables/{name}.{kind}" for name in ("cells", "one") for kind in ("csv", "parquet")),
    ]
    assert report_files(written) == ["report.html", *beside]
    assert sorted(re.findall(r'href="((?:figures|tables)/[^"]+)"', page)) == beside
    assert "Too few trials." in page
    assert "There are no rows." in page


def test_a_table_keeps_its_numbers_in_full(written, page):
    assert "81.23<" in page
    table = pq.read_table(pa.BufferReader(written.read("tables/one.parquet")))
    assert table["accuracy"].to_pylist() == [81.234567, 79.0]
    assert b"81.234567" in written.read("tables/one.csv")
    assert written.read("tables/cells.csv").decode() == '"a","b"\n"x, y","""1"""\n'


def test_emphasised_and_faint_rows_are_marked(page):
    assert '<tr class="emphasised"><td>tuned</td><td class="number">81.23</td>' in page
    assert '<tr class="faint"><td><a href="plain/report.html">plain</a></td>' in page


def test_an_inlined_figure_takes_the_colours_of_the_page(written, page):
    inlined = "".join(re.findall("<svg.*?</svg>", page, re.DOTALL))
    assert "var(--text)" in inlined
    assert "var(--paper)" in inlined
    assert BLUE in inlined  # what is drawn stays as it is
    assert INK not in inlined
    assert PAPER not in inlined
    # Alone it is a light figure.
    alone = written.read("figures/curve.svg").decode()
    assert INK in alone
    assert "var(" not in alone


def test_ids_of_several_figures_do_not_collide(page):
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids)) > 10
    referred = set(re.findall(r'href="#([^"]+)"', page)) | set(re.findall(r"url\(#([^)]+)\)", page))
    assert referred
    assert referred <= set(ids)


def test_a_png_is_light_and_fine_enough_for_print(written):
    with Image.open(written.path("figures/curve.png")) as image:
        assert image.size == (600, 400)  # 3 by 2 inches
        assert min(image.getpixel((0, 0))[:3]) > 250


def test_the_same_document_gives_the_same_bytes(written, storage):
    drawn.cache_clear()
    write_document(storage, document())
    assert report_files(storage) == report_files(written)
    for name in report_files(storage):
        assert storage.read(name) == written.read(name), name


def test_what_an_earlier_page_left_is_removed(storage):
    write_document(storage, document())
    storage.write("figures/mine.txt", b"the user's")
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


def test_the_users_settings_of_matplotlib_neither_show_nor_change(storage, page):
    drawn.cache_clear()
    with matplotlib.rc_context({"figure.facecolor": "red", "font.size": 30, "svg.hashsalt": "x"}):
        before = dict(matplotlib.rcParams)
        write_document(storage, document())
        assert dict(matplotlib.rcParams) == before
    assert storage.read("report.html").decode() == page

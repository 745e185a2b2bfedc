"""Writes a document as a self-contained page that needs neither a network nor scripts.

report.html has its figures beside it as PNG and SVG, its tables as CSV and Parquet. The same
document gives the same bytes.
"""

import html
import io
import re
import warnings

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure as Drawing

from tuner.reports.document import Document, Facts, Figure, Table
from tuner.reports.figure_style import FAINT, GRID, INK, PAPER, style
from tuner.storage.folder import Storage

REPORT_FILE = "report.html"
FIGURES, TABLES = "figures", "tables"  # folders beside it

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")  # of a figure or table: used in file names and ids
_VARIABLES = {INK: "--text", FAINT: "--faint", GRID: "--line", PAPER: "--paper"}  # of style.html
_NOT_DRAWN = re.compile(r"<!--.*?-->\s*|<metadata>.*?</metadata>\s*", re.DOTALL)
_GLOBAL_STYLE = re.compile(r"<defs>\s*<style.*?</style>\s*</defs>\s*", re.DOTALL)
_REFERENCE = re.compile(r'(\bid="|href="#|url\(#)')


def write_document(storage: Storage, document: Document) -> str:
    """Writes the page, its figures and its tables into a folder; returns the page's path.

    Removes the figures and tables of an earlier page in the same folder. Raises ValueError if a
    figure or table has a name that is taken or cannot be a file's.
    """
    figures = [p for p in document.parts if isinstance(p, Figure) and p.drawing is not None]
    tables = [p for p in document.parts if isinstance(p, Table) and p.rows]
    _check_names([part.name for part in figures])
    _check_names([part.name for part in tables])
    files: dict[str, bytes] = {}
    pictures: dict[str, Markup] = {}
    for figure in figures:
        assert figure.drawing is not None  # as chosen above
        png, svg = _drawn(figure.drawing)
        files[f"{FIGURES}/{figure.name}.png"] = png
        files[f"{FIGURES}/{figure.name}.svg"] = svg.encode()
        pictures[figure.name] = _inlined(svg, figure)
    for table in tables:
        data = _data(table)
        files[f"{TABLES}/{table.name}.csv"] = _csv(data)
        files[f"{TABLES}/{table.name}.parquet"] = _parquet(data)
    page = _environment().get_template("page.html").render(document=document, pictures=pictures)
    for name, content in files.items():
        storage.write(name, content, sync=False)  # can be rebuilt
    storage.write(REPORT_FILE, page.encode())
    for name in report_files(storage):
        if name not in files and name != REPORT_FILE:
            storage.delete(name)
    return storage.path(REPORT_FILE)


def report_files(storage: Storage) -> list[str]:
    """Names of a report's files in a folder: the page, its figures and its tables."""
    names = [
        f"{folder}/{name}"
        for folder, endings in ((FIGURES, (".png", ".svg")), (TABLES, (".csv", ".parquet")))
        for name in storage.files(folder)
        if name.endswith(endings)
    ]
    return [REPORT_FILE, *names] if storage.exists(REPORT_FILE) else names


def _check_names(names: list[str]) -> None:
    for name in names:
        if not _NAME.fullmatch(name) or names.count(name) > 1:
            raise ValueError(f"{name!r} cannot be the name of one figure or table")


def _environment() -> Environment:
    """Jinja that escapes everything and refuses undefined names."""
    environment = Environment(
        loader=PackageLoader("tuner", "reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for kind in (Table, Figure, Facts):
        environment.tests[kind.__name__.lower()] = lambda part, kind=kind: isinstance(part, kind)
    return environment


def _drawn(drawing: Drawing) -> tuple[bytes, str]:
    """A drawing as PNG and SVG, without the dates and versions that matplotlib adds."""
    png, svg = io.BytesIO(), io.BytesIO()
    with style(), warnings.catch_warnings():
        # Names from outside may hold letters that the font lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        drawing.draw_without_rendering()
        drawing.set_layout_engine("none")  # laid out once for both formats
        drawing.savefig(png, format="png", metadata={"Software": None})
        drawing.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return png.getvalue(), _NOT_DRAWN.sub("", svg.getvalue().decode())


def _inlined(svg: str, figure: Figure) -> Markup:
    """An SVG for the page itself: in its colours, with ids that no other figure has."""
    svg = _GLOBAL_STYLE.sub("", svg[svg.index("<svg") :])
    svg = _REFERENCE.sub(rf"\g<1>{figure.name}-", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    label = html.escape(figure.title)
    return Markup(svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1))


def _data(table: Table) -> pa.Table:
    if table.data is not None:
        return table.data
    columns = [pa.array(column, pa.string()) for column in zip(*table.rows, strict=True)]
    return pa.Table.from_arrays(columns, names=list(table.headings))


def _csv(data: pa.Table) -> bytes:
    content = io.BytesIO()
    pyarrow.csv.write_csv(data, content)
    return content.getvalue()


def _parquet(data: pa.Table) -> bytes:
    content = io.BytesIO()
    pq.write_table(data, content)
    return content.getvalue()

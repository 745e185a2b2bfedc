"""The parts of a report: findings in words, then tables, figures, facts and text.

`page.write_document` turns a `Document` into one self-contained page, with each table also as CSV
and Parquet and each figure also as PNG and SVG.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:  # a document without figures needs no matplotlib
    from matplotlib.figure import Figure as Drawing


@dataclass(frozen=True)
class Table:
    """Cells as text, and the numbers behind them."""

    name: str  # of its files: tables/NAME.csv and tables/NAME.parquet
    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]  # one cell per heading
    data: pa.Table | None = None  # at full precision; None: the files hold the cells
    note: str = ""  # how to read it
    num_text_columns: int = 1  # from the left; the others are numbers and aligned right
    emphasised: frozenset[int] = frozenset()  # indices of rows
    faint: frozenset[int] = frozenset()  # indices of rows that do not count
    links: Mapping[int, str] = field(default_factory=dict)  # of a row's first cell, by index


@dataclass(frozen=True)
class Figure:
    """A drawing with its title and caption; without a drawing the caption says why."""

    name: str  # of its files: figures/NAME.png and figures/NAME.svg
    title: str
    caption: str
    drawing: "Drawing | None" = None


@dataclass(frozen=True)
class Text:
    """Paragraphs or lines of code under a title."""

    title: str
    paragraphs: Sequence[str]
    is_code: bool = False
    is_folded: bool = False  # hidden until the reader opens it


@dataclass(frozen=True)
class Facts:
    """Names and values, in two columns."""

    title: str
    facts: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Document:
    """A whole report, before it is written."""

    title: str
    findings: Sequence[str]  # what was found, one paragraph each
    parts: Sequence[Table | Figure | Text | Facts]
    labels: Sequence[str] = ()  # what limits all of it, such as "scaled down: 4 epochs"

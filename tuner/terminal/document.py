"""Prints a report's findings and tables; its figures are on the page only."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table as Printed

from tuner.reports.document import Document, Table

MAX_ROWS = 20
ONLY_ON_PAGE = ("hyperparameters",)  # long tables


def print_document(document: Document, console: Console) -> None:
    """Prints the findings, then the tables."""
    for finding in document.findings:
        console.print(escape(finding), soft_wrap=True)
    for part in document.parts:
        if isinstance(part, Table) and part.rows and part.name not in ONLY_ON_PAGE:
            console.print()
            console.print(_printed(part))


def _printed(table: Table) -> Printed:
    printed = Printed(
        title=escape(table.title), title_justify="left", box=None, header_style="bold",
        pad_edge=False,
    )  # fmt: skip
    for number, heading in enumerate(table.headings):
        is_text = number < table.num_text_columns
        printed.add_column(escape(heading), justify="left" if is_text else "right", overflow="fold")
    for number, row in enumerate(table.rows[:MAX_ROWS]):
        style = "bold" if number in table.emphasised else None
        printed.add_row(*map(escape, row), style=style)
    return printed

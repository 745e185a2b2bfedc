"""Prints what surrounds a reproduction: the list of all, its heading, its end."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tuner.config.run_folder import resume_command
from tuner.reports.document import Document
from tuner.reproductions.catalogue import CATALOGUE
from tuner.reproductions.planning import Reproduction
from tuner.terminal.document import print_document
from tuner.terminal.outcome import print_mlflow
from tuner.tracking.mirror import Mirror


def print_list() -> None:
    """The name and the title of every reproduction."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("what it shows")
    for name, entry in CATALOGUE.items():
        table.add_row(name, entry.experiment.title)
    Console(highlight=False).print(table)


def print_heading(reproduction: Reproduction) -> None:
    """Name and title, the departures from the paper's protocol, and what is left out."""
    console = Console(highlight=False, soft_wrap=True)
    title = reproduction.experiment.title
    console.print(f"[bold]{escape(reproduction.name)}[/]: {escape(title)}")
    if reproduction.departures:
        departures = escape("; ".join(reproduction.departures))
        console.print(f"[yellow]scaled down:[/] {departures}")
    for text in reproduction.left_out:
        console.print(f"[dim]left out: {escape(text)}[/]")


def print_end(
    reproduction: Reproduction, document: Document, report: str, mirror: Mirror | None, page: str
) -> None:
    """The findings and tables, where the report is, and how to see its `page` in MLflow."""
    console = Console(highlight=False)
    console.print()
    print_document(document, console)
    console.print(f"\nreport:  {escape(report)}", soft_wrap=True)
    if mirror is not None:
        print_mlflow(
            mirror, page, resume_command(reproduction.storage, reproduction.request), console
        )

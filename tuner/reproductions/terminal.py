"""A report's words and tables in the terminal; its figures are in the page."""

from rich.console import Console
from rich.markup import escape

from tuner.reproductions.experiment import Reproduction


def print_limits(reproduction: Reproduction, console: Console) -> None:
    """How it differs from the paper's own experiment, and what does not fit the networks."""
    if reproduction.labels:
        labels = escape("; ".join(reproduction.labels))
        console.print(f"[yellow]scaled down:[/] {labels}", soft_wrap=True)
    for text in reproduction.left_out:
        console.print(f"[dim]left out: {escape(text)}[/]", soft_wrap=True)

"""`python -m tuner.reproduce NAME`: a paper's table or figure, published beside measured."""

import difflib
import json
import sys

from rich.console import Console
from rich.markup import escape
from rich.table import Table as Printed

from tuner.config.command import run_command
from tuner.config.command_line import parser_for, read_request
from tuner.config.options import ReproduceRequest
from tuner.text.errors import RequestError


def main(arguments: list[str] | None = None, prog: str = "python -m tuner.reproduce") -> int:
    """Runs the command; returns 0 done, 1 nothing finished, 2 bad request, 130 interrupted."""
    return run_command(lambda: _command(arguments, prog))


def _command(arguments: list[str] | None, prog: str) -> int:
    parser = parser_for(
        ReproduceRequest, prog, "Runs an experiment of a paper and writes its table or figure."
    )
    general = parser.general
    general.add_argument("--list", action="store_true", help="list what can be reproduced")
    general.add_argument(
        "--dry-run",
        action="store_true",
        help="show what would be trained, what exists already, and how long the rest takes",
    )
    shown = general.add_mutually_exclusive_group()
    shown.add_argument("--quiet", action="store_true", help="print nothing until the end")
    shown.add_argument(
        "--json", action="store_true", help="print one JSON object per training, then the result"
    )
    given = vars(parser.parse_args(arguments))
    wants_list, dry_run = given.pop("list", False), given.pop("dry_run", False)
    quiet, as_json = given.pop("quiet", False), given.pop("json", False)

    from tuner.reproductions import EXPERIMENTS

    if wants_list or not ({"reproduction", "config"} & set(given)):
        return _print_list()
    request = read_request(ReproduceRequest, given)
    if request.reproduction not in EXPERIMENTS:
        close = difflib.get_close_matches(request.reproduction, EXPERIMENTS, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise RequestError(
            f"unknown reproduction {request.reproduction!r}; {hint}known: {', '.join(EXPERIMENTS)}"
        )
    mode = "json" if as_json else "quiet" if quiet else "auto"
    return _reproduce(request, mode, dry_run=dry_run)


def _reproduce(request: ReproduceRequest, mode: str, *, dry_run: bool) -> int:
    from tuner.config.run_folder import resume_command
    from tuner.reproductions import EXPERIMENTS
    from tuner.reproductions.forecast import print_plan
    from tuner.reproductions.page import write_report
    from tuner.reproductions.planning import plan_reproduction
    from tuner.reproductions.publishing import publish_reproduction
    from tuner.reproductions.running import (
        InterruptedRunError,
        check_begun,
        fitting,
        machines_of,
        run_reproduction,
    )
    from tuner.reproductions.terminal import print_limits
    from tuner.storage.folder import SEARCH_FILE
    from tuner.terminal.document import print_document
    from tuner.terminal.outcome import print_interrupted, print_mlflow

    reproduction = plan_reproduction(EXPERIMENTS[request.reproduction], request)
    reproduction, left_out = fitting(reproduction)
    check_begun(reproduction)
    if dry_run:
        print_plan(reproduction)
        return 0
    console = Console(highlight=False)
    if mode == "auto":
        console.print(f"[bold]{escape(reproduction.experiment.title)}[/]", soft_wrap=True)
        print_limits(reproduction, console)
    command = resume_command(reproduction.storage, request)
    try:
        with machines_of(reproduction):
            results, mirror = run_reproduction(reproduction, left_out, mode=mode)
            report, document = write_report(results)
    except InterruptedRunError as interrupted:
        print_interrupted(interrupted.run, command)
        return 130
    except KeyboardInterrupt:
        message = "interrupted: nothing has started"
        if reproduction.storage.exists(SEARCH_FILE):
            message = f"interrupted: what is done is kept; resume with\n  {command}"
        print(message, file=sys.stderr)  # noqa: T201
        return 130
    page = "" if mirror is None else publish_reproduction(results, mirror, document)
    if mode == "json":
        content = {
            "reproduction": reproduction.name,
            "labels": list(reproduction.labels),
            "findings": list(document.findings),
            "problem": "" if mirror is None else mirror.problem,
            "report": report,
        }
        print(json.dumps(content))  # noqa: T201
        return 0
    console.print()
    print_document(document, console)
    console.print(f"\nreport:  {escape(report)}", soft_wrap=True)
    if mirror is not None:
        print_mlflow(mirror, page, command, console)
    return 0


def _print_list() -> int:
    from tuner.reproductions import EXPERIMENTS

    table = Printed(box=None, header_style="bold", pad_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("what it is")
    for experiment in EXPERIMENTS.values():
        table.add_row(experiment.name, experiment.title)
    Console(highlight=False).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m tuner.reproduce NAME`: reproduces a paper's table or figure."""

import json
import sys
from typing import TYPE_CHECKING

from tuner.config.command import run_command
from tuner.config.command_line import parser_for, read_request
from tuner.config.options import ReproduceRequest

if TYPE_CHECKING:
    from tuner.reports.document import Document
    from tuner.reproductions.planning import Reproduction
    from tuner.tracking.mirror import Mirror


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
        help="show what would be trained, what is finished already and how long the rest takes",
    )
    shown = general.add_mutually_exclusive_group()
    shown.add_argument("--quiet", action="store_true", help="print nothing until the end")
    shown.add_argument(
        "--json", action="store_true", help="print one JSON object per training, then the result"
    )
    given = vars(parser.parse_args(arguments))
    wants_list, dry_run = given.pop("list", False), given.pop("dry_run", False)
    quiet, as_json = given.pop("quiet", False), given.pop("json", False)
    if wants_list or not ({"reproduction", "config"} & set(given)):
        from tuner.reproductions.terminal import print_list

        print_list()
        return 0
    mode = "json" if as_json else "quiet" if quiet else "auto"
    return _reproduce(read_request(ReproduceRequest, given), mode, dry_run=dry_run)


def _reproduce(request: ReproduceRequest, mode: str, *, dry_run: bool) -> int:
    from tuner.config.run_folder import resume_command
    from tuner.driver.task_group import InterruptedRunError
    from tuner.reproductions.catalogue import find_entry
    from tuner.reproductions.dry_run import print_plan
    from tuner.reproductions.page import write_report
    from tuner.reproductions.planning import plan_reproduction
    from tuner.reproductions.publishing import publish_reproduction
    from tuner.reproductions.running import (
        check_begun,
        find_unfit,
        machines_for,
        run_reproduction,
        without,
    )
    from tuner.reproductions.terminal import print_heading
    from tuner.terminal.outcome import print_interrupted

    entry = find_entry(request.reproduction)
    reproduction = plan_reproduction(entry.experiment, request)
    entry.check(reproduction)
    left_out = find_unfit(reproduction)
    reproduction = without(reproduction, left_out)
    check_begun(reproduction)
    if dry_run:
        print_plan(reproduction)
        return 0
    if mode == "auto":
        print_heading(reproduction)
    command = resume_command(reproduction.storage, request)
    try:
        with machines_for(reproduction) as call:
            results, mirror = run_reproduction(reproduction, left_out, call, mode=mode)
            report, document = write_report(results, entry.artefact(results))
    except InterruptedRunError as interrupted:
        print_interrupted(interrupted.run, command)
        return 130
    except KeyboardInterrupt:
        return _interrupted(reproduction, command)
    page = "" if mirror is None else publish_reproduction(results, mirror, document)
    _print_result(reproduction, document, report, mirror, page, mode)
    return 0


def _interrupted(reproduction: "Reproduction", command: str) -> int:
    """Handles Ctrl-C between the trainings, for example while something is measured."""
    from tuner.storage.folder import SEARCH_FILE

    text = "nothing has started"
    if reproduction.storage.exists(SEARCH_FILE):
        text = f"everything finished is kept; resume with\n  {command}"
    print(f"interrupted: {text}", file=sys.stderr)  # noqa: T201
    return 130


def _print_result(
    reproduction: "Reproduction",
    document: "Document",
    report: str,
    mirror: "Mirror | None",
    page: str,
    mode: str,
) -> None:
    from tuner.reproductions.terminal import print_end

    if mode == "json":
        content = {
            "reproduction": reproduction.name,
            "labels": list(reproduction.departures),
            "findings": list(document.findings),
            "problem": "" if mirror is None else mirror.problem,
            "report": report,
        }
        print(json.dumps(content))  # noqa: T201
        return
    print_end(reproduction, document, report, mirror, page)


if __name__ == "__main__":
    sys.exit(main())

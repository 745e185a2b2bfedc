"""`python -m tuner.search`: searches the hyperparameters of a distillation."""

import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from tuner.config.command import run_command
from tuner.config.command_line import parser_for, read_request, read_started
from tuner.config.options import SearchRequest
from tuner.config.yaml_file import read_yaml
from tuner.text.errors import RequestError

if TYPE_CHECKING:
    from tuner.planning.search import Search
    from tuner.storage.folder import Storage


def main(arguments: list[str] | None = None, prog: str = "python -m tuner.search") -> int:
    """Runs the command; returns 0 done, 1 no trial finished, 2 bad request, 130 interrupted."""
    return run_command(lambda: _command(arguments, prog))


def _command(arguments: list[str] | None, prog: str) -> int:
    parser = parser_for(SearchRequest, prog, "Searches the hyperparameters of a distillation.")
    general = parser.general
    general.add_argument("--resume", metavar="NAME", help="resume an interrupted search")
    general.add_argument(
        "--dry-run",
        action="store_true",
        help="show what would run, without starting it; with --address also how many trials fit "
        "and how long the search takes",
    )
    shown = general.add_mutually_exclusive_group()
    shown.add_argument("--quiet", action="store_true", help="print nothing until the end")
    shown.add_argument(
        "--json", action="store_true", help="print one JSON object per trial, then the result"
    )
    given = vars(parser.parse_args(arguments))
    quiet, as_json = given.pop("quiet", False), given.pop("json", False)
    return _search(given, "json" if as_json else "quiet" if quiet else "auto")


def _search(given: dict[str, Any], mode: str) -> int:
    resume, dry_run = given.pop("resume", None), given.pop("dry_run", False)
    request = _resumed_request(resume, given) if resume else read_request(SearchRequest, given)

    from tuner.config.run_folder import resume_command
    from tuner.driver.comparison import run_comparison
    from tuner.driver.ending import conclude
    from tuner.driver.watched_run import run_watched
    from tuner.planning.comparison import is_comparison, plan_comparison
    from tuner.planning.search import plan_search
    from tuner.terminal.dry_run import print_heading, print_plan, print_searches
    from tuner.terminal.outcome import print_interrupted

    if is_comparison(request):
        comparison = plan_comparison(request)
        if dry_run:
            print_searches(comparison.name, comparison.searches)
            _print_estimates(comparison.searches)
            return 0
        return run_comparison(comparison, resume=bool(resume), mode=mode)
    search = plan_search(request)
    if dry_run:
        print_plan(search)
        _print_estimates([search])
        return 0
    run, mirror = run_watched(
        search, resume=bool(resume), mode=mode, heading=partial(print_heading, search)
    )
    if run.interrupted:
        print_interrupted(run, resume_command(search.storage, search.request))
        return 130
    return conclude(run, mirror, as_json=mode == "json")


def _print_estimates(searches: "Sequence[Search]") -> None:
    """Prints how long searches would take on the cluster at --address, if one is given."""
    if searches[0].request.address is None:
        return
    from tuner.orchestration.cluster import ray_for
    from tuner.orchestration.measured_estimate import estimate
    from tuner.terminal.dry_run import print_estimate

    with ray_for(searches[0]):
        for search in searches:
            print_estimate(search.space.method, estimate(search))


def _refuse_reproduction(runs: "Storage", name: str) -> None:
    """Raises RequestError for a reproduction or a part of one, whose plan is fixed."""
    from tuner.config.run_folder import is_reproduction, resume_command

    storage = runs.sub(name.partition("/")[0])
    if is_reproduction(storage):
        raise RequestError(
            f"{name} is a reproduction, not a search; resume it with `{resume_command(storage)}`"
        )


def _resumed_request(name: str, given: dict[str, Any]) -> SearchRequest:
    """The request that a search started with. Raises RequestError where `given` differs."""
    from tuner.storage.folder import Storage, existing

    config = given.get("config")
    options = (read_yaml(config) if config else {}) | given
    runs = Storage(str(options.get("runs_dir", SearchRequest.model_fields["runs_dir"].default)))
    existing(runs, name)
    _refuse_reproduction(runs, name)
    from search_spaces import SpaceError
    from tuner.config.run_folder import check_unchanged
    from tuner.planning.comparison import is_comparison, plan_comparison
    from tuner.planning.search import plan_search

    def resolve(request: SearchRequest) -> SearchRequest:
        return (plan_comparison if is_comparison(request) else plan_search)(request).request

    request = read_started(SearchRequest, runs, name, given)
    # Resolved, because there are several ways to write the same name or path.
    started = resolve(read_started(SearchRequest, runs, name))
    try:
        resolved = resolve(request)
    except SpaceError:  # another space, whose hyperparameters are not those of --set
        resolved = request
    check_unchanged(name, started, resolved, "leave it out to resume, or start a new search")
    return request


if __name__ == "__main__":
    sys.exit(main())

"""`python -m benchmarks decisions record` and `replay`: how well a search decides.

`record` trains what the tables lack; `replay` runs whole searches on the tables and on a
surrogate, and prints how much accuracy each strategy loses against the best setting.
"""

import argparse
import json
import statistics
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table as Columns

from benchmarks.decisions import record
from benchmarks.decisions.replay import Outcome, replay
from benchmarks.decisions.strategies import strategies
from benchmarks.decisions.surrogate import Surrogate
from benchmarks.decisions.worlds import OneSeedError, Table, World
from benchmarks.tables import RESULTS
from search_spaces import Space
from tuner.text.errors import RequestError

# Of the published setting, as measured on the digits.
SURROGATES = {"itrd": 0.44, "mimkd": 1.0}


def main(arguments: list[str]) -> int:
    """Returns 0, or 2 for a bad request."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks decisions", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    record.add_arguments(commands.add_parser("record", help=record.__doc__))
    replayed = commands.add_parser("replay", help="search on the tables and on the surrogate")
    replayed.add_argument("--trials", type=int, nargs="+", default=[16, 32, 64])
    replayed.add_argument("--searches", type=int, default=100, help="of each strategy")
    replayed.add_argument(
        "--trainings", type=float, help="no trial begins after so many full trainings"
    )
    replayed.add_argument("--output", type=Path, default=RESULTS / "decisions.json")
    given = parser.parse_args(arguments)
    try:
        if given.command == "record":
            record.run(given)
        else:
            _replay(given)
    except RequestError as error:
        parser.error(str(error))
    return 0


def _replay(given: argparse.Namespace) -> None:
    columns = Columns(
        "world", "strategy", "trials", "regret", "worse than published", "trainings", "finals",
        box=None,
    )  # fmt: skip
    rows = []
    for name, world_of in _worlds():
        for strategy in strategies():
            for num_trials in given.trials:
                outcomes = [
                    replay(
                        world_of(seed),
                        strategy,
                        num_trials=num_trials,
                        seed=seed,
                        budget=given.trainings,
                    )
                    for seed in range(given.searches)
                ]
                row = {"world": name, "strategy": strategy.name, "trials": num_trials}
                row |= _summary(outcomes)
                rows.append(row)
                columns.add_row(*map(str, row.values()))
                given.output.parent.mkdir(parents=True, exist_ok=True)
                given.output.write_text(json.dumps(rows, indent=1) + "\n")
    Console(width=120).print(columns)


def _summary(outcomes: list[Outcome]) -> dict[str, str]:
    """Means over searches with their standard errors."""
    regrets = [one.regret for one in outcomes]
    worse = statistics.mean(one.gain < 0 for one in outcomes)
    error = statistics.stdev(regrets) / len(regrets) ** 0.5
    return {
        "regret": f"{statistics.mean(regrets):.2f} ± {error:.2f}",
        "worse": f"{100 * worse:.0f} %",
        "trainings": f"{statistics.mean(one.trainings for one in outcomes):.1f}",
        "finals": f"{statistics.mean(one.finals for one in outcomes):.1f}",
    }


def _worlds() -> Iterator[tuple[str, Callable[[int], World]]]:
    """Each world's name, and its world for a search's seed: every surrogate has a best setting."""
    for method, regret in SURROGATES.items():
        space = record.space_of(method)
        yield f"surrogate of {method}", partial(_surrogate, space, regret)
        path = record.table_of(method)
        if path.exists():
            try:
                table = Table(path, space, record.EPOCHS, record.drops())
            except OneSeedError as error:
                print(f"{error}; it is left out")  # noqa: T201
                continue
            yield method, lambda seed, table=table: table  # type: ignore[misc]


def _surrogate(space: Space, regret: float, seed: int) -> Surrogate:
    return Surrogate(space, published_regret=regret, seed=seed)

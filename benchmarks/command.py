"""`python -m benchmarks NAME`: measures, prints a table, writes JSON.

`gpu` and `decisions` have commands of their own.
"""

import argparse
from pathlib import Path

import torch
from rich.console import Console

from benchmarks import loader, losses, memory, overhead, search, sharing, trial
from benchmarks.tables import RESULTS, print_table, write_json
from benchmarks.timing import Row
from tuner.config.environment import set_library_defaults
from tuner.config.options import default_data_dir
from tuner.text.errors import RequestError

BENCHMARKS = {
    "trial": trial,
    "losses": losses,
    "loader": loader,
    "sharing": sharing,
    "search": search,
    "overhead": overhead,
    "memory": memory,
}


def main(arguments: list[str]) -> int:
    """Returns 0, or 2 for a bad request."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="benchmark", required=True)
    for name, module in BENCHMARKS.items():
        command = commands.add_parser(name, help=module.__doc__, description=module.__doc__)
        _add_common_arguments(command, name)
        module.add_arguments(command)
    given = parser.parse_args(arguments)
    set_library_defaults()
    torch.set_num_threads(given.threads)
    try:
        _run(given, arguments)
    except RequestError as error:
        parser.error(str(error))
    return 0


def _add_common_arguments(parser: argparse.ArgumentParser, name: str) -> None:
    parser.add_argument("--data", metavar="SPEC", default="cifar10", help="as for tuner.search")
    parser.add_argument("--data-dir", metavar="DIR", default=default_data_dir())
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch; default: 1")
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        default=RESULTS / f"{name}.json",
        help=f"default: benchmarks/results/{name}.json",
    )


def _run(given: argparse.Namespace, arguments: list[str]) -> None:
    progress = Console(stderr=True)
    rows: list[Row] = []
    for more in BENCHMARKS[given.benchmark].run(given):
        rows += more
        # After each part: what has been measured survives Ctrl-C.
        write_json(given.output, given.benchmark, arguments, rows)
        progress.print(f"measured: {', '.join(more[0].labels.values())}", highlight=False)
    print_table(given.benchmark, rows)
    progress.print(f"written: {given.output}", highlight=False)

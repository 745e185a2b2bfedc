"""`tuner cache`: lists, checks, prunes or precomputes stored teacher outputs."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tuner.config.command import run_command
from tuner.config.command_line import Parser, Request, parser_for, read_request
from tuner.config.options import CacheRequest, PrecomputeRequest, PruneRequest, SearchRequest
from tuner.text.errors import RequestError
from tuner.text.time_left import Milestones, left_text, seconds_left

if TYPE_CHECKING:
    from tuner.teacher_cache.maintenance import StoredEntry, StoredOutput

WIDTH = 120  # of a table that is not shown in a terminal


def main(arguments: list[str] | None = None, prog: str = "python -m tuner.cache") -> int:
    """Runs the command; returns 0, 1 for damaged shards or a full disk, or 2 for a bad request."""
    return run_command(lambda: _cache(sys.argv[1:] if arguments is None else arguments, prog))


def _cache(arguments: list[str], prog: str) -> int:
    parser = Parser(
        prog=prog,
        description="Stored teacher outputs, which all searches with the same --data-dir share.",
        epilog="\n".join(f"  {name:<11} {text}" for name, (text, _) in COMMANDS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", nargs="?", metavar="COMMAND", help="one of the commands below")
    name = parser.parse_args(arguments[:1]).command
    name = ALIASES.get(name, name)
    if name not in COMMANDS:
        raise RequestError(
            f"{'give a command' if name is None else f'unknown command {name!r}'}; "
            f"known: {', '.join(COMMANDS)}; see {prog} --help"
        )
    text, command = COMMANDS[name]
    return command(arguments[1:], f"{prog} {name}", f"{text[0].upper()}{text[1:]}.")


def _list(arguments: list[str], prog: str, description: str) -> int:
    parser = parser_for(CacheRequest, prog, description)
    parser.general.add_argument("--json", action="store_true", help="print one JSON object")
    request, as_json = _read(CacheRequest, parser, arguments, "json")

    from rich.console import Console
    from rich.filesize import decimal
    from rich.markup import escape
    from rich.table import Table

    from tuner.config.workload import absolute
    from tuner.teacher_cache.maintenance import read_entries
    from tuner.teacher_cache.store import cache_folder

    root = cache_folder(absolute(request.data_dir))
    entries = read_entries(root)
    num_bytes = sum(entry.num_bytes for entry in entries)
    if as_json:
        content = [entry.as_json() for entry in entries]
        print(json.dumps({"folder": str(root), "bytes": num_bytes, "entries": content}))  # noqa: T201
        return 0
    if not entries:
        print(f"{root} holds no teacher outputs yet")  # noqa: T201
        return 0
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("id", "teacher", "data", "seed", "outputs", "epochs", "size", "last used"):
        table.add_column(column, no_wrap=column != "outputs", overflow="fold")
    for entry in entries:
        about = [escape(str(entry.about.get(key, "?"))) for key in ("teacher", "data", "seed")]
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.last_used))
        left, right = [entry.folder.name, *about], [decimal(entry.num_bytes), when]
        for (precision, epochs), names in _grouped(entry.outputs).items() or {("", ""): []}.items():
            table.add_row(*left, f"{', '.join(names)} {precision}", epochs, *right)
            left, right = [""] * 4, [""] * 2
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, WIDTH)
    console.print(table)
    console.print(f"{decimal(num_bytes)} in {escape(str(root))}", soft_wrap=True)
    return 0


def _read(
    model: type[Request], parser: argparse.ArgumentParser, arguments: list[str], flag: str
) -> tuple[Request, bool]:
    """Returns the request, and whether `flag`, which is not part of it, was given."""
    given = vars(parser.parse_args(arguments))
    is_given: bool = given.pop(flag, False)
    return read_request(model, given), is_given


def _grouped(outputs: Iterable["StoredOutput"]) -> dict[tuple[str, str], list[str]]:
    """Names of outputs by (precision, augmented epochs), mostly the same for all."""
    names: dict[tuple[str, str], list[str]] = {}
    for output in outputs:
        partial = f" + {output.num_partial} partial" if output.num_partial else ""
        epochs = f"{output.num_complete}{partial}"
        names.setdefault((output.precision, epochs), []).append(output.name)
    return names


def _check(arguments: list[str], prog: str, description: str) -> int:
    parser = parser_for(CacheRequest, prog, description)
    parser.general.add_argument("--dry-run", action="store_true", help="delete nothing")
    request, dry_run = _read(CacheRequest, parser, arguments, "dry_run")

    from rich.filesize import decimal

    from tuner.config.workload import absolute
    from tuner.teacher_cache.maintenance import check_shards, read_entries, remove_stale
    from tuner.teacher_cache.store import cache_folder
    from tuner.text.formatting import count_text

    root = cache_folder(absolute(request.data_dir))
    total = sum(entry.num_bytes for entry in read_entries(root))
    num_shards = num_damaged = num_bytes = 0
    with _progress("checking") as show_progress:
        for shard in check_shards(root, dry_run=dry_run):
            num_shards += 1
            num_bytes += shard.num_bytes
            show_progress(num_bytes, total)
            if shard.is_damaged:
                num_damaged += 1
                print(f"{shard.path}: damaged{'' if dry_run else ', deleted'}")  # noqa: T201
    num_stale = 0 if dry_run else remove_stale(root)
    if num_stale:
        print(f"removed {count_text(num_stale, 'file')} left by dead processes")  # noqa: T201
    read = f"read {count_text(num_shards, 'shard')} ({decimal(num_bytes)})"
    print(f"{read}, {num_damaged} damaged")  # noqa: T201
    return 1 if num_damaged else 0


def _prune(arguments: list[str], prog: str, description: str) -> int:
    parser = parser_for(PruneRequest, prog, description)
    parser.general.add_argument(
        "--dry-run", action="store_true", help="only list what would be deleted"
    )
    request, dry_run = _read(PruneRequest, parser, arguments, "dry_run")
    wanted = [request.keep is not None, request.older_than is not None, request.all]
    if sum(wanted) != 1:
        raise RequestError(
            "say what to delete with one of --keep SIZE (such as 20GB), --older-than TIME "
            "(such as 7d) and --all"
        )

    from rich.filesize import decimal

    from tuner.config.workload import absolute
    from tuner.teacher_cache.maintenance import prune
    from tuner.teacher_cache.shared_buffer import shared_buffer_folder
    from tuner.teacher_cache.store import cache_folder

    roots = [cache_folder(absolute(request.data_dir))]
    if request.all:
        roots.append(shared_buffer_folder())
    num_bytes = 0
    for root in roots:
        pruned = prune(
            root,
            keep_bytes=request.keep or 0,
            older_than_seconds=request.older_than or 0.0,
            dry_run=dry_run,
        )
        for entry in pruned.deleted:
            num_bytes += entry.num_bytes
            verb = "would delete" if dry_run else "deleted"
            print(f"{verb} {_named(entry)}")  # noqa: T201
        for entry, reason in pruned.left:
            print(f"kept {_named(entry)}: {reason}")  # noqa: T201
    verb = "would free" if dry_run else "freed"
    print(f"{verb} {decimal(num_bytes)}")  # noqa: T201
    return 0


def _precompute(arguments: list[str], prog: str, description: str) -> int:
    parser = parser_for(PrecomputeRequest, prog, description)
    request = read_request(PrecomputeRequest, vars(parser.parse_args(arguments)))

    from tuner.orchestration.precompute import precompute
    from tuner.planning.search import plan_search
    from tuner.teacher_cache.store import cache_folder
    from tuner.terminal.dry_run import print_outputs
    from tuner.text.formatting import count_text

    search = plan_search(SearchRequest(**request.model_dump()))
    with _progress("precomputing") as show_progress:
        result = precompute(search, print_outputs, show_progress)
    if not result.num_epochs:
        print("nothing to precompute: no trial would read from the cache")  # noqa: T201
        return 0
    for problem in result.problems:
        print(f"tuner: {problem}; fix this, then precompute again", file=sys.stderr)  # noqa: T201
    if result.problems:
        return 1
    on = f" on each of {result.num_machines} machines" if result.num_machines > 1 else ""
    folder = cache_folder(search.workload.data_dir)
    epochs = count_text(result.num_epochs, "augmented epoch")
    print(f"the outputs for {epochs} are in {folder}{on}")  # noqa: T201
    return 0


ShowProgress = Callable[[int, int], None]  # done, total


@contextmanager
def _progress(what: str) -> Iterator[ShowProgress]:
    """A bar with the remaining time in a terminal, some lines elsewhere."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if console.is_terminal:
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task(what, total=None)
            yield lambda done, total: progress.update(task, completed=done, total=total)
        return
    milestones = Milestones()

    def print_milestone(done: int, total: int) -> None:
        if milestones.is_due(done, total):
            left = left_text(seconds_left(milestones.seconds, done, total - done))
            line = f"{what}: {100 * done // total} %, {left}"
            print(line, file=sys.stderr, flush=True)  # noqa: T201

    yield print_milestone


def _named(entry: "StoredEntry") -> str:
    from rich.filesize import decimal

    about = entry.about
    what = f"{about['teacher']} on {about['data']}, seed {about['seed']}" if about else "unnamed"
    return f"{entry.folder.name} ({what}, {decimal(entry.num_bytes)})"


Command = Callable[[list[str], str, str], int]
COMMANDS: dict[str, tuple[str, Command]] = {
    "list": ("list stored outputs", _list),
    "check": ("read all shards, delete damaged ones", _check),
    "prune": ("delete outputs, those unused for longest first", _prune),
    "precompute": ("compute the teacher outputs of a search before it starts", _precompute),
}
ALIASES = {"fill": "precompute"}

if __name__ == "__main__":
    sys.exit(main())

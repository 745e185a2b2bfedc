"""Prints what a search is about to do: heading, workload, space, and the estimate of its cost."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tuner.config.presets import preset_pins
from tuner.planning.rungs import cooldown_epochs
from tuner.planning.search import Search
from tuner.text.formatting import count_text, duration_text

if TYPE_CHECKING:
    from tuner.planning.estimate import Estimate


def print_heading(search: Search) -> None:
    """Prints the networks, data, trials and epochs in a line, then what is unusual about them."""
    workload, request = search.workload, search.request
    console = Console(highlight=False, soft_wrap=True)
    teacher = workload.teacher + (
        f" ({workload.teacher_checkpoint})" if workload.teacher_checkpoint else ""
    )
    console.print(
        f"[bold]{escape(search.name)}[/]: {search.space.method} "
        f"from {escape(teacher)} to {escape(workload.student)} "
        f"on {escape(workload.data)}, {_trials_text(search, '')} "
        f"({search.algo}, {search.scheduler})"
    )
    rungs = cooldown_epochs(search.scheduler, workload.epochs)
    if rungs:
        after = " and ".join(map(str, rungs))
        console.print(
            f"[dim]trials are compared after epoch {after}, in a copy trained for one more epoch "
            "at a tenth of the learning rate; the best third continues[/]"
        )
    pins = preset_pins(workload.preset, search.space.method).items()
    texts = [f"{name}={value}" for name, value in pins if request.set.get(name) == value]
    if texts:
        console.print(
            f"[dim]the preset {workload.preset} sets {', '.join(texts)}; override with --set[/]"
        )
    if request.select_on == "test":
        console.print("[yellow]trials are ranked on the test set, as in the papers[/]")


def _trials_text(search: Search, at_most: str) -> str:
    """The number of trials and their epochs."""
    epochs = count_text(search.workload.epochs, "epoch")
    text = f"{count_text(search.num_trials, 'trial')} of {at_most}{epochs}"
    if search.search_epochs is None:
        return text
    return f"at most {text} and {count_text(search.search_epochs, 'epoch')} in all"


def print_searches(name: str, searches: Sequence[Search]) -> None:
    """Prints what each search of a comparison varies, then the workload that all share."""
    console = Console(highlight=False)
    table = Table(title=f"{name}: one search per space", title_justify="left", box=None)
    for heading in ("space", "trials", "searched"):
        table.add_column(heading, overflow="fold")
    for search in searches:
        ranges = {row["name"]: row["range"] for row in search.space.table()}
        searched = ", ".join(f"{name} {ranges[name]}" for name in search.searched)
        table.add_row(
            escape(search.request.space), str(search.num_trials), escape(searched) or "nothing"
        )
    console.print(table)
    print_workload(searches[0])
    num_seeds, num_epochs = searches[0].request.seeds, searches[0].workload.epochs
    num_finals = (2 * len(searches) + 1) * num_seeds
    num_trials = sum(search.num_trials for search in searches)
    console.print(
        f"{count_text(num_trials, 'trial')} of at most {count_text(num_epochs, 'epoch')}, "
        f"then at most {count_text(num_finals, 'final training')} ({count_text(num_seeds, 'seed')} "
        "of each method's tuned and published setting, and of plain)"
    )


def print_outputs(reasons: Sequence[str]) -> None:
    """Prints a line per group of the teacher's outputs: whether it is cached, and why."""
    console = Console(highlight=False, soft_wrap=True)
    for reason in reasons:
        console.print(f"[dim]{escape(reason)}[/]")


def print_plan(search: Search) -> None:
    """Prints the resolved workload, the space as a table, and the number of trials and epochs."""
    console = Console(highlight=False)
    print_heading(search)
    print_workload(search)
    space = Table(title=f"space of {search.space.method}", title_justify="left", box=None)
    for name in ("name", "range", "scale", "grid", "published", "when"):
        space.add_column(name, overflow="fold")
    for row in search.space.table():
        space.add_row(*map(escape, row.values()))
    console.print(space)
    if search.space.source:
        console.print(f"[dim]{escape(search.space.source)}[/]")
    epochs = count_text(search.workload.epochs, "epoch")
    console.print(
        f"{_trials_text(search, 'at most ')}, "
        f"then at most {count_text(search.num_finals, 'final training')} of {epochs} "
        f"({count_text(search.request.seeds, 'seed')} each of tuned, published and plain)"
    )
    if not search.published_is_first:
        names = ", ".join(search.space.excludes_published())
        console.print(
            f"[dim]--set excludes the published {names}: the published setting is not a trial; "
            "it is compared at the end[/]"
        )


def print_estimate(method: str, estimate: "Estimate") -> None:
    """Prints how many trials a cluster runs at a time, and how long a method's search takes."""
    console = Console(highlight=False, soft_wrap=True)
    machines, trials = estimate.machines, estimate.stages[0][0]
    has_gpus = machines.gpus_per_trial > 0
    per_trial = f"{machines.cpus_per_trial:g} CPU"
    cluster = f"{machines.cpus:g} CPUs"
    if has_gpus:
        per_trial += f" and {machines.gpus_per_trial:.3g} GPU"
        cluster += f" and {machines.gpus:g} GPUs"
    console.print(
        f"{count_text(machines.num_machines, 'machine')} with {cluster}: "
        f"{count_text(machines.num_at_once, 'trial')} at a time, each with {per_trial}"
    )
    print_outputs(estimate.reasons)
    console.print(
        f"measured there: {1000 * trials.times.step:.3g} ms per step, "
        f"{duration_text(estimate.training_seconds(trials))} per training of "
        f"{count_text(trials.epochs, 'epoch')}"
    )
    unit = "GPU-hours" if has_gpus else "CPU-hours"

    def cost(*, stops_early: bool) -> str:
        seconds = estimate.seconds(stops_early=stops_early)
        hours = estimate.device_hours(stops_early=stops_early)
        return f"{duration_text(seconds)}, {hours:.3g} {unit}"

    console.print(f"the whole search of {method}: at most {cost(stops_early=False)}")
    if trials.mean_epochs < trials.epochs:
        console.print(f"with trials stopped early: about {cost(stops_early=True)}")


def print_workload(search: Search) -> None:
    """Prints data, networks and schedule with every value resolved."""
    workload = Table("option", "value", title="workload", title_justify="left", box=None)
    for name, value in search.workload.as_request().items():
        workload.add_row(name, "" if value is None else escape(str(value)))
    Console(highlight=False).print(workload)

"""Compares methods: runs one search for each, with equal budgets, and prints one table."""

import json
import sys
from dataclasses import asdict, replace

from rich.console import Console
from rich.markup import escape

from tuner.config.run_folder import request_yaml, resume_command
from tuner.driver.ending import write_results
from tuner.driver.task_group import InterruptedRunError, check_resumable, misfit, run_group
from tuner.orchestration.cluster import ray_for
from tuner.planning.checks import check_is_new
from tuner.planning.comparison import ALL, Comparison
from tuner.reports.methods import MethodRow, methods_findings
from tuner.results.record import Record
from tuner.results.trial import PLAIN
from tuner.storage.folder import SEARCH_FILE
from tuner.terminal.dry_run import print_heading
from tuner.terminal.outcome import print_interrupted, print_methods, print_mlflow
from tuner.text.errors import RequestError
from tuner.tracking.mirror import Mirror
from tuner.tracking.publish import Outcome, publish_comparison
from tuner.training.workload_data import open_data


def run_comparison(comparison: Comparison, *, resume: bool, mode: str) -> int:
    """Runs or resumes all searches, prints the table; returns the exit status.

    Raises RequestError, before anything is written, if one of them cannot run.
    """
    comparison = without_unfit(comparison)
    storage, request = comparison.storage, comparison.request
    if resume:
        # All of them, before the first continues: a refusal comes at once.
        check_resumable(comparison.searches)
    else:
        check_is_new(comparison.name, comparison.runs)
        comparison.runs.check_writable()
    records: dict[str, Record] = {}
    with ray_for(comparison.searches[0]):
        try:
            for run, mirror in run_group(
                storage,
                request_yaml(request),
                comparison.searches,
                mode=mode,
                heading=print_heading,
                shares_plain=True,
            ):
                write_results(run, mirror)
                records[run.task.space.method] = run.record
        except InterruptedRunError as interrupted:
            print_interrupted(interrupted.run, resume_command(storage, request))
            return 130
    return _conclude(comparison, records, mirror, mode)


def _conclude(comparison: Comparison, records: dict[str, Record], mirror: Mirror, mode: str) -> int:
    from tuner.reports.methods_page import METHODS_FILE, write_methods_report
    from tuner.reports.page import report_files

    report, rows = write_methods_report(comparison.storage, comparison.request, records)
    verdict = " ".join(methods_findings(rows, comparison.request.select_on))
    names = (SEARCH_FILE, METHODS_FILE, *report_files(comparison.storage))
    files = {name: comparison.storage.read(name) for name in names}
    page = publish_comparison(mirror, Outcome(note=verdict, metrics=_metrics(rows), files=files))
    if mode == "json":
        content = {
            "comparison": comparison.name,
            "select_on": comparison.request.select_on,
            "problem": mirror.problem,
            "methods": [asdict(row) for row in rows],
            "report": report,
        }
        print(json.dumps(content))  # noqa: T201
    else:
        _print(comparison, rows, verdict, report, mirror, page)
    return 0 if any(row.num_seeds for row in rows if row.method != PLAIN) else 1


def _print(
    comparison: Comparison,
    rows: list[MethodRow],
    verdict: str,
    report: str,
    mirror: Mirror,
    page: str,
) -> None:
    console = Console(highlight=False)
    console.print()
    console.print(f"[bold]{escape(comparison.name)}[/]")
    print_methods(rows, console)
    console.print(escape(verdict), soft_wrap=True)
    console.print(f"\nreport:  {escape(report)}", soft_wrap=True)
    command = resume_command(comparison.storage, comparison.request)
    print_mlflow(mirror, page, command, console)


def without_unfit(comparison: Comparison) -> Comparison:
    """The comparison without the methods that do not fit these networks.

    Raises RequestError where one of them was requested by name, or none fits.
    """
    dataset, _ = open_data(comparison.searches[0].workload)
    kept = []
    for search in comparison.searches:
        reason = misfit(search, dataset)
        if reason and comparison.request.space != ALL:
            raise RequestError(reason)
        if reason:
            print(f"left out: {reason}", file=sys.stderr)  # noqa: T201
        else:
            kept.append(search)
    if not kept:
        raise RequestError("no method fits these networks; choose others")
    # A resumed comparison has the same methods, even if a later version has more.
    named = ",".join(search.request.space for search in kept)
    request = comparison.request.model_copy(update={"space": named})
    return replace(comparison, request=request, searches=tuple(kept))


def _metrics(rows: list[MethodRow]) -> dict[str, float]:
    """The metrics of the comparison's MLflow run."""
    metrics = {}
    best = rows[0]
    if best.method != PLAIN and best.val_accuracy is not None:
        metrics["val_accuracy"] = best.val_accuracy.mean
        if best.test_accuracy is not None:
            metrics["test_accuracy"] = best.test_accuracy.mean
    for row in rows:
        for name, accuracy in (
            ("val_accuracy", row.val_accuracy),
            ("test_accuracy", row.test_accuracy),
        ):
            if accuracy is not None:
                metrics[f"{row.method}_{name}"] = accuracy.mean
        if row.cost is not None:
            metrics[f"{row.method}_cost"] = row.cost
    return metrics

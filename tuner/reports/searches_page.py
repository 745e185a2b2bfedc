"""The report that compares several searches on one page."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from tuner.reports.accuracy_figures import best_so_far, final_accuracies
from tuner.reports.document import Document, Facts, Table
from tuner.reports.final_trainings import SELECTED_ON_TEST, finals_of, winner_text
from tuner.reports.page import REPORT_FILE, write_document
from tuner.reports.request import axis_of, is_selected_on_test, metric_of, workload_text
from tuner.reports.searches import Searched, SearchRow, search_rows, searches_findings
from tuner.reports.statistics import accuracy_text, columns_of, difference_text
from tuner.results.trial import PLAIN, PUBLISHED, TUNED, Trial, varied_names
from tuner.storage.folder import Storage
from tuner.text.formatting import NOTHING, setting_text, value_text
from tuner.text.secrets import without_secrets

# Options that say where things lie, not what is computed.
PLACES = ("name", "runs_dir", "data_dir", "tracking_uri", "experiment", "address")
HEADINGS = (
    *("search", "method", "seeds", "validation (%)", "test (%)"),
    *("published (%)", "plain (%)", "− plain", "− best"),
)
NOTE = (
    "Final trainings of each search's winner, of the published setting and of the plain student:"
    " mean ± standard deviation over seeds; published and plain show test accuracy. Differences"
    " are of test accuracy, in points, paired by seed: to plain of the same search with 95 %"
    " intervals; to the best search with the same data, split and seeds with intervals that hold"
    " simultaneously at 95 %, because these trainings also chose it."
)


def write_searches_report(storage: Storage, name: str, searches: Sequence[Searched]) -> str:
    """Writes the page into a folder beside those of the searches; returns the page's path."""
    rows = search_rows(searches)
    metrics = {metric_of(search.request) for search in searches}
    axis = axis_of(searches[0].request) if len(metrics) == 1 else "ranking accuracy"
    is_optimistic = any(is_selected_on_test(search.request) for search in searches)
    document = Document(
        title=name,
        labels=[SELECTED_ON_TEST] if is_optimistic else [],
        findings=searches_findings(searches, rows),
        parts=[
            _table(rows),
            Table(
                name="winners",
                title="Winning settings",
                headings=("search", "hyperparameters that trials vary or the user pinned"),
                rows=[
                    (row.search, winner_text(row.setting, is_published=row.is_published))
                    for row in rows
                ],
                num_text_columns=2,
            ),
            final_accuracies(_groups(searches, rows)),
            best_so_far({s.name: (s.record, metric_of(s.request)) for s in searches}, axis),
            _differences(searches),
            Facts("Common to all searches", _shared(searches)),
        ],
    )
    return write_document(storage, document)


def _table(rows: Sequence[SearchRow]) -> Table:
    return Table(
        name="searches",
        title="Searches",
        headings=HEADINGS,
        rows=[
            (
                row.search,
                row.method,
                str(row.num_seeds),
                accuracy_text(row.val_accuracy),
                accuracy_text(row.test_accuracy),
                accuracy_text(row.published),
                accuracy_text(row.plain),
                difference_text(row.to_plain),
                difference_text(row.to_best),
            )
            for row in rows
        ],
        data=_data(rows),
        note=NOTE,
        num_text_columns=2,
        links={number: f"../{quote(row.search)}/{REPORT_FILE}" for number, row in enumerate(rows)},
    )


def _data(rows: Sequence[SearchRow]) -> pa.Table:
    columns: dict[str, Any] = {
        "search": [row.search for row in rows],
        "method": [row.method for row in rows],
        "setting": [setting_text(row.setting) for row in rows],
        "num_seeds": [row.num_seeds for row in rows],
    }
    accuracies = ("val_accuracy", "test_accuracy", "published", "plain")
    return pa.table(columns | columns_of(rows, ("to_plain", "to_best"), accuracies))


def _groups(searches: Sequence[Searched], rows: Sequence[SearchRow]) -> dict[str, list[Trial]]:
    """The final trainings by search and setting, in the order of the table."""
    records = {search.name: search.record for search in searches}
    return {
        f"{row.search}, {label}": finals_of(records[row.search], label)
        for row in rows
        for label in (TUNED, PUBLISHED, PLAIN)
    }


def _differences(searches: Sequence[Searched]) -> Table:
    """One row per option that is not the same in all searches."""
    facts = [_facts(search) for search in searches]
    differing = varied_names(facts)
    return Table(
        name="differences",
        title="What differs between the searches",
        headings=("", *(search.name for search in searches)),
        rows=[(name, *(one.get(name, NOTHING) for one in facts)) for name in differing],
        note="" if differing else "Their requests are the same.",
        num_text_columns=len(facts) + 1,
    )


def _facts(search: Searched) -> dict[str, str]:
    facts = {
        name: without_secrets(_text(value))
        for name, value in search.request.items()
        if name not in PLACES and value != {}
    }
    teacher = search.header.teacher if search.header is not None else None
    return facts | ({"teacher's weights": teacher[:12]} if teacher else {})


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={one}" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(value_text, value))
    return value_text(value)


def _shared(searches: Sequence[Searched]) -> list[tuple[str, str]]:
    first, *others = (workload_text(search.request) for search in searches)
    return [fact for fact in first if all(fact in other for other in others)]

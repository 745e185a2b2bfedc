"""The report that compares methods: a page, and the table as methods.parquet."""

import io
from collections.abc import Mapping, Sequence
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from tuner.config.options import SearchRequest
from tuner.reports.accuracy_figures import final_accuracies
from tuner.reports.document import Document, Facts, Table
from tuner.reports.final_trainings import SELECTED_ON_TEST, plain_finals, winners_finals
from tuner.reports.methods import COLUMNS, MethodRow, compare_methods, methods_findings, row_texts
from tuner.reports.page import REPORT_FILE, write_document
from tuner.reports.request import workload_text
from tuner.reports.statistics import columns_of
from tuner.results.record import Record
from tuner.results.trial import PLAIN
from tuner.storage.folder import Storage
from tuner.text.formatting import count_text, setting_text

METHODS_FILE = "methods.parquet"


def write_methods_report(
    storage: Storage, request: SearchRequest, records: Mapping[str, Record]
) -> tuple[str, list[MethodRow]]:
    """Writes the page and the table into a comparison's folder; returns the page's path and rows.

    `records` holds the searches that have begun, by method.
    """
    rows = compare_methods(records)
    table = _table(rows, request)
    content = io.BytesIO()
    pq.write_table(table.data, content)
    storage.write(METHODS_FILE, content.getvalue())
    finals = {row.method: winners_finals(records[row.method]) for row in rows[:-1]}
    document = Document(
        title=str(request.name),
        labels=[SELECTED_ON_TEST] if request.select_on == "test" else [],
        findings=methods_findings(rows, request.select_on),
        parts=[
            table,
            final_accuracies(finals | {PLAIN: plain_finals(records.values())}),
            Facts("Workload", workload_text(request.model_dump(mode="json", exclude_none=True))),
        ],
    )
    return write_document(storage, document), rows


def _table(rows: Sequence[MethodRow], request: SearchRequest) -> Table:
    return Table(
        name="methods",
        title="Methods",
        headings=COLUMNS,
        rows=[row_texts(row) for row in rows],
        data=_data(rows),
        note=_note(request),
        num_text_columns=2,
        emphasised=frozenset({0}),
        links={
            number: f"{quote(row.method, safe='')}/{REPORT_FILE}"
            for number, row in enumerate(rows)
            if row.method != PLAIN
        },
    )


def _note(request: SearchRequest) -> str:
    pinned = ", ".join(f"{name}={value}" for name, value in request.set.items())
    return (
        "Each method with the setting that its own search chose: at most"
        f" {count_text(request.trials or 0, 'trial')}, then final trainings with"
        f" {count_text(request.seeds, 'seed')} that no search used. Mean ± standard deviation over"
        " seeds. Differences are of test accuracy, in points, paired by seed, with 95 % intervals"
        " corrected for the number of methods (to plain) or of their pairs (to the best), because"
        " the trainings that are compared also chose the best method. Cost is the time of an epoch"
        " relative to plain training, including an initial stage and the teacher's share once its"
        " outputs are cached." + (f" Pinned: {pinned}." if pinned else "")
    )


def _data(rows: Sequence[MethodRow]) -> pa.Table:
    columns: dict[str, pa.Array] = {
        "method": pa.array([row.method for row in rows], pa.string()),
        "setting": pa.array([setting_text(row.setting) for row in rows], pa.string()),
        "num_seeds": pa.array([row.num_seeds for row in rows], pa.int64()),
        "cost": pa.array([row.cost for row in rows], pa.float64()),
    }
    return pa.table(columns | columns_of(rows, ("to_plain", "to_best")))

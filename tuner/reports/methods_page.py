"""A comparison of methods as a page, and as a Parquet file."""

import io
from collections.abc import Mapping
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from tuner.config.options import SearchRequest
from tuner.reports.accuracy_figures import final_accuracies
from tuner.reports.document import Document, Facts, Table
from tuner.reports.methods import (
    PLAIN,
    MethodRow,
    chosen,
    compare_methods,
    methods_findings,
    plain_trainings,
)
from tuner.reports.methods_table import COLUMNS, row_texts
from tuner.reports.page import REPORT_FILE, write_document
from tuner.reports.search_page import ON_TEST_LABEL, numbers_of
from tuner.reports.summary import workload_text
from tuner.results.record import Record
from tuner.storage.folder import Storage
from tuner.text.formatting import count_text, setting_text

METHODS_FILE = "methods.parquet"


def write_methods_report(
    storage: Storage, request: SearchRequest, records: Mapping[str, Record]
) -> str:
    """Writes the page and the table into a comparison's folder; returns the page's path."""
    rows = compare_methods(records)
    data = _data(rows)
    content = io.BytesIO()
    pq.write_table(data, content)
    storage.write(METHODS_FILE, content.getvalue())
    groups = {method: chosen(records[method]) for method in (r.method for r in rows[:-1])}
    groups[PLAIN] = plain_trainings(records)
    document = Document(
        title=str(request.name),
        labels=[ON_TEST_LABEL] if request.select_on == "test" else [],
        findings=methods_findings(rows, request.select_on),
        parts=[
            Table(
                name="methods",
                title="Methods",
                headings=COLUMNS,
                rows=[row_texts(row) for row in rows],
                data=data,
                note=_note(request),
                num_text_columns=2,
                emphasised=frozenset({0}),
                links={
                    number: f"{quote(row.method, safe='')}/{REPORT_FILE}"
                    for number, row in enumerate(rows)
                    if row.method in records
                },
            ),
            final_accuracies(groups),
            Facts("Workload", workload_text(request.model_dump(mode="json", exclude_none=True))),
        ],
    )
    return write_document(storage, document)


def _note(request: SearchRequest) -> str:
    pinned = ", ".join(f"{name}={value}" for name, value in request.set.items())
    return (
        "Each method with the setting that its own search chose:"
        f" {count_text(request.trials or 0, 'trial')} at most, then final trainings with"
        f" {count_text(request.seeds, 'seed')} that no search has used. Mean ± deviation over the"
        " seeds; differences are of test accuracy, in points, paired by seed, with 95 % intervals"
        " that are corrected for the number of methods, or of their pairs, as the trainings that"
        " are compared also chose the best of them; cost is the time of an epoch relative to"
        " plain training, an initial stage and the teacher's share where its outputs are kept"
        " already included." + (f" Set by hand: {pinned}." if pinned else "")
    )


def _data(rows: list[MethodRow]) -> pa.Table:
    """A row a method; accuracies in percent, differences in points of test accuracy."""
    columns: dict[str, pa.Array] = {
        "method": pa.array([row.method for row in rows], pa.string()),
        "setting": pa.array([setting_text(row.setting) for row in rows], pa.string()),
        "num_seeds": pa.array([row.num_seeds for row in rows], pa.int64()),
        "cost": pa.array([row.cost for row in rows], pa.float64()),
    }
    return pa.table(columns | numbers_of(rows, ("to_plain", "to_best")))

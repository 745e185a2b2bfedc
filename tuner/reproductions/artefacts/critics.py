"""MIMKD's A.4: the two critics, their accuracy and their layers."""

from losses.parts.critics import Convolve, ProjectAndDot
from tuner.reports.document import Table
from tuner.reproductions.artefacts import findings
from tuner.reproductions.artefacts.artefact import Artefact
from tuner.reproductions.artefacts.variants_table import variants_table
from tuner.reproductions.published import published
from tuner.reproductions.results import Results

FEATURES, WIDTH = 256, 512  # of the critics whose parameters are counted


def critics(results: Results) -> Artefact:
    """Accuracies, then the published layers and the number of parameters here."""
    labels = results.labels
    return Artefact(
        findings.best_of_many(results, labels, labels[0]),
        [
            variants_table(
                results,
                name="critics",
                title="A.4: accuracy with either critic",
                heading="critic",
                base=labels[0],
            ),
            _layers(),
            _parameters(),
        ],
    )


def _layers() -> Table:
    rows = [
        [str(row["critic"]), str(row["term"]), f"{row['table']}", str(row["text"])]
        for row in published("mimkd-critics").rows
    ]
    return Table(
        "layers",
        "Tables 6 to 9: the layers of the critics, as published",
        ("critic", "term", "table", "layers"),
        rows,
        num_text_columns=4,
    )


def _parameters() -> Table:
    built = {
        "convolve": Convolve(FEATURES, FEATURES, width=WIDTH),
        "project_and_dot": ProjectAndDot(FEATURES, FEATURES, width=WIDTH, shortcut="relu"),
    }
    return Table(
        "parameters",
        "Parameters of a critic as built here",
        ("critic", "parameters"),
        [
            [name, f"{sum(parameter.numel() for parameter in critic.parameters()):,}"]
            for name, critic in built.items()
        ],
        note=f"Between vectors of {FEATURES} features of teacher and student, width {WIDTH}.",
    )

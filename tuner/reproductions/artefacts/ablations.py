"""ITRD's ablations: Tables 1, 2 and 4, and Figure 1."""

from collections.abc import Mapping

from tuner.reports.document import Figure
from tuner.reproductions.artefacts import figures, findings
from tuner.reproductions.artefacts.artefact import Artefact
from tuner.reproductions.artefacts.variants_table import published_by_label, variants_table
from tuner.reproductions.papers.itrd import BASE, BETA_SWEEPS, beta_label
from tuner.reproductions.published import Value, published
from tuner.reproductions.results import Results

FLAT_UP_TO = 4.0  # the published accuracies hardly differ up to this alpha
SYMBOLS = {"beta_corr": "β_corr", "beta_mi": "β_mi"}
CLAIMED = {"beta_corr": (1.5, 2.5), "beta_mi": (0.0, 3.0)}  # ranges the paper's text speaks of


def log2(results: Results) -> Artefact:
    """Table 1: mutual information with and without the logarithm."""
    entry = published("itrd-log")
    return _compared(
        results,
        published_by_label(results, lambda variant: entry.value(log2=variant.values["log2"])),
        name="log2",
        title="Table 1: the logarithm in the mutual information loss",
        heading="loss",
        base="without log2",
    )


def kernels(results: Results) -> Artefact:
    """Table 2: a polynomial kernel, and RBF of two widths."""
    entry = published("itrd-kernel")
    return _compared(
        results,
        published_by_label(
            results,
            lambda variant: entry.value(
                **(
                    {"h": variant.values["h"]}
                    if "h" in variant.values
                    else {"kernel": "polynomial"}
                )
            ),
        ),
        name="kernels",
        title="Table 2: kernels of the mutual information loss",
        heading="kernel",
        base="polynomial",
    )


def alphas(results: Results) -> Artefact:
    """Table 4, drawn too: accuracy against the order of the correlation loss."""
    entry = published("itrd-alpha")
    known = published_by_label(results, lambda variant: entry.value(alpha=variant.values["alpha"]))
    table = _compared(
        results,
        known,
        name="alpha",
        title="Table 4: the order α of the correlation loss",
        heading="α",
        base="α = 2",
    )
    by_alpha = {float(variant.values["alpha"]): variant.label for variant in results.variants}
    small = [label for alpha, label in by_alpha.items() if alpha <= FLAT_UP_TO]
    apart = " Published values have an axis of their own, on the right."
    drawing = figures.sweep(
        {"α": {alpha: results.accuracy(label) for alpha, label in by_alpha.items()}},
        published={alpha: known[label] for alpha, label in by_alpha.items()},
        shares_axis=results.is_full_scale,
        log=True,
    )
    return Artefact(
        [*table.findings, findings.spread(results, small, f"α up to {FLAT_UP_TO:g}")],
        [
            *table.parts,
            Figure(
                "alpha",
                "Accuracy against α",
                f"Mean and deviation over the seeds.{'' if results.is_full_scale else apart}",
                drawing,
            ),
        ],
    )


def betas(results: Results) -> Artefact:
    """Figure 1: accuracy against either weight, the other fixed."""
    base = beta_label("beta_corr", BASE["beta_corr"])
    drawing = figures.sweep(
        {
            SYMBOLS[name]: {value: results.accuracy(beta_label(name, value)) for value in values}
            for name, values in BETA_SWEEPS.items()
        },
        base={symbol: BASE[name] for name, symbol in SYMBOLS.items()},
    )
    return Artefact(
        [text for name in BETA_SWEEPS for text in _beta_findings(results, name, base)],
        [
            Figure(
                "beta",
                "Figure 1: accuracy against the weights of the two losses",
                f"Left: β_mi is {BASE['beta_mi']:g}. Right: β_corr is {BASE['beta_corr']:g}. Mean"
                " and deviation over the seeds; the dotted line marks the weight in the other"
                " panel.",
                drawing,
            ),
            variants_table(
                results, name="beta", title="The values of Figure 1", heading="weights", base=base
            ),
        ],
    )


def _compared(
    results: Results,
    known: Mapping[str, Value | None],
    *,
    name: str,
    title: str,
    heading: str,
    base: str,
) -> Artefact:
    """A table of the variants and its findings; `base`: the variant that the paper prefers."""
    return Artefact(
        [
            *findings.best_of_many(results, results.labels, base, is_papers=True),
            *findings.beside_published(results, known),
        ],
        [
            variants_table(
                results, name=name, title=title, heading=heading, published=known, base=base
            )
        ],
    )


def _beta_findings(results: Results, name: str, base: str) -> list[str]:
    symbol = SYMBOLS[name]
    labels = {value: beta_label(name, value) for value in BETA_SWEEPS[name]}
    names = {label: f"{symbol} = {value:g}" for value, label in labels.items()}
    low, high = CLAIMED[name]
    claimed = [label for value, label in labels.items() if low <= value <= high]
    row = published("itrd-beta").row(weight=name)
    assert row is not None
    return [
        *findings.best_of_many(results, list(labels.values()), base, names=names),
        findings.spread(results, claimed, f"{symbol} from {low:g} to {high:g}"),
        f"The paper says that over {symbol} accuracy {row['text']}.",
    ]

"""MIMKD's Table 10: students on ImageNet."""

from collections.abc import Mapping

from tuner.reproductions.artefacts import findings
from tuner.reproductions.artefacts.artefact import Artefact
from tuner.reproductions.artefacts.variants_table import published_by_label, variants_table
from tuner.reproductions.published import Value, published
from tuner.reproductions.results import Results
from tuner.results.trial import TEACHER


def imagenet(results: Results) -> Artefact:
    """Accuracies, and what each method gains over the plain student."""
    entry = published("mimkd-imagenet")
    known = published_by_label(results, lambda variant: entry.value(method=variant.label))
    return Artefact(
        [
            *findings.best_of_many(results, results.labels, "plain", noun="method"),
            *_gains(results, known),
            *findings.beside_published(results, known),
        ],
        [
            variants_table(
                results,
                name="imagenet",
                title="Table 10: ImageNet, ResNet-34 to ResNet-18",
                heading="method",
                published=known | {TEACHER: entry.value(method=TEACHER)},
                base="plain",
            )
        ],
    )


def _gains(results: Results, known: Mapping[str, Value | None]) -> list[str]:
    plain = known.get("plain")
    gains = []
    for label in results.labels:
        found, value = results.difference(label, "plain"), known[label]
        if label != "plain" and found and value and plain:
            in_paper = value.mean - plain.mean
            gains.append(f"{label} {found.mean:+.2f} (published {in_paper:+.2f})")
    return [f"Points gained over the plain student: {', '.join(gains)}."] if gains else []

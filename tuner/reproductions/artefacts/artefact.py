"""An artefact: a paper's table or figure as measured here."""

from collections.abc import Sequence
from dataclasses import dataclass

from tuner.reports.document import Facts, Figure, Table, Text

Part = Table | Figure | Text | Facts


@dataclass(frozen=True)
class Artefact:
    """Findings in words, then tables and figures."""

    findings: Sequence[str]
    parts: Sequence[Part]

"""Every artefact can be drawn from few trainings."""

from typing import Any

import pytest

from tests.support.reproducing import EXPERIMENTS, report_of, results
from tuner.reproductions.artefacts import figures
from tuner.training.step_cost import Cost


@pytest.mark.parametrize(
    "name", [e.name for e in EXPERIMENTS.values() if e.variants and e.name != "itrd-transfer"]
)
@pytest.mark.parametrize("num_seeds", [0, 1])
def test_every_artefact_is_made_of_few_trainings(name, num_seeds, tmp_path, monkeypatch) -> None:
    cost = Cost(num_parameters=1, buffer_bytes=1, batch_size=8, step_seconds=0.1, peak_bytes=10**8)
    monkeypatch.setattr("tuner.reproductions.artefacts.negatives.cost_of", lambda *_: cost)
    monkeypatch.setattr("tuner.reproductions.artefacts.negatives.machine_of", lambda _: "a CPU")
    variants = EXPERIMENTS[name].variants
    # One training has not finished, as it may be where one failed.
    accuracies = {one.label: [40.0 + n % 9][:num_seeds] for n, one in enumerate(variants[:-1])}
    options: dict[str, Any] = {"seeds": 1, "epochs": 2}
    if name == "crd-benchmark":
        options["pairs"] = ("vgg13:vgg8",)
    document = report_of(results(name, accuracies, tmp_path, **options))
    assert document.findings
    assert "nan" not in " ".join(document.findings)


def test_the_index_of_a_symbol_is_set_lower() -> None:
    assert figures.symbol("λ_g") == r"$λ_{\mathrm{g}}$"
    assert figures.symbol("α") == "α"
    assert figures.symbol("negatives of the global term") == "negatives of the global term"

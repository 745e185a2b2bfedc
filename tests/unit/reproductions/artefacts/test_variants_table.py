"""Tables with a row per variant: published beside measured."""

from tests.support.reproducing import ALPHAS, artefact_of, report_of, results, table_named


def test_a_table_has_published_beside_measured(tmp_path) -> None:
    accuracies = {label: [50.0 + n, 51.0 + n / 2] for n, label in enumerate(ALPHAS)}
    document = report_of(results("itrd-alpha", accuracies, tmp_path, seeds=2))
    table = table_named(document, "alpha")
    assert list(table.headings) == [
        "α", "published (%)", "test (%)", "validation (%)", "− α = 2 (points)", "seeds",
    ]  # fmt: skip
    assert table.rows[2][:3] == ["α = 2", "71.42 ± 0.39", "52.00 ± 0.00"]
    assert table.emphasised == {6}
    assert document.labels == ["scaled down: 2 seeds instead of 5"]


def test_a_table_without_published_numbers_has_no_column_for_them(tmp_path) -> None:
    found = results("mimkd-critics", {"convolve": [50.0], "project and dot": [51.0]}, tmp_path,
                    seeds=1)  # fmt: skip
    table = table_named(artefact_of(found), "critics")
    assert "published (%)" not in table.headings


def test_imagenets_table_has_the_teacher(tmp_path) -> None:
    found = results(
        "mimkd-imagenet", {"plain": [60.0], "kd": [61.0], "mimkd": [62.5]}, tmp_path,
    )  # fmt: skip
    artefact = artefact_of(found)
    *_, teacher = table_named(artefact, "imagenet").rows
    assert teacher[:3] == ["teacher", "72.82", "90.00"]
    assert any("mimkd +2.50 (published +1.44)" in text for text in artefact.findings)

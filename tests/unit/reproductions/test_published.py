"""What the papers print: complete, known by its names, and right where it can be counted."""

import re
from collections import Counter

import pytest

from losses import LOSSES
from models.registry import MODELS
from tuner.reproductions.published import PRINTED, Published, Value, all_published, published

NAMES = [
    "itrd-log",
    "itrd-kernel",
    "itrd-transfer",
    "itrd-alpha",
    "itrd-beta",
    "itrd-cost",
    "itrd-parameters",
    "itrd-convergence",
    "mimkd-pairs",
    "mimkd-critics",
    "mimkd-shallow",
    "mimkd-landscape",
    "mimkd-negatives",
    "mimkd-imagenet",
    "crd-benchmark",
]
every_entry = pytest.mark.parametrize("entry", all_published().values(), ids=lambda e: e.name)

# Table 11 prints under each accuracy what it gains over the plain student; read separately.
GAINS = {
    ("conv4", "teacher"): "13.85 14.65 19.27",
    ("conv4", "fitnet"): "0.61 1.84 2.92",
    ("conv4", "at"): "1.68 2.19 3.13",
    ("conv4", "vid"): "1.96 2.52 3.48",
    ("conv4", "kd"): "2.01 2.13 2.90",
    ("conv4", "crd"): "2.16 2.57 3.79",
    ("conv4", "mimkd"): "2.94 2.98 4.35",
    ("conv4_mp", "teacher"): "7.73 8.53 13.15",
    ("conv4_mp", "fitnet"): "1.29 0.43 1.12",
    ("conv4_mp", "at"): "1.43 0.12 -0.06",
    ("conv4_mp", "vid"): "1.67 1.31 1.77",
    ("conv4_mp", "kd"): "1.42 1.75 1.95",
    ("conv4_mp", "crd"): "1.87 1.97 2.43",
    ("conv4_mp", "mimkd"): "2.68 2.82 3.00",
}


def mean(entry: Published, **key: str | float) -> float:
    value = entry.value(**key)
    assert value is not None, key
    return value.mean


def test_every_reproduction_has_an_entry() -> None:
    assert list(all_published()) == NAMES


@every_entry
def test_an_entry_says_where_it_is_from_and_what_it_is(entry: Published) -> None:
    assert re.search(r"arXiv:\d{4}\.\d{5}", entry.source)
    assert entry.status in ("given", "from elsewhere")
    assert entry.what
    assert entry.rows
    assert all(sentence.endswith(".") for sentence in entry.notes + entry.assumed)


@every_entry
def test_an_entry_has_known_methods_and_networks(entry: Published) -> None:
    known = {*LOSSES, "crd+kd", "teacher"}
    assert {row["method"] for row in entry.rows if "method" in row} <= known
    networks = {entry.teacher, entry.student} - {None}
    networks |= {
        row[at] for row in entry.rows for at in ("teacher", "student", "network") if at in row
    }
    assert networks <= set(MODELS)


@every_entry
def test_no_two_rows_of_an_entry_are_of_the_same(entry: Published) -> None:
    keys = Counter(
        tuple(sorted((k, str(v)) for k, v in row.items() if k not in PRINTED)) for row in entry.rows
    )
    assert max(keys.values()) == 1


@every_entry
def test_an_entry_prints_its_accuracies_with_equally_many_digits(entry: Published) -> None:
    if "accuracy in %" in entry.what:
        shapes = {re.sub(r"\d+(?=\.)|\d", "0", row["text"]) for row in entry.rows if "mean" in row}
        assert len(shapes) <= 1


def test_a_value_keeps_the_digits_that_are_printed() -> None:
    assert published("itrd-log").value(log2=False) == Value(71.52, 0.25, "71.52 ± 0.25")
    pair = {"teacher": "resnet32x4", "student": "resnet8x4"}
    assert published("crd-benchmark").value(**pair, method="plain") == Value(72.5, None, "72.50")
    assert published("itrd-transfer").value(data="stl10", method="kd") == Value(70.9, None, "70.9")
    assert published("itrd-cost").value(protocol="time", method="crcd") == Value(4, None, "4.00×")


def test_what_is_no_number_is_a_text() -> None:
    entry = published("itrd-cost")
    assert entry.value(protocol="memory", method="crcd") is None
    row = entry.row(protocol="memory", method="crcd")
    assert row is not None
    assert row["text"] == "over the 24 GB limit"


def test_a_row_that_is_not_there_has_no_value() -> None:
    assert published("itrd-alpha").value(alpha=2) == Value(71.42, 0.39, "71.42 ± 0.39")
    assert published("itrd-alpha").value(alpha=2.5) is None
    pair = {"teacher": "resnet110", "student": "resnet20"}
    assert published("crd-benchmark").value(**pair, method="reviewkd") is None


def test_a_question_that_no_entry_can_answer_is_a_bug() -> None:
    with pytest.raises(KeyError):
        published("itrd-beat")
    with pytest.raises(KeyError, match="no column metod"):
        published("mimkd-imagenet").value(metod="kd")
    with pytest.raises(ValueError, match="2 rows"):
        published("itrd-transfer").value(method="kd")


@pytest.mark.parametrize(("student", "method"), GAINS)
def test_the_shallow_students_gain_what_the_table_prints(student: str, method: str) -> None:
    entry = published("mimkd-shallow")
    for teacher, gain in zip(
        ("resnet110", "vgg13", "resnet32x4"), GAINS[student, method].split(), strict=True
    ):
        cell = {"student": student, "teacher": teacher}
        difference = mean(entry, **cell, method=method) - mean(entry, **cell, method="plain")
        assert f"{difference:.2f}" == gain


@pytest.mark.parametrize(
    ("method", "gain"), [("teacher", 3.94), ("kd", 0.78), ("at", 0.82), ("mimkd", 1.44)]
)
def test_imagenet_students_gain_what_the_table_prints(method: str, gain: float) -> None:
    entry = published("mimkd-imagenet")
    assert mean(entry, method=method) - mean(entry, method="plain") == pytest.approx(gain)


def test_the_benchmark_has_every_cell_that_is_filled() -> None:
    entry = published("crd-benchmark")
    pairs = dict.fromkeys((row["teacher"], row["student"]) for row in entry.rows)
    assert len(pairs) == 7 + 6
    same, other = list(pairs)[:7], list(pairs)[7:]
    cells = Counter(
        (row["teacher"], row["student"])
        for row in entry.rows
        if row["method"] not in ("teacher", "plain", "crd+kd")
    )
    assert sum(cells[pair] for pair in same) == 110  # 16 methods, two cells empty
    assert sum(cells[pair] for pair in other) == 89  # 15 methods, one cell empty
    both = Counter(row["method"] for row in entry.rows)
    assert both["teacher"] == both["plain"] == both["crd+kd"] == 13


def test_a_network_alone_has_one_accuracy_in_the_benchmark() -> None:
    entry = published("crd-benchmark")
    for method, column in (("teacher", "teacher"), ("plain", "student")):
        rows = [row for row in entry.rows if row["method"] == method]
        assert len({(row[column], row["text"]) for row in rows}) == len({r[column] for r in rows})


def test_itrd_has_the_accuracies_of_its_readme() -> None:
    texts = [row["text"] for row in published("crd-benchmark").rows if row["method"] == "itrd"]
    assert " ".join(texts) == (
        "76.12 75.18 71.47 71.99 74.26 76.69 74.93 70.39 71.34 75.49 76.69 77.40 77.09"
    )

"""Every reproduction, scaled down, from its command to its artefact. They share their teachers."""

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.support.imagenet import make_imagenet
from tests.support.searching import as_flags, local_ray
from tests.unit.data.test_sources import write_image
from tuner.report import main as report
from tuner.reproduce import main
from tuner.reproductions.catalogue import CATALOGUE

SMALL = {
    "data": "digits",
    "limit": 200,
    "teacher": "resnet8",
    "teacher_epochs": 1,
    "student": "resnet8",
    "epochs": 1,
    "seeds": 1,
}
PAIRED = {
    "Table 4 (wrn_40_2 → wrn_16_1)": "4 of 4",
    "Table 5 (ResNet50 → ShuffleV2)": "4 of 4",
}
PNG = b"\x89PNG\r\n"


class Reproductions:
    """A folder of reproductions, one data folder, one Ray."""

    def __init__(self, runs: Path, data_dir: str) -> None:
        self.runs, self.data_dir = runs, data_dir
        self.done: set[str] = set()

    def run(self, reproduction: str, *flags: str, **options: Any) -> "Artefact":
        """`tuner reproduce`, in a folder of the experiment's own name; None leaves an option out.

        Asserts what is true of every artefact.
        """
        values = {**SMALL, "name": reproduction, "runs_dir": self.runs, "data_dir": self.data_dir}
        options = {name: v for name, v in {**values, **options}.items() if v is not None}
        assert main([reproduction, *as_flags(options), "--quiet", *flags]) == 0
        self.done.add(reproduction)
        return Artefact(self.runs / reproduction)


class Artefact:
    """What a reproduction has written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.page = (folder / "report.html").read_text()
        self.figures = {path.stem for path in (folder / "figures").glob("*.svg")}
        assert {path.stem for path in (folder / "figures").glob("*.png")} == self.figures
        for path in (folder / "figures").glob("*.png"):
            assert path.read_bytes().startswith(PNG)
            assert f"figures/{path.name}" in self.page

    @property
    def words(self) -> str:
        """The text of the page, on one line."""
        text = re.sub(r"<style>.*?</style>|<svg.*?</svg>", "", self.page, flags=re.DOTALL)
        return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", "", text)))

    def table(self, name: str) -> pd.DataFrame:
        """A table with all its digits; the CSV beside it has the same rows."""
        table = pd.read_parquet(self.folder / "tables" / f"{name}.parquet")
        assert len(pd.read_csv(self.folder / "tables" / f"{name}.csv")) == len(table)
        return table

    def accuracies(self, name: str, column: str = "test_accuracy_mean") -> pd.Series:
        """A column of percents, none of them missing."""
        found = self.table(name)[column]
        assert found.between(0, 100).all(), found
        return found


@pytest.fixture(scope="module")
def reproductions(
    tmp_path_factory: pytest.TempPathFactory, data_dir: str
) -> Iterator[Reproductions]:
    with local_ray():
        yield Reproductions(tmp_path_factory.mktemp("runs"), data_dir)


@pytest.fixture(scope="module")
def stl10(tmp_path_factory: pytest.TempPathFactory) -> str:
    """STL-10 in its own files: three classes of stripes."""
    folder = tmp_path_factory.mktemp("stl10")
    for part, num_images in (("train", 30), ("test", 15)):
        labels = np.arange(num_images) % 3
        images = [striped(number, label, 96) for number, label in enumerate(labels)]
        # Channel by channel, column by column.
        np.stack([image.transpose(2, 1, 0) for image in images]).tofile(folder / f"{part}_X.bin")
        (labels + 1).astype(np.uint8).tofile(folder / f"{part}_y.bin")
    (folder / "class_names.txt").write_text("airplane\nbird\ncar\n")
    return f"stl10:{folder}"


@pytest.fixture(scope="module")
def tiny_imagenet(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Tiny ImageNet in its own layout: three classes of stripes."""
    folder = tmp_path_factory.mktemp("tiny")
    annotations = []
    for label, wnid in enumerate(("n01", "n02", "n03")):
        for number in range(10):
            path = folder / "train" / wnid / "images" / f"{wnid}_{number}.JPEG"
            write_image(path, striped(number, label, 64))
        for number in range(5):
            name = f"val_{label}_{number}.JPEG"
            write_image(folder / "val" / "images" / name, striped(100 + number, label, 64))
            annotations.append(f"{name}\t{wnid}\t0\t0\t62\t61\n")
    (folder / "val" / "val_annotations.txt").write_text("".join(annotations))
    (folder / "words.txt").write_text("n01\tgoldfish\nn02\tbullfrog\nn03\tcock\n")
    return f"tinyimagenet:{folder}"


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory: pytest.TempPathFactory) -> str:
    """ImageNet in its own layout, of generated JPEGs."""
    return f"imagenet:{make_imagenet(tmp_path_factory.mktemp('imagenet'))}"


def striped(number: int, label: int, size: int) -> np.ndarray:
    """An image whose stripes run as its class says, under noise."""
    generator = np.random.default_rng(number)
    y, x = np.mgrid[:size, :size]
    wave = np.sin((x, y, x + y)[label] / 4 + generator.uniform(0, 6))
    noise = generator.normal(0, 20, (size, size, 3))
    return (128 + 80 * wave[..., None] + noise).clip(0, 255).astype(np.uint8)


def test_itrd_log(reproductions: Reproductions) -> None:
    made = reproductions.run("itrd-log", epochs=2, seeds=2)
    assert "scaled down: data digits instead of cifar100; 200 training images; 2 epochs" in (
        made.words
    )
    table = made.table("log2")
    assert table["loss"].tolist() == ["without log2", "with log2"]
    assert table["published_mean"].tolist() == [71.52, 71.36]
    assert made.accuracies("log2").gt(10).all()
    assert (table["num_seeds"] == 2).all()


def test_itrd_kernel(reproductions: Reproductions) -> None:
    made = reproductions.run("itrd-kernel", epochs=2, seeds=2)
    table = made.table("kernels")
    assert table["kernel"].tolist() == ["polynomial", "RBF, h = 1", "RBF, h = 5"]
    assert table["published_std"].tolist() == [0.25, 0.18, 0.08]
    made.accuracies("kernels")


def test_itrd_transfer(reproductions: Reproductions, stl10: str, tiny_imagenet: str) -> None:
    made = reproductions.run("itrd-transfer", probe_data=f"{stl10},{tiny_imagenet}")
    for name, published in (("transfer-stl10", 69.7), ("transfer-tinyimagenet", 33.7)):
        table = made.table(name)
        assert table["method"].tolist() == [
            "plain", "kd", "at", "fitnet", "crd", "crd+kd", "itrd", "teacher",
        ]  # fmt: skip
        assert table["published_mean"][0] == published
        # Three classes of stripes: features of whatever network tell some of them apart.
        assert made.accuracies(name).gt(34).any()


def test_itrd_alpha(reproductions: Reproductions) -> None:
    made = reproductions.run("itrd-alpha", seeds=2)
    assert made.figures == {"alpha"}
    assert made.table("alpha")["α"].tolist() == [
        f"α = {alpha:g}" for alpha in (1.01, 1.5, 2, 3, 4, 5, 10)
    ]
    assert "Kendall" in made.words
    made.accuracies("alpha")


def test_itrd_beta(reproductions: Reproductions) -> None:
    made = reproductions.run("itrd-beta", seeds=2)
    assert made.figures == {"beta"}
    # Two sweeps of seven values cross in one.
    assert len(made.accuracies("beta")) == 13


def test_itrd_cost(reproductions: Reproductions) -> None:
    made = reproductions.run(
        "itrd-cost",
        teacher="resnet20",
        epochs=None,
        seeds=None,
        limit=80,
        batch_size=16,
        memory_cap="40MB",
    )
    table = made.table("cost").set_index("method")
    assert list(table.index) == ["itrd", "kd", "reviewkd", "crcd", "hsakd", "crd"]
    assert table.loc["itrd", "memory_ratio"] == table.loc["itrd", "time_ratio"] == 1
    # HSAKD's step has four rotations of each image.
    assert table.loc["hsakd", "time_ratio"] > 2
    assert (table["largest_batch_size"].dropna() % 8 == 0).all()
    added = made.table("parameters").set_index("method")
    assert added.loc["itrd", "num_parameters"] == 512 * 512 + 512
    assert made.figures == {"cost"}


def test_itrd_convergence(reproductions: Reproductions) -> None:
    made = reproductions.run("itrd-convergence", epochs=16, seeds=2)
    table = made.table("convergence")
    assert table["method"].tolist() == ["itrd", "crd", "kd"]
    assert table["epochs_to_final_minus_half"].between(1, 16).all()
    assert made.figures == {"convergence"}


def test_mimkd_pairs(reproductions: Reproductions) -> None:
    made = reproductions.run("mimkd-pairs", **dict.fromkeys(SMALL))
    for title, text in PAIRED.items():
        assert f"{title}: {text} pairs match the paper" in made.words
    assert len(made.table("table4")) == 4
    assert "scaled down" not in made.words


def test_mimkd_critics(reproductions: Reproductions) -> None:
    made = reproductions.run("mimkd-critics", seeds=2)
    assert made.table("critics")["critic"].tolist() == ["convolve", "project and dot"]
    made.accuracies("critics")
    assert len(made.table("layers")) == 6


def test_mimkd_shallow(reproductions: Reproductions) -> None:
    made = reproductions.run(
        "mimkd-shallow",
        "--pairs=resnet8:conv4,resnet8:conv4_mp",
        "--set=fitnet.layer=stem",  # of images as small as these it is the only map that fits
        teacher=None,
        student=None,
    )
    for number, student in enumerate(("conv4", "conv4_mp"), 1):
        table = made.table(f"shallow-{number}")
        assert set(table["student"]) == {student}
        assert table["method"].tolist() == [
            "teacher", "plain", "fitnet", "at", "vid", "kd", "crd", "mimkd",
        ]  # fmt: skip
        made.accuracies(f"shallow-{number}")
    assert made.table("verdicts")["student"].tolist() == ["conv4", "conv4_mp"]


def test_mimkd_landscape(reproductions: Reproductions) -> None:
    made = reproductions.run("mimkd-landscape", "--set=width=8", "--set=num_locations=4")
    table = made.table("settings")
    assert len(table) == 125
    assert made.accuracies("settings").nunique() > 5
    assert made.figures == {"figure4", "figure5", "figure6", "effects"}


def test_mimkd_negatives(reproductions: Reproductions) -> None:
    made = reproductions.run("mimkd-negatives")
    assert len(made.accuracies("negatives")) == 5
    cost = made.table("cost").set_index("method")
    one, many = cost.loc["mimkd, 1 negative"], cost.loc["mimkd, 4096 negatives"]
    assert many["buffer_bytes"] > one["buffer_bytes"]
    assert (cost["step_seconds"] > 0).all()


def test_mimkd_imagenet(reproductions: Reproductions, imagenet: str) -> None:
    made = reproductions.run(
        "mimkd-imagenet",
        "--set=width=8",
        data=imagenet,
        limit=None,
        image_size=32,
        batch_size=8,
        teacher="torchvision:resnet18",
        student="torchvision:resnet18",
        validation_fraction=0.25,
    )
    table = made.table("imagenet")
    assert table["method"].tolist() == ["plain", "kd", "at", "mimkd", "teacher"]
    assert table["published_mean"].tolist() == [68.88, 69.66, 69.70, 70.32, 72.82]
    made.accuracies("imagenet")


def test_crd_benchmark(reproductions: Reproductions) -> None:
    made = reproductions.run(
        "crd-benchmark", "--pairs=resnet20:resnet8,vgg8:ShuffleV1", teacher=None, student=None
    )
    assert "fsp with vgg8-ShuffleV1" in made.words
    same, different = made.table("same"), made.table("different")
    assert len(same) == len(different) == 19
    assert same["test_accuracy_mean"].notna().all()
    fails = different.set_index("method")["test_accuracy_mean"].isna()
    assert fails["fsp"]


def test_every_reproduction_was_run(reproductions: Reproductions) -> None:
    assert reproductions.done == set(CATALOGUE)


@pytest.mark.parametrize("name", CATALOGUE)
def test_its_report_is_rebuilt_without_training(reproductions: Reproductions, name: str) -> None:
    page = reproductions.runs / name / "report.html"
    if not page.exists():
        pytest.skip(f"{name} was not run")
    content = page.read_bytes()
    page.unlink()
    assert report([name, "--runs-dir", str(reproductions.runs)]) == 0
    assert page.read_bytes() == content

"""Data sources: what is read, and which sentences refuse bad input."""

import io
import json
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tuner.data import open_dataset, split
from tuner.data.sources import FOLDER_SOURCES, NAMED_SOURCES
from tuner.data.sources.decoding import resize_images
from tuner.text.errors import RequestError

CIFAR10 = Path(__file__).parents[4] / "shared" / "data" / "cifar10"


def pixels(seed: int, height: int = 6, width: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "png")
    return buffer.getvalue()


def write_parquet(
    path: Path,
    images: list,
    labels: list,
    *,
    image: str = "image",
    label: str = "label",
    names: list[str] | None = None,
) -> None:
    """Writes images (bytes: as a Hugging Face struct; else as given) and labels."""
    is_bytes = all(isinstance(data, bytes | None) for data in images)
    column = [{"bytes": data, "path": None} for data in images] if is_bytes else images
    table = pa.table({image: column, label: labels})
    if names:
        features = {"info": {"features": {label: {"names": names, "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def write_image(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


@pytest.fixture
def parquet_folder(tmp_path):
    """Four training images in two files and two test images, under data/."""
    folder = tmp_path / "source"
    names = ["cat", "dog"]
    for number in (0, 1):
        images = [png(pixels(2 * number)), png(pixels(2 * number + 1))]
        path = folder / "data" / f"train-0000{number}-of-00002.parquet"
        write_parquet(path, images, [0, 1], names=names)
    test = folder / "data" / "test-00000-of-00001.parquet"
    write_parquet(test, [png(pixels(4)), png(pixels(5))], [1, 0], names=names)
    return folder


@pytest.fixture
def image_folder(tmp_path):
    """Two classes of two training images, one test image each."""
    folder = tmp_path / "source"
    for split_name, count in (("train", 2), ("test", 1)):
        for label, name in enumerate(("cat", "dog")):
            for number in range(count):
                write_image(
                    folder / split_name / name / f"{number}.png", pixels(10 * label + number)
                )
    return folder


def refusal(spec: str, data_dir: Path, image_size: int | None = None) -> str:
    with pytest.raises(RequestError) as error:
        open_dataset(spec, data_dir, image_size=image_size)
    message = str(error.value)
    assert "\n" not in message
    return message


# The embedded digits


def test_digits_are_grey_bytes_with_a_stratified_fifth_for_test(tmp_path):
    digits = open_dataset("digits", tmp_path)
    assert digits.images.shape == (1797, 3, 8, 8)
    assert (digits.num_train, digits.num_test, digits.num_classes) == (1438, 359, 10)
    assert digits.image_size == (8, 8)
    assert (digits.images.min(), digits.images.max()) == (0, 255)
    assert (digits.images[:, 0] == digits.images[:, 2]).all()
    assert np.ptp(np.bincount(digits.labels[digits.num_train :])) <= 2
    np.testing.assert_allclose(digits.mean[0], digits.images[:1438, 0].mean() / 255, rtol=1e-12)
    np.testing.assert_allclose(digits.std[2], digits.images[:1438, 2].std() / 255, rtol=1e-9)


def test_digits_hold_every_image_of_scikit_learn_once(tmp_path):
    from sklearn.datasets import load_digits

    digits, originals = open_dataset("digits", tmp_path), load_digits()
    ours = np.rint(digits.images[:, 0] * (16 / 255)).astype(int).reshape(-1, 64)
    ours = np.column_stack([ours, digits.labels])
    theirs = np.column_stack([originals.data, originals.target]).astype(int)
    assert sorted(map(tuple, ours)) == sorted(map(tuple, theirs))


# Parquet


def test_parquet_rows_keep_their_order_labels_and_names(parquet_folder, tmp_path):
    dataset = open_dataset(f"parquet:{parquet_folder}", tmp_path)
    expected = np.stack([pixels(seed).transpose(2, 0, 1) for seed in range(6)])
    np.testing.assert_array_equal(dataset.images, expected)
    assert dataset.labels.tolist() == [0, 1, 0, 1, 1, 0]
    assert dataset.num_train == 4
    assert dataset.class_names == ("cat", "dog")
    assert dataset.spec == f"parquet:{parquet_folder}"


def test_parquet_with_binary_column_fine_labels_and_no_names(tmp_path):
    for name in ("train-0.parquet", "validation-0.parquet"):
        table = pa.table({"img": [png(pixels(0)), png(pixels(1))], "fine_label": [0, 2]})
        pq.write_table(table, tmp_path / name)
    dataset = open_dataset(f"parquet:{tmp_path}", tmp_path)
    assert dataset.class_names == ("0", "1", "2")
    assert (dataset.num_train, dataset.num_test) == (2, 2)


@pytest.mark.parametrize(
    ("image", "label", "text"),
    [
        ("picture", "label", "no image column; name it 'image' or 'img' .*: picture, label"),
        ("image", "kind", "no label column; name it 'label' or 'fine_label' .*: image, kind"),
    ],
)
def test_parquet_without_a_column_names_those_it_has(tmp_path, image, label, text):
    for name in ("train-0.parquet", "test-0.parquet"):
        write_parquet(tmp_path / name, [png(pixels(0))], [0], image=image, label=label)
    with pytest.raises(RequestError, match=text):
        open_dataset(f"parquet:{tmp_path}", tmp_path)


@pytest.mark.parametrize(
    ("images", "labels", "text"),
    [
        ([b"no image"], [0], r"train-0.parquet: row 0: not a readable image"),
        ([png(pixels(0)), png(pixels(1))[:90]], [0, 0], r"row 1: not a readable image"),
        ([png(pixels(0)), None], [0, 0], r"row 1: no image bytes"),
        ([png(pixels(0)), png(pixels(1, 6, 9))], [0, 0], r"row 1 is 9x6 pixels but .*row 0 is 6x6"),
        ([7], [0], r"column 'image' is int64; it must be binary"),
        ([png(pixels(0))], [0.5], r"column 'label' does not hold integers"),
        ([png(pixels(0))], [-1], r"labels range from -1 to 0, but with 1 classes"),
        ([png(pixels(0)), png(pixels(0))], [0, None], r"rows without a label"),
    ],
)
def test_parquet_with_bad_rows_says_which(tmp_path, images, labels, text):
    write_parquet(tmp_path / "train-0.parquet", images, labels)
    write_parquet(tmp_path / "test-0.parquet", [png(pixels(2))], [0])
    with pytest.raises(RequestError, match=text):
        open_dataset(f"parquet:{tmp_path}", tmp_path)


def test_parquet_file_that_is_cut_short_is_named(parquet_folder, tmp_path):
    file = parquet_folder / "data" / "train-00001-of-00002.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    message = refusal(f"parquet:{parquet_folder}", tmp_path)
    assert message.startswith(f"{file}: not a readable Parquet file")


def test_parquet_folder_without_test_files_says_what_it_needs(parquet_folder, tmp_path):
    (parquet_folder / "data" / "test-00000-of-00001.parquet").unlink()
    assert "needs train-*.parquet and test-*.parquet" in refusal(
        f"parquet:{parquet_folder}", tmp_path
    )


# Image folders


def test_image_folder_sorts_classes_and_reads_grey_as_rgb(image_folder, tmp_path):
    write_image(image_folder / "train" / "ant" / "0.png", pixels(7)[:, :, 0])
    dataset = open_dataset(f"imagefolder:{image_folder}", tmp_path)
    assert dataset.class_names == ("ant", "cat", "dog")
    assert dataset.labels.tolist() == [0, 1, 1, 2, 2, 1, 2]
    assert dataset.num_train == 5
    np.testing.assert_array_equal(dataset.images[0], np.stack([pixels(7)[:, :, 0]] * 3))
    np.testing.assert_array_equal(dataset.images[4], pixels(11).transpose(2, 0, 1))


def test_val_stands_in_for_test(image_folder, tmp_path):
    (image_folder / "test").rename(image_folder / "val")
    assert open_dataset(f"imagefolder:{image_folder}", tmp_path).num_test == 2


def test_unequal_images_need_an_image_size(image_folder, tmp_path):
    odd = image_folder / "train" / "dog" / "wide.png"
    write_image(odd, pixels(8, 12, 24))
    message = refusal(f"imagefolder:{image_folder}", tmp_path)
    assert message.startswith(f"{odd} is 24x12 pixels but ")
    assert "give --image-size to resize" in message
    dataset = open_dataset(f"imagefolder:{image_folder}", tmp_path, image_size=6)
    assert dataset.image_size == (6, 6)
    # Equal ones stay as they are.
    np.testing.assert_array_equal(dataset.images[0], pixels(0).transpose(2, 0, 1))


def test_resizing_averages_and_crops_the_centre():
    # A fine checkerboard: without antialiasing it would stay black and white.
    board = np.indices((16, 16)).sum(axis=0) % 2 * 255
    wide = np.zeros((1, 3, 16, 32), np.uint8)
    wide[..., 8:24] = board
    wide[..., :4] = wide[..., 28:] = 255  # cropped away
    small = resize_images(wide, 4)
    assert small.shape == (1, 3, 4, 4)
    assert abs(small[0, 0, 1:3, 1:3].astype(int) - 127).max() <= 12


def test_unreadable_image_file_is_named(image_folder, tmp_path):
    bad = image_folder / "train" / "cat" / "0.png"
    bad.write_bytes(b"\x89PNG\r\n")
    assert refusal(f"imagefolder:{image_folder}", tmp_path).startswith(
        f"{bad}: not a readable image"
    )


def test_sixteen_bit_images_are_refused_not_clipped(image_folder, tmp_path):
    write_image(image_folder / "train" / "cat" / "0.png", np.full((6, 6), 40000, np.uint16))
    assert "more than 8 bits per channel" in refusal(f"imagefolder:{image_folder}", tmp_path)


def test_image_folder_mistakes_are_refused(image_folder, tmp_path):
    spec = f"imagefolder:{image_folder}"
    empty = image_folder / "train" / "eel"
    empty.mkdir()
    assert f"{empty}: no image files" in refusal(spec, tmp_path)
    empty.rmdir()
    write_image(image_folder / "test" / "fox" / "0.png", pixels(0))
    assert "'fox' is not a class of" in refusal(spec, tmp_path)
    (image_folder / "test").rename(image_folder / "other")
    assert "needs DIR/train/CLASS/ and DIR/test/CLASS/" in refusal(spec, tmp_path)
    (tmp_path / "bare" / "train").mkdir(parents=True)
    (tmp_path / "bare" / "test").mkdir()
    assert "no class folders" in refusal(f"imagefolder:{tmp_path / 'bare'}", tmp_path)


# STL-10


@pytest.fixture
def stl10_folder(tmp_path):
    """Three training and two test images in the files of the binary distribution."""
    folder = tmp_path / "source" / "stl10_binary"
    folder.mkdir(parents=True)
    for split_name, seeds, labels in (("train", (0, 1, 2), (1, 3, 2)), ("test", (3, 4), (2, 3))):
        # Channel by channel, column by column.
        columns = [pixels(seed, 96, 96).transpose(2, 1, 0) for seed in seeds]
        np.stack(columns).tofile(folder / f"{split_name}_X.bin")
        np.array(labels, np.uint8).tofile(folder / f"{split_name}_y.bin")
    (folder / "class_names.txt").write_text("airplane\nbird\ncar\n")
    return folder.parent


def test_stl10_is_read_as_the_official_reader_does(stl10_folder, tmp_path):
    for folder in (stl10_folder, stl10_folder / "stl10_binary"):
        dataset = open_dataset(f"stl10:{folder}", tmp_path)
        expected = np.stack([pixels(seed, 96, 96).transpose(2, 0, 1) for seed in range(5)])
        np.testing.assert_array_equal(dataset.images, expected)
        assert dataset.labels.tolist() == [0, 2, 1, 1, 2]
        assert (dataset.num_train, dataset.num_test) == (3, 2)
        assert dataset.class_names == ("airplane", "bird", "car")


def test_stl10_agrees_with_torchvision(stl10_folder, tmp_path, monkeypatch):
    from torchvision.datasets import STL10

    monkeypatch.setattr(STL10, "_check_integrity", lambda self: True)  # of the real archive
    (stl10_folder / "stl10_binary" / "fold_indices.txt").write_text("")
    theirs = STL10(str(stl10_folder), split="train")
    ours = open_dataset(f"stl10:{stl10_folder}", tmp_path)
    np.testing.assert_array_equal(ours.images[:3], theirs.data)
    assert ours.labels[:3].tolist() == theirs.labels.tolist()


def test_stl10_is_resized(stl10_folder, tmp_path):
    dataset = open_dataset(f"stl10:{stl10_folder}", tmp_path, image_size=32)
    assert dataset.images.shape == (5, 3, 32, 32)
    whole = np.stack([pixels(seed, 96, 96).transpose(2, 0, 1) for seed in range(5)])
    np.testing.assert_array_equal(dataset.images, resize_images(whole, 32))


def test_stl10_mistakes_are_refused(stl10_folder, tmp_path):
    spec, folder = f"stl10:{stl10_folder}", stl10_folder / "stl10_binary"
    (folder / "test_y.bin").write_bytes(bytes([2, 4]))
    assert "test_y.bin: labels range from 2 to 4, but with 3 classes" in refusal(spec, tmp_path)
    (folder / "train_X.bin").write_bytes(b"short")
    assert "train_X.bin: 5 bytes, but the 3 labels of train_y.bin need" in refusal(spec, tmp_path)
    (folder / "class_names.txt").write_text("\n")
    assert "class_names.txt: no class names" in refusal(spec, tmp_path)
    (folder / "class_names.txt").unlink()
    assert "stl10:DIR needs train_X.bin, train_y.bin, " in refusal(spec, tmp_path)


# Tiny ImageNet


@pytest.fixture
def tiny_imagenet_folder(tmp_path):
    """Two classes of two training images and three validation images, as published."""
    folder = tmp_path / "tiny-imagenet-200"
    for wnid in ("n02", "n01"):
        for number in range(2):
            path = folder / "train" / wnid / "images" / f"{wnid}_{number}.JPEG"
            write_image(path, np.full((64, 64, 3), 50 * number + int(wnid[1:]), np.uint8))
    annotations = []
    for number, wnid in enumerate(("n02", "n01", "n02")):
        name = f"val_{number}.JPEG"
        write_image(folder / "val" / "images" / name, np.full((64, 64, 3), 200 + number, np.uint8))
        annotations.append(f"{name}\t{wnid}\t0\t0\t62\t61\n")
    (folder / "val" / "val_annotations.txt").write_text("".join(annotations))
    words = "n00\tentity\nn01\tgoldfish, Carassius auratus\nn02\tbullfrog, Rana catesbeiana\n"
    (folder / "words.txt").write_text(words)
    return folder


def test_tiny_imagenet_is_read_as_it_is_published(tiny_imagenet_folder, tmp_path):
    # Unlabelled, and not read.
    write_image(tiny_imagenet_folder / "test" / "images" / "test_0.JPEG", pixels(0))
    dataset = open_dataset(f"tinyimagenet:{tiny_imagenet_folder}", tmp_path)
    assert dataset.images.shape == (7, 3, 64, 64)
    assert dataset.labels.tolist() == [0, 0, 1, 1, 1, 0, 1]
    assert dataset.images[:, 0, 0, 0].tolist() == [1, 51, 2, 52, 200, 201, 202]
    assert (dataset.num_train, dataset.class_names) == (4, ("goldfish", "bullfrog"))
    small = open_dataset(f"tinyimagenet:{tiny_imagenet_folder}", tmp_path, image_size=32)
    assert small.images.shape == (7, 3, 32, 32)


def test_tiny_imagenet_mistakes_are_refused(tiny_imagenet_folder, tmp_path):
    spec, folder = f"tinyimagenet:{tiny_imagenet_folder}", tiny_imagenet_folder
    annotations = folder / "val" / "val_annotations.txt"
    annotations.write_text("val_0.JPEG\tn03\t0\t0\t1\t1\n")
    assert "val_0.JPEG is of class 'n03', which is not a folder" in refusal(spec, tmp_path)
    annotations.write_text("val_9.JPEG\tn01\n")
    assert "val_9.JPEG: cannot be read" in refusal(spec, tmp_path)
    annotations.write_text("../val_0.JPEG\tn01\n")
    assert "each line must be a file name, a tab and its class" in refusal(spec, tmp_path)
    annotations.write_bytes(b"\xff")
    assert "val_annotations.txt: not a readable text file" in refusal(spec, tmp_path)
    (folder / "words.txt").unlink()
    assert "tinyimagenet:DIR needs DIR/train/WNID/images/*.JPEG" in refusal(spec, tmp_path)


# CIFAR through torchvision


def fake_loader(num_classes: int) -> type:
    class Loader:
        filename = "cifar-python.tar.gz"

        def __init__(self, root: Path, *, train: bool, download: bool) -> None:
            count = 20 if train else 10
            self.data = np.full((count, 32, 32, 3), (10, 20, 30), np.uint8)
            self.data[0, 0, 1] = (1, 2, 3)
            self.targets = [row % num_classes for row in range(count)]
            self.classes = [f"class{number}" for number in range(num_classes)]

    return Loader


def test_cifar_is_read_through_torchvision(tmp_path, monkeypatch):
    from torchvision import datasets

    monkeypatch.setattr(datasets, "CIFAR10", fake_loader(10))
    monkeypatch.setattr(datasets, "CIFAR100", fake_loader(5))
    small, large = (open_dataset(name, tmp_path) for name in ("cifar10", "cifar100"))
    assert small.images.shape == (30, 3, 32, 32)
    assert small.images[0, :, 0, 1].tolist() == [1, 2, 3]
    assert (small.num_train, small.num_classes) == (20, 10)
    np.testing.assert_allclose(small.mean, np.array([10, 20, 30]) / 255, rtol=1e-3)
    assert large.mean == (0.5071, 0.4867, 0.4408)
    assert large.std == (0.2675, 0.2565, 0.2761)


@pytest.mark.parametrize("error", [URLError("no route"), RuntimeError("File not found")])
def test_cifar_without_a_network_says_where_to_put_the_file(tmp_path, monkeypatch, error):
    from torchvision import datasets

    def download(self: object) -> None:
        raise error

    monkeypatch.setattr(datasets.CIFAR100, "download", download)
    message = refusal("cifar100", tmp_path)
    assert message.startswith("cifar100: download failed (")
    assert f"put cifar-100-python.tar.gz into {tmp_path / 'downloads'}" in message
    assert "parquet:DIR" in message


# Specs


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("cifar-10", "unknown data 'cifar-10'; did you mean 'cifar10'? known: cifar10, cifar100, "),
        ("parqet:x", "unknown data 'parqet:x'; did you mean 'parquet'?"),
        ("mnist", "unknown data 'mnist'; known: "),
        ("", "unknown data ''; known: "),
        ("parquet", "data 'parquet' names no folder; write parquet:DIR"),
        ("imagefolder:", "data 'imagefolder:' names no folder; write imagefolder:DIR"),
        ("digits:x", "digits takes no folder; write digits"),
        ("imagefolder:/no/where", "/no/where: no such folder"),
    ],
)
def test_unknown_specs_are_refused(tmp_path, spec, text):
    assert text in refusal(spec, tmp_path)


def test_a_folder_without_a_kind_gets_a_hint(tmp_path):
    assert f"write imagefolder:{tmp_path} or parquet:{tmp_path}" in refusal(str(tmp_path), tmp_path)


def test_an_image_size_below_one_is_refused(tmp_path):
    assert "the image size is 0" in refusal("digits", tmp_path, image_size=0)


def test_the_tables_name_every_source():
    assert {*NAMED_SOURCES, *FOLDER_SOURCES} == {
        "cifar10", "cifar100", "digits", "imagefolder", "imagenet", "parquet", "stl10",
        "tinyimagenet",
    }  # fmt: skip


# Real images


@pytest.mark.skipif(not CIFAR10.is_dir(), reason="needs ../shared/data/cifar10")
def test_real_cifar10_by_parquet(tmp_path):
    # All 60,000 take 10 seconds to decode; these come from the same files.
    for name, count in (("train", 4000), ("test", 500)):
        (file,) = CIFAR10.glob(f"{name}-*.parquet")
        table = pq.ParquetFile(file).read_row_group(0).slice(0, count)
        pq.write_table(table, tmp_path / file.name)
    dataset = open_dataset(f"parquet:{tmp_path}", tmp_path)
    assert dataset.images.shape == (4500, 3, 32, 32)
    assert dataset.class_names[0] == "airplane"
    # The published means and deviations of CIFAR-10, as near as 4,000 images are.
    np.testing.assert_allclose(dataset.mean, (0.4914, 0.4822, 0.4465), atol=0.01)
    np.testing.assert_allclose(dataset.std, (0.247, 0.243, 0.262), atol=0.01)
    splits = split(dataset, validation_fraction=0.1, seed=0, limit=2000)
    assert [len(rows) for rows in splits] == [2000, 222, 500]
    share = np.bincount(dataset.labels[:4000]) / 4000
    np.testing.assert_allclose(np.bincount(dataset.labels[splits.train]) / 2000, share, atol=1e-3)

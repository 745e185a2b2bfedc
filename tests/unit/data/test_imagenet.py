"""ImageNet's layout: the list of files, and the views that are decoded while training."""

import shutil
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from tests.support.imagenet import CLASSES, SIZE, make_imagenet
from tuner.config.options import WorkloadRequest
from tuner.config.workload import resolve
from tuner.data import (
    Dataset,
    ImageFiles,
    UnreadableImageError,
    Views,
    evaluation_batches,
    open_dataset,
    read_dataset,
)
from tuner.data.random_crops import RandomCrop, draw_crops
from tuner.data.streaming import stream
from tuner.text.errors import RequestError

CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_imagenet(tmp_path_factory.mktemp("imagenet"))


@pytest.fixture(scope="module")
def dataset(folder: Path, data_dir: str) -> Dataset:
    return open_dataset(f"imagenet:{folder}", Path(data_dir), image_size=SIZE)


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A copy of the folder that a test may damage."""
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def files_of(dataset: Dataset) -> ImageFiles:
    assert isinstance(dataset.images, ImageFiles)
    return dataset.images


def views_of(dataset: Dataset, seed: int = 0, *, flip: bool = True) -> Views:
    rows = np.arange(dataset.num_train)
    return Views(dataset, rows, seed, num_augmented_epochs=100, padding=0, flip=flip)


def epoch_of(views: Views, epoch: int = 1) -> torch.Tensor:
    """An epoch's images by row."""
    batches = list(views.batches(epoch, 8, CPU))
    images = torch.cat([batch.images for batch in batches])
    return images[torch.cat([batch.indices for batch in batches]).argsort()]


def refusal(folder: Path, data_dir: Path) -> str:
    with pytest.raises(RequestError) as error:
        open_dataset(f"imagenet:{folder}", data_dir)
    return str(error.value)


# The list of files


def test_the_list_is_read_back_from_arrow_and_holds_no_pixels(dataset, folder):
    again = read_dataset(dataset.path)
    files = files_of(again)
    assert (again.num_train, again.num_test, again.class_names) == (42, 12, CLASSES)
    assert again.labels.tolist() == [*np.repeat([0, 1, 2], 14), *np.repeat([0, 1, 2], 4)]
    assert files.paths[0].as_py() == "train/n01440764/n01440764_0.JPEG"
    sizes = [(folder / path.as_py()).stat().st_size for path in files.paths]
    assert files.num_bytes.tolist() == sizes
    assert (again.image_size, files.shape) == ((SIZE, SIZE), (54, 3, SIZE, SIZE))
    assert again.path.stat().st_size < 20_000


def test_images_have_224_pixels_by_default(folder, tmp_path):
    whole = open_dataset(f"imagenet:{folder}", tmp_path)
    assert whole.image_size == (224, 224)
    assert whole.mean == (0.485, 0.456, 0.406)
    assert whole.std == (0.229, 0.224, 0.225)


def test_the_fingerprint_is_of_names_and_sizes_wherever_the_folder_is(dataset, copy, tmp_path):
    def fingerprint() -> str:
        return open_dataset(f"imagenet:{copy}", tmp_path, image_size=SIZE).fingerprint

    assert fingerprint() == dataset.fingerprint
    first = copy / "train" / CLASSES[0] / f"{CLASSES[0]}_3.JPEG"
    first.rename(first.with_name("other.JPEG"))
    renamed = fingerprint()
    assert renamed != dataset.fingerprint
    first.with_name("other.JPEG").unlink()
    assert fingerprint() not in (renamed, dataset.fingerprint)


def test_a_folder_of_another_layout_is_refused(copy, tmp_path):
    for name in CLASSES:
        for path in (copy / "val" / name).iterdir():
            path.rename(copy / "val" / path.name)
        (copy / "val" / name).rmdir()
    assert refusal(copy, tmp_path) == (
        f"{copy}/val: no class folders; move each image into the folder of its class, "
        f"{copy}/val/WNID"
    )
    (copy / "val" / "n09999999").mkdir()
    shutil.copy(copy / "train" / CLASSES[0] / f"{CLASSES[0]}_3.JPEG", copy / "val" / "n09999999")
    assert "'n09999999' is not a class of" in refusal(copy, tmp_path)
    shutil.rmtree(copy / "val")
    assert "needs DIR/train/WNID/ and DIR/val/WNID/" in refusal(copy, tmp_path)


def test_empty_files_and_classes_are_refused(copy, tmp_path):
    empty = copy / "train" / CLASSES[1] / "empty.JPEG"
    empty.touch()
    assert refusal(copy, tmp_path) == f"{empty}: the file is empty; replace or remove it"
    shutil.rmtree(empty.parent)
    empty.parent.mkdir()
    assert "no JPEG files in this class" in refusal(copy, tmp_path)


def test_padded_crops_are_refused(folder):
    def workload(**given):
        return resolve(WorkloadRequest(data=f"imagenet:{folder}", **given).model_dump())

    with pytest.raises(RequestError, match="leave out --crop-padding"):
        workload(crop_padding=4)
    assert workload(crop_padding=0).crop_padding == 0
    assert workload(preset="crd-cifar100").crop_padding == 0


# Views


@pytest.mark.parametrize("draw_seed", [None, 5])
def test_the_number_of_threads_changes_no_bit(dataset, draw_seed, monkeypatch):
    def draw(rows: np.ndarray) -> list[RandomCrop]:
        return draw_crops(rows, seed=draw_seed, augmented_epoch=1, flip=True)

    def streamed(num_threads: int) -> np.ndarray:
        monkeypatch.setattr(torch, "get_num_threads", lambda: num_threads)
        batches = np.array_split(np.arange(54), 5)
        return np.concatenate(list(stream(files_of(dataset), batches, draw_seed and draw)))

    one, four = streamed(1), streamed(4)
    np.testing.assert_array_equal(one, four)
    assert len(one) == 54


def test_a_view_depends_on_seed_pass_and_row_alone(dataset):
    views = views_of(dataset)
    first = epoch_of(views)
    torch.testing.assert_close(first, epoch_of(views_of(dataset)), rtol=0, atol=0)
    for other in (epoch_of(views, 2), epoch_of(views_of(dataset, seed=1))):
        differ = (first != other).flatten(1).any(1)
        assert differ.all()
    rows = np.array([40, 3])
    torch.testing.assert_close(views.images(rows, 1, CPU), first[rows], rtol=0, atol=0)


def test_an_image_is_mirrored_half_of_the_time(dataset):
    crops = draw_crops(np.arange(4000), seed=0, augmented_epoch=1, flip=True)
    assert np.mean([crop.is_flipped for crop in crops]) == pytest.approx(0.5, abs=0.03)
    plain, mirrored = epoch_of(views_of(dataset, flip=False)), epoch_of(views_of(dataset))
    is_flipped = [crop.is_flipped for crop in crops[:42]]
    expected = torch.stack(
        [image.flip(-1) if flip else image for image, flip in zip(plain, is_flipped, strict=True)]
    )
    torch.testing.assert_close(mirrored, expected, rtol=0, atol=0)


def test_crops_lie_in_the_published_ranges():
    height, width = 375, 500
    crops = draw_crops(np.arange(5000), seed=3, augmented_epoch=2, flip=False)
    boxes = np.array([crop.box(height, width) for crop in crops])
    top, left, heights, widths = boxes.T
    assert min(top.min(), left.min()) >= 0
    assert (top + heights).max() <= height
    assert (left + widths).max() <= width
    # A pixel of rounding at each side.
    area, ratio = heights * widths / (height * width), widths / heights
    assert 0.078 < area.min() < 0.09
    assert 0.95 < area.max() <= 1
    assert 0.74 < ratio.min() < 0.77
    assert 1.3 < ratio.max() < 1.35
    # Uniform but for the boxes that stick out: as torchvision draws them.
    torch.manual_seed(0)
    image = torch.empty(3, height, width)
    get_params = transforms.RandomResizedCrop.get_params
    theirs = np.array([get_params(image, (0.08, 1), (3 / 4, 4 / 3)) for _ in range(5000)])
    for ours, reference in zip(boxes.T, theirs.T, strict=True):
        deciles = np.linspace(0, 100, 11)
        np.testing.assert_allclose(
            np.percentile(ours, deciles), np.percentile(reference, deciles), atol=12
        )


@pytest.mark.parametrize("size", [(30, 1000), (1000, 30), (1, 1), (1, 90)])
def test_a_narrow_image_is_cropped_inside(size):
    for crop in draw_crops(np.arange(50), seed=0, augmented_epoch=1, flip=True):
        top, left, height, width = crop.box(*size)
        assert 0 <= top < top + height <= size[0]
        assert 0 <= left < left + width <= size[1]


@pytest.mark.parametrize("size", [SIZE, 224])
def test_the_evaluations_view_is_torchvisions(folder, tmp_path, size):
    dataset = open_dataset(f"imagenet:{folder}", tmp_path, image_size=size)
    resize, crop = transforms.Resize(round(size * 256 / 224)), transforms.CenterCrop(size)
    for row, image in enumerate(dataset.images[:]):
        with Image.open(folder / files_of(dataset).paths[row].as_py()) as file:
            expected = np.asarray(crop(resize(file.convert("RGB")))).transpose(2, 0, 1)
        assert np.abs(image.astype(int) - expected).max() <= 1  # of 255


def test_evaluation_batches_are_that_view_normalised(dataset):
    (batch,) = evaluation_batches(dataset, np.array([5, 50]), batch_size=2, device=CPU)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (dataset.mean, dataset.std))
    pixels = torch.from_numpy(dataset.images[np.array([5, 50])]).float() / 255
    torch.testing.assert_close(batch.images, (pixels - mean) / std)
    assert dataset.images[:2].shape == (2, 3, SIZE, SIZE)


def test_flaws_that_pillow_tolerates_are_not_reported(copy, tmp_path):
    path = copy / "train" / CLASSES[0] / f"{CLASSES[0]}_5.JPEG"
    cut_exif = bytes.fromhex("4578696600004949 2a0008000000 05001a010500 01000000 ffff0000")
    Image.new("RGB", (60, 50)).save(path, "JPEG", exif=cut_exif)
    dataset = open_dataset(f"imagenet:{copy}", tmp_path, image_size=SIZE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert epoch_of(views_of(dataset)).isfinite().all()


def test_stopping_in_the_middle_leaves_no_thread_behind(dataset):
    before = threading.active_count()
    batches = views_of(dataset).batches(1, 4, CPU)
    next(batches)
    batches.close()
    assert threading.active_count() == before


@pytest.mark.parametrize("content", [b"no image", b"\x89PNG\r\n\x1a\nno", "cut"])
def test_an_unreadable_image_is_named(copy, tmp_path, content):
    path = copy / "train" / CLASSES[0] / f"{CLASSES[0]}_5.JPEG"
    path.write_bytes(path.read_bytes()[:700] if content == "cut" else content)
    dataset = open_dataset(f"imagenet:{copy}", tmp_path, image_size=SIZE)
    with pytest.raises(UnreadableImageError) as error:
        epoch_of(views_of(dataset))
    assert str(error.value).startswith(f"{path}: not a readable image (")
    assert str(error.value).endswith("); replace or remove it")

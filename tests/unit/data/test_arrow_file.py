"""The Arrow file: mapped without a copy, built once, rebuilt when damaged."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tuner.data import open_dataset, read_dataset
from tuner.data.arrow_file import write_dataset
from tuner.data.sources.digits import Digits
from tuner.data.sources.raw_data import RawData
from tuner.text.errors import RequestError


def raw_data(seed: int = 0, **changes: object) -> RawData:
    images = np.random.default_rng(seed).integers(0, 256, (6, 3, 4, 5), dtype=np.uint8)
    return RawData(images, np.array([0, 1, 0, 1, 0, 1]), 4, ("a", "b"))._replace(**changes)


def write(path: Path, raw: RawData) -> Path:
    write_dataset(path, raw, spec="made:up", name="up")
    return path


def count_builds(monkeypatch) -> list[int]:
    """Returns a list that grows by one with every build of the digits."""
    builds, load = [], Digits.load

    def counted(self: Digits, image_size: int | None) -> RawData:
        builds.append(1)
        return load(self, image_size)

    monkeypatch.setattr(Digits, "load", counted)
    return builds


def test_what_is_written_is_read_back(tmp_path):
    raw = raw_data()
    dataset = read_dataset(write(tmp_path / "a.arrow", raw))
    np.testing.assert_array_equal(dataset.images, raw.images)
    np.testing.assert_array_equal(dataset.labels, raw.labels)
    assert dataset.labels.dtype == np.int64
    assert (dataset.spec, dataset.name, dataset.num_train) == ("made:up", "up", 4)
    assert (dataset.class_names, dataset.num_test, dataset.image_size) == (("a", "b"), 2, (4, 5))
    train = raw.images[:4] / 255
    np.testing.assert_allclose(dataset.mean, train.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(dataset.std, train.std(axis=(0, 2, 3)), rtol=1e-12)


def test_images_are_a_read_only_view_of_the_map(tmp_path):
    path = write(tmp_path / "a.arrow", raw_data())
    before = pa.total_allocated_bytes()
    dataset = read_dataset(path)
    assert pa.total_allocated_bytes() == before
    for array in (dataset.images, dataset.labels):
        assert not array.flags.owndata
        assert not array.flags.writeable
        assert array.flags.c_contiguous
    with pa.memory_map(str(path)) as source:
        pixels = pa.ipc.open_file(source).get_batch(0)["image"]
    assert pixels.type == pa.list_(pa.uint8(), 60)
    # The address lies inside a map of the file, not in the heap.
    address, inside = dataset.images.ctypes.data, False
    for line in Path("/proc/self/maps").read_text().splitlines():
        begin, end = (int(number, 16) for number in line.split()[0].split("-"))
        inside |= line.endswith(path.name) and begin <= address < end
    assert inside


def test_a_constant_channel_gets_a_deviation_that_divides(tmp_path):
    raw = raw_data(images=np.zeros((6, 3, 4, 5), np.uint8))
    assert read_dataset(write(tmp_path / "a.arrow", raw)).std == (1 / 255,) * 3


def test_the_fingerprint_tells_contents_apart(tmp_path):
    raw = raw_data()
    other_labels, other_images = raw.labels.copy(), raw.images.copy()
    other_labels[5], other_images[5, 2, 3, 4] = 0, raw.images[5, 2, 3, 4] ^ 1
    variants = [
        raw,
        raw._replace(labels=other_labels),
        raw._replace(images=other_images),
        raw._replace(images=raw.images.reshape(6, 3, 5, 4)),
        raw._replace(num_train=3, mean_and_std=((0.5,) * 3, (0.5,) * 3)),
        raw._replace(num_train=4, mean_and_std=((0.5,) * 3, (0.5,) * 3)),
        raw._replace(class_names=("a", "c")),
    ]
    paths = [tmp_path / f"{number}.arrow" for number in range(len(variants))]
    prints = {
        read_dataset(write(path, variant)).fingerprint
        for path, variant in zip(paths, variants, strict=True)
    }
    assert len(prints) == len(variants)
    write_dataset(tmp_path / "again.arrow", raw, spec="other", name="other")
    assert read_dataset(tmp_path / "again.arrow").fingerprint in prints


def test_a_second_opening_builds_nothing(tmp_path, monkeypatch):
    builds = count_builds(monkeypatch)
    first, second = (open_dataset("digits", tmp_path) for _ in range(2))
    assert len(builds) == 1
    assert first.fingerprint == second.fingerprint
    larger = open_dataset("digits", tmp_path, image_size=16)
    assert len(builds) == 2
    assert larger.path != first.path
    assert larger.image_size == (16, 16)


@pytest.mark.parametrize("damage", ["cut", "emptied", "no magic", "foreign", "old format"])
def test_a_damaged_file_is_rebuilt(tmp_path, monkeypatch, damage):
    whole = open_dataset("digits", tmp_path)
    path, content = whole.path, whole.path.read_bytes()
    fingerprint = whole.fingerprint
    path.unlink()  # the old pages stay mapped; the new file is another one
    if damage == "cut":
        path.write_bytes(content[:-1000])
    elif damage == "emptied":
        path.write_bytes(b"")
    elif damage == "no magic":
        path.write_bytes(bytes(len(content)))
    elif damage == "foreign":
        table = pa.table({"x": [1]})
        with pa.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table)
    else:
        path.write_bytes(content.replace(b'"format_version": 1', b'"format_version": 0'))
    with pytest.raises(RequestError, match="not a readable data set of this version"):
        read_dataset(path)
    builds = count_builds(monkeypatch)
    assert open_dataset("digits", tmp_path).fingerprint == fingerprint
    assert len(builds) == 1
    assert path.read_bytes() == content


def test_a_changed_source_file_is_read_again(tmp_path):
    from PIL import Image

    source = tmp_path / "source"
    for name in ("train", "test"):
        (source / name / "a").mkdir(parents=True)
        Image.new("RGB", (4, 4), "red").save(source / name / "a" / "0.png")
    first = open_dataset(f"imagefolder:{source}", tmp_path)
    Image.new("RGB", (4, 4), "blue").save(source / "train" / "a" / "0.png")
    os.utime(source / "train" / "a" / "0.png", ns=(1, 1))
    second = open_dataset(f"imagefolder:{source}", tmp_path)
    assert second.path != first.path
    assert second.images[0, :, 0, 0].tolist() == [0, 0, 255]


def test_a_killed_build_leaves_no_file_that_looks_whole(tmp_path, monkeypatch):
    with monkeypatch.context() as context:
        context.setattr("os.fsync", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            open_dataset("digits", tmp_path)
    assert not list((tmp_path / "arrow").glob("*.arrow"))
    assert open_dataset("digits", tmp_path).num_train == 1438
    assert not list((tmp_path / "arrow").glob("*.partial"))


def test_a_data_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match=r"cannot be written .*; choose another folder with"):
        open_dataset("digits", tmp_path / "file")

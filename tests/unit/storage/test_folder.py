"""Files of a search: whole writes, by path and by URI."""

import os

import pytest
from pyarrow import fs

from tuner.storage.folder import Storage, StorageError, read_file
from tuner.text.errors import RequestError


def test_a_folder_is_the_same_by_path_and_by_uri(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    by_uri = Storage(f"file://{tmp_path}/runs")
    by_uri.write("a/b.txt", b"1")
    for location in (str(tmp_path / "runs"), "runs", "../" + tmp_path.name + "/runs"):
        assert Storage(location).read("a/b.txt") == b"1"
    assert by_uri.is_local
    assert by_uri.path("a/b.txt") == f"{tmp_path}/runs/a/b.txt"
    assert Storage("runs").uri == str(tmp_path / "runs")


def test_the_home_folder_is_understood(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Storage("~/runs").uri == str(tmp_path / "runs")


def test_a_folder_inside_is_a_storage_too(tmp_path):
    storage = Storage(str(tmp_path))
    storage.sub("x").write("f", b"1")
    assert storage.exists("x/f")
    assert Storage(f"file://{tmp_path}").sub("x").read("f") == b"1"
    assert not storage.sub("y").exists()


def test_the_query_of_a_uri_stays_at_its_end():
    sub = Storage("s3://bucket/runs?region=eu-west-1").sub("x")
    assert (sub.uri, sub.base) == ("s3://bucket/runs/x?region=eu-west-1", "bucket/runs/x")
    assert not sub.is_local


def test_paths_are_inside_a_uri_with_a_query():
    storage = Storage("s3://bucket/runs/x?region=eu-west-1")
    assert storage.path("f") == "s3://bucket/runs/x/f?region=eu-west-1"
    assert storage.parent_uri == "s3://bucket/runs?region=eu-west-1"
    assert Storage("s3://bucket/runs/?region=eu-west-1").path("f") == (
        "s3://bucket/runs/f?region=eu-west-1"
    )


@pytest.mark.parametrize(
    "location", ["/", "runs", "file:///runs", "s3://bucket/a?region=eu-west-1"]
)
def test_the_parent_of_a_folder_inside_is_the_folder_itself(location):
    storage = Storage(location)
    parent = Storage(Storage(storage.sub("x").uri).parent_uri)
    assert (parent.base, parent.is_local) == (storage.base, storage.is_local)


def test_a_file_is_read_by_path_and_by_uri(tmp_path):
    Storage(str(tmp_path)).write("a/f", b"1")
    assert read_file(f"{tmp_path}/a/f") == read_file(f"file://{tmp_path}/a/f") == b"1"
    assert Storage(f"{tmp_path}/a").parent_uri == str(tmp_path)


def test_what_is_written_replaces_what_was_there(tmp_path):
    storage = Storage(str(tmp_path))
    storage.write("f", b"a long first content")
    storage.write("f", b"second", sync=False)
    assert storage.read("f") == b"second"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_content_and_nothing_else(tmp_path, monkeypatch, step):
    storage = Storage(str(tmp_path))
    storage.write("f", b"old")

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="No space left"):
        storage.write("f", b"new")
    assert storage.read("f") == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_files_and_folders_are_deleted_if_they_are_there(tmp_path):
    storage = Storage(str(tmp_path))
    storage.write("folder/a", b"")
    storage.write("file", b"")
    for name in ("folder", "file", "neither"):
        storage.delete(name)
    assert list(tmp_path.iterdir()) == []


def test_reading_what_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        Storage(str(tmp_path)).read("none")


def test_asking_whether_a_folder_can_be_written_leaves_nothing_behind(tmp_path):
    storage = Storage(str(tmp_path / "runs"))
    storage.check_writable()
    assert list(tmp_path.iterdir()) == []
    storage.write("kept", b"")
    storage.check_writable()
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["kept"]


@pytest.mark.parametrize("location", ["file", "file/runs"])
def test_a_place_that_cannot_be_written_is_refused(tmp_path, location):
    (tmp_path / "file").write_bytes(b"kept")
    with pytest.raises(RequestError, match=r"cannot write to .*; choose another with --runs-dir"):
        Storage(str(tmp_path / location)).check_writable()
    assert (tmp_path / "file").read_bytes() == b"kept"


def test_an_unknown_kind_of_uri_is_refused():
    with pytest.raises(RequestError, match=r"cannot open 'ftp://somewhere'.* give a folder or"):
        Storage("ftp://somewhere")


@pytest.mark.parametrize("location", ["s3://bucket/runs#1", "file:///runs#1"])
def test_a_uri_whose_end_would_be_dropped_is_refused(location):
    with pytest.raises(RequestError, match="the URI contains a #; give one without"):
        Storage(location)


def test_a_folder_may_have_such_a_sign_in_its_name(tmp_path):
    Storage(f"{tmp_path}/runs#1").sub("a").write("f", b"1")
    assert (tmp_path / "runs#1" / "a" / "f").read_bytes() == b"1"


def test_a_store_that_is_away_has_deleted_nothing(tmp_path):
    def away(self, *arguments):
        raise OSError("When getting information: NETWORK_CONNECTION")

    # As S3 that cannot be reached: of a folder that is not there nothing is to be deleted.
    methods = dict.fromkeys(fs.FileSystemHandler.__abstractmethods__, away)
    methods |= {"delete_dir": lambda self, path: None, "normalize_path": lambda self, path: path}
    handler = type("Away", (fs.FileSystemHandler,), methods)()
    storage = Storage(str(tmp_path))
    storage.filesystem = fs.PyFileSystem(handler)
    with pytest.raises(OSError, match="NETWORK_CONNECTION"):
        storage.delete("f")


@pytest.mark.parametrize("endpoint", ["minio.example:9000", "minio.example", "http://"])
def test_an_endpoint_without_its_scheme_is_refused_by_its_name(monkeypatch, endpoint):
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(RequestError, match=r"^AWS_ENDPOINT_URL is '.*'; write it as https://HOST"):
        Storage("s3://bucket/runs")


@pytest.mark.parametrize(
    "query", ["endpoint_override=http://u:p@h", "endpoint_override=u:p%40h", "sig=x", "passwd=x"]
)
def test_a_secret_among_the_options_of_a_uri_is_refused(query):
    with pytest.raises(RequestError, match="contains a credential; leave it out"):
        Storage(f"s3://bucket/runs?{query}")


def test_a_uri_with_two_slashes_is_refused_without_a_crash():
    # pyarrow aborts the process where a base path is not normal.
    with pytest.raises(StorageError, match=r"cannot look into mock:///a//b .*Empty path"):
        Storage("mock:///a//b").exists("f")


def test_an_object_store_keeps_whole_objects():
    storage = Storage("mock:///runs")
    assert not storage.is_local
    storage.filesystem.create_dir("runs/a")
    storage.write("a/f", b"1")
    storage.write("a/f", b"2")
    assert storage.read("a/f") == b"2"
    storage.delete("a")
    assert not storage.exists("a/f")


@pytest.mark.parametrize("name", ["a:b", "resnet8-a:b-1234.pt", "c:/d", "x y#z?%"])
def test_a_name_that_looks_like_a_uri_is_a_name(tmp_path, name):
    storage = Storage(str(tmp_path))
    storage.write(name, b"content")
    assert storage.exists(name)
    assert storage.read(name) == b"content"
    storage.delete(name)
    assert not storage.exists(name)

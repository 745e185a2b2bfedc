"""Files of a search, in a folder or in an object store: whole writes only, never half a file."""

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyarrow import fs

from tuner.errors import RequestError

SEARCH_FILE = "search.yaml"  # in a search's folder: the request that it began with
COMPARISON_FILE = "id"  # in a comparison's folder: what MLflow finds its run by


class Storage:
    """One folder, named by a path or by any URI that pyarrow understands (file://, s3://, gs://).

    Worker processes build their own from `uri`, which is absolute.
    """

    def __init__(self, location: str) -> None:
        """Raises RequestError for a location that pyarrow cannot read."""
        if "://" not in location:
            location = str(Path(location).expanduser().absolute())
        try:
            self.filesystem, self.base = fs.FileSystem.from_uri(location)
        except (OSError, ValueError, ImportError) as error:
            raise RequestError(
                f"cannot open {location!r} ({error}); give a folder or a URI such as s3://bucket/runs"
            ) from error
        self.uri = location
        self.is_local = isinstance(self.filesystem, fs.LocalFileSystem)

    def path(self, name: str) -> str:
        """The path of `name` as a person would type it."""
        return f"{self.base if self.is_local else self.uri}/{name}"

    def sub(self, name: str) -> "Storage":
        """The folder `name` inside this one."""
        if self.is_local:
            return Storage(f"{self.base}/{name}")
        head, mark, query = self.uri.partition("?")
        return Storage(f"{head.rstrip('/')}/{name}{mark}{query}")

    def exists(self, name: str = "") -> bool:
        """Whether `name` (a file or folder; by default this folder itself) is there."""
        return self._info(name).type != fs.FileType.NotFound

    def folders(self) -> list[str]:
        """Names of the folders inside this one."""
        found = self.filesystem.get_file_info(fs.FileSelector(self.base))
        return sorted(info.base_name for info in found if info.type == fs.FileType.Directory)

    def read(self, name: str) -> bytes:
        """The content of a file. Raises FileNotFoundError."""
        with self.filesystem.open_input_stream(f"{self.base}/{name}") as stream:
            return bytes(stream.read())

    def write(self, name: str, content: bytes, *, sync: bool = True) -> None:
        """Replaces a file whole: a reader sees the old content or the new, whatever happens.

        `sync` also survives a power cut, at the price of waiting for the disk.
        """
        if not self.is_local:  # an object appears when its upload is complete
            with self.filesystem.open_output_stream(f"{self.base}/{name}") as stream:
                stream.write(content)
            return
        target = Path(self.base, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                if sync:
                    file.flush()
                    os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def delete(self, name: str) -> None:
        """Removes a file or a folder with all that is in it, if it is there."""
        kind = self._info(name).type
        if kind == fs.FileType.Directory:
            self.filesystem.delete_dir(f"{self.base}/{name}")
        elif kind == fs.FileType.File:
            self.filesystem.delete_file(f"{self.base}/{name}")

    def check_writable(self) -> None:
        """Raises RequestError where nothing can be written; leaves no folder that was not there."""
        with self.probe():
            pass

    @contextmanager
    def probe(self) -> Iterator[str]:
        """Yields the name of a file that is there for the moment; leaves nothing behind.

        Raises RequestError where nothing can be written.
        """
        name = f".probe-{uuid.uuid4().hex}"
        try:
            is_new = not self.exists()
            self.filesystem.create_dir(self.base, recursive=True)
            self.write(name, b"", sync=False)
        except OSError as error:
            raise RequestError(
                f"cannot write to {self.uri} ({error}); choose another with --runs-dir"
            ) from error
        try:
            yield name
        finally:
            self.delete(name)
            if is_new:
                self.filesystem.delete_dir(self.base)

    def _info(self, name: str) -> fs.FileInfo:
        try:
            return self.filesystem.get_file_info(f"{self.base}/{name}".rstrip("/"))
        except (OSError, ValueError) as error:
            raise RequestError(
                f"cannot look into {self.uri} ({error}); check the name and the access to it"
            ) from error

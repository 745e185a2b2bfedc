"""Files of a search, in a folder or in an object store: whole writes only, never half a file."""

import copy
import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pyarrow import fs

from tuner.storage.object_store import check_no_credentials, open_store, reason_of
from tuner.text.errors import RequestError

SEARCH_FILE = "search.yaml"  # in a search's folder: the request that it began with
BEST_FILE = "best.yaml"  # likewise: the winning setting
COMPARISON_FILE = "id"  # in a comparison's folder: what MLflow finds its run by


class StorageError(RequestError, OSError):
    """A storage that cannot be looked into: refused at the beginning, a fault later on."""


class Storage:
    """One folder, named by a path or by any URI that pyarrow understands (file://, s3://, gs://).

    Worker processes build their own from `uri`, which is absolute.
    """

    def __init__(self, location: str) -> None:
        """Raises RequestError for a location that pyarrow cannot read, or that holds a key."""
        if "://" in location:
            check_no_credentials(location)
            if "#" in location:  # pyarrow would leave out what is behind it
                raise RequestError("the address of the runs holds a #; give one without it")
        else:
            location = str(Path(location).expanduser().absolute())
        try:
            self.filesystem, base = open_store(location)
        except RequestError:
            raise
        except (OSError, ValueError, ImportError) as error:
            raise RequestError(
                f"cannot open {location!r} ({reason_of(error)}); "
                "give a folder or a URI such as s3://bucket/runs"
            ) from error
        self.base = base.rstrip("/")
        self.uri = location
        self.is_local = isinstance(self.filesystem, fs.LocalFileSystem)

    def path(self, name: str) -> str:
        """The path or URI of `name` as a person would type it."""
        if self.is_local:
            return f"{self.base}/{name}"
        folder, mark, query = self.uri.partition("?")
        return f"{folder.rstrip('/')}/{name}{mark}{query}"

    def sub(self, name: str) -> "Storage":
        """The folder `name` inside this one."""
        inner = copy.copy(self)  # with the connections that there are
        inner.base, inner.uri = f"{self.base}/{name}", self.path(name)
        return inner

    @property
    def parent_uri(self) -> str:
        """The folder that this one lies in."""
        if self.is_local:
            return self.base.rpartition("/")[0]
        folder, mark, query = self.uri.partition("?")
        return f"{folder.rstrip('/').rpartition('/')[0]}{mark}{query}"

    def exists(self, name: str = "") -> bool:
        """Whether `name` (a file or folder; by default this folder itself) is there."""
        try:
            kind = self.filesystem.get_file_info(f"{self.base}/{name}".rstrip("/")).type
        except (OSError, ValueError) as error:
            raise StorageError(
                f"cannot look into {self.uri} ({reason_of(error)}); "
                "check the name and the access to it"
            ) from error
        return bool(kind != fs.FileType.NotFound)

    def folders(self) -> list[str]:
        """Names of the folders inside this one."""
        return self._names("", fs.FileType.Directory)

    def files(self, folder: str) -> list[str]:
        """Names of the files in a folder inside this one; none where it is not there."""
        return self._names(folder, fs.FileType.File)

    def _names(self, folder: str, kind: fs.FileType) -> list[str]:
        place = f"{self.base}/{folder}".rstrip("/")
        found = self.filesystem.get_file_info(fs.FileSelector(place, allow_not_found=True))
        return sorted(info.base_name for info in found if info.type == kind)

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
        path = f"{self.base}/{name}".rstrip("/")
        # Asked for first: a store that is away has to be told from a file that is not there.
        is_folder = self.filesystem.get_file_info(path).type == fs.FileType.Directory
        with suppress(FileNotFoundError):
            (self.filesystem.delete_dir if is_folder else self.filesystem.delete_file)(path)

    def takes_files(self) -> bool:
        """Whether it answers, and has room for one."""
        try:
            if not self.exists():
                return False
            self.write(".room", bytes(2**16), sync=False)
            self.delete(".room")
        except OSError:
            return False
        return True

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
        folder = Path(self.base)
        new = [p for p in (folder, *folder.parents) if not p.exists()] if self.is_local else []
        try:
            if new:
                folder.mkdir(parents=True)
            self.write(name, b"", sync=False)
        except StorageError:
            raise
        except OSError as error:
            _remove(new)
            raise RequestError(
                f"cannot write to {self.uri} ({reason_of(error)}); choose another with --runs-dir"
            ) from error
        try:
            yield name
        finally:
            self.delete(name)
            _remove(new)


def existing(runs: Storage, name: str) -> Storage:
    """The folder of a search, or of a comparison. Raises RequestError where there is none."""
    storage = runs.sub(name)
    if not storage.exists(SEARCH_FILE):
        raise RequestError(
            f"there is no search named {name!r} in {runs.uri}; check the name and --runs-dir"
        )
    return storage


def _remove(folders: list[Path]) -> None:
    """Those that are empty, the innermost first; another process may have begun to use them."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


def read_file(location: str) -> bytes:
    """The content of one file, by its path or its URI. Raises OSError, and RequestError."""
    if "://" not in location:
        return Path(location).expanduser().read_bytes()
    place, mark, query = location.partition("?")
    folder, _, name = place.rpartition("/")
    return Storage(f"{folder}{mark}{query}").read(name)

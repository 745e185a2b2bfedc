"""Files in a folder or an object store, written whole: a reader never sees half a file."""

import copy
import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from pyarrow import fs

from tuner.storage.object_store import check_no_credentials, open_store, reason_of
from tuner.storage.retrying import LostStorageError, retried
from tuner.text.errors import RequestError

SEARCH_FILE = "search.yaml"  # in a search's folder: the request it began with
BEST_FILE = "best.yaml"  # likewise: the winning setting
COMPARISON_FILE = "id"  # in a comparison's folder: the key of its MLflow run

Result = TypeVar("Result")
Options = ParamSpec("Options")


class StorageError(RequestError, OSError):
    """Storage that cannot be inspected: a refused request before a search, a fault during one."""


def _patient(
    operation: Callable[Concatenate["Storage", Options], Result],
) -> Callable[Concatenate["Storage", Options], Result]:
    """Makes an operation of a storage use its patience."""

    @wraps(operation)
    def patient(self: "Storage", *values: Options.args, **options: Options.kwargs) -> Result:
        return self.patiently(lambda: operation(self, *values, **options))

    return patient


class Storage:
    """One folder, given as a path or any URI that pyarrow understands (file://, s3://, gs://).

    Other processes open the same folder with `uri`, which is absolute.
    """

    def __init__(self, location: str, *, patience: float | None = None) -> None:
        """With `patience`, operations are retried for this many seconds, then LostStorageError.

        Such a storage never creates its own folder again: it may be an unmounted disk. Raises
        RequestError for a location that pyarrow cannot open, or that contains a credential.
        """
        if "://" in location:
            check_no_credentials(location)
            if "#" in location:  # pyarrow would drop what follows
                raise RequestError("the URI contains a #; give one without it")
        else:
            location = str(Path(location).expanduser().absolute())
        self.uri, self.patience, self.is_local = location, patience, False  # until it is open
        try:
            self.filesystem, base = self.patiently(lambda: open_store(location))
        except (RequestError, LostStorageError):
            raise
        except (OSError, ValueError, ImportError) as error:
            raise RequestError(
                f"cannot open {location!r} ({reason_of(error)}); "
                "give a folder or a URI such as s3://bucket/runs"
            ) from error
        self.base = base.rstrip("/")  # the folder's path in the file system
        self.is_local = isinstance(self.filesystem, fs.LocalFileSystem)

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.base.rpartition("/")[2]

    def path(self, name: str) -> str:
        """The path or URI of `name`, as the user would type it."""
        if self.is_local:
            return f"{self.base}/{name}"
        folder, mark, query = self.uri.partition("?")
        return f"{folder.rstrip('/')}/{name}{mark}{query}"

    def sub(self, name: str) -> "Storage":
        """The folder `name` inside this one."""
        inner = copy.copy(self)  # shares the open connections
        inner.base, inner.uri = f"{self.base}/{name}", self.path(name)
        return inner

    @property
    def parent_uri(self) -> str:
        """The path or URI of the parent folder."""
        if self.is_local:
            return self.base.rpartition("/")[0] or "/"
        folder, mark, query = self.uri.partition("?")
        return f"{folder.rstrip('/').rpartition('/')[0]}{mark}{query}"

    @_patient
    def exists(self, name: str = "") -> bool:
        """Whether there is a file or folder `name`; by default this folder itself.

        Raises StorageError.
        """
        try:
            kind = self._files.get_file_info(_rooted(name)).type
        except (OSError, ValueError) as error:
            raise StorageError(
                f"cannot look into {self.uri} ({reason_of(error)}); "
                "check the name and the access to it"
            ) from error
        if kind == fs.FileType.NotFound:
            self._check_mounted()
        return bool(kind != fs.FileType.NotFound)

    def folders(self) -> list[str]:
        """Names of the folders in this one, sorted."""
        return self._names("", fs.FileType.Directory)

    def files(self, folder: str) -> list[str]:
        """Names of the files in the folder `folder` of this one, sorted; none if it is missing."""
        return self._names(folder, fs.FileType.File)

    @_patient
    def _names(self, folder: str, kind: fs.FileType) -> list[str]:
        found = self._files.get_file_info(fs.FileSelector(_rooted(folder), allow_not_found=True))
        return sorted(info.base_name for info in found if info.type == kind)

    @_patient
    def read(self, name: str) -> bytes:
        """The content of a file. Raises FileNotFoundError."""
        with self._files.open_input_stream(_rooted(name)) as stream:
            return bytes(stream.read())

    @_patient
    def write(self, name: str, content: bytes, *, sync: bool = True) -> None:
        """Replaces a file whole: a reader sees the old content or the new.

        With `sync` the new content also survives a power cut, at the price of waiting for the disk.
        """
        self._check_mounted()
        if self.is_local:
            _replace(Path(self.base, name), content, sync=sync)
            return
        with self._files.open_output_stream(_rooted(name)) as stream:
            stream.write(content)  # an object appears when its upload is complete

    @_patient
    def delete(self, name: str) -> None:
        """Removes a file, or a folder with its content, if there is one."""
        # Asked first: `delete_file` does not tell an unreachable store from a missing file.
        path = _rooted(name)
        is_folder = self._files.get_file_info(path).type == fs.FileType.Directory
        with suppress(FileNotFoundError):
            (self._files.delete_dir if is_folder else self._files.delete_file)(path)

    def patiently(self, action: Callable[[], Result]) -> Result:
        """The result of `action`; with patience, retried as the storage's own operations are."""
        if self.patience is None:
            return action()
        return retried(action, place=self.uri, seconds=self.patience, is_final=self._is_answer)

    @property
    def _files(self) -> fs.FileSystem:
        return fs.SubTreeFileSystem(f"{self.base}/", self.filesystem)

    def _is_answer(self, error: OSError) -> bool:
        """Whether the storage is available, and has no such file."""
        return isinstance(error, FileNotFoundError) and (
            not self.is_local or Path(self.base).is_dir()
        )

    def _check_mounted(self) -> None:
        if self.patience is not None and self.is_local and not Path(self.base).is_dir():
            raise FileNotFoundError(f"the folder {self.base} is gone")

    def takes_files(self) -> bool:
        """Whether the folder can be reached and has room for a file."""
        try:
            if not self.exists():
                return False
            self.write(".room", bytes(2**16), sync=False)
            self.delete(".room")
        except OSError:
            return False
        return True

    def check_writable(self) -> None:
        """Raises RequestError where nothing can be written; leaves nothing behind."""
        with self.probe():
            pass

    @contextmanager
    def probe(self) -> Iterator[str]:
        """Yields the name of a file that exists meanwhile; leaves nothing behind.

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
            _remove_empty(new)
            raise RequestError(
                f"cannot write to {self.uri} ({reason_of(error)}); choose another with --runs-dir"
            ) from error
        try:
            yield name
        finally:
            self.delete(name)
            _remove_empty(new)


def existing(runs: Storage, name: str) -> Storage:
    """The folder of a search or a comparison. Raises RequestError where there is none."""
    storage = runs.sub(name)
    if not storage.exists(SEARCH_FILE):
        raise RequestError(
            f"there is no search named {name!r} in {runs.uri}; check the name and --runs-dir"
        )
    return storage


def read_file(location: str) -> bytes:
    """The content of one file, given as a path or URI. Raises OSError, and RequestError."""
    if "://" not in location:
        return Path(location).expanduser().read_bytes()
    place, mark, query = location.partition("?")
    folder, _, name = place.rpartition("/")
    return Storage(f"{folder}{mark}{query}").read(name)


def _rooted(name: str) -> str:
    """The path of `name` in a sub-tree; without the slash, pyarrow takes "a-b:c" for a URI."""
    return f"/{name}" if name else ""


def _replace(target: Path, content: bytes, *, sync: bool) -> None:
    """Writes a local file beside its target, then renames it."""
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


def _remove_empty(folders: list[Path]) -> None:
    """Removes folders, innermost first; another process may have begun to use them."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()

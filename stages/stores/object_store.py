"""Objects of a bucket: listed, read, created if they are not there, deleted. `gs://` by gcsfs; `s3://` by
s3fs where that is installed.

gcsfs asks up to six times, waiting longer each time (about half a minute in all), where the store is busy
(429, 5xx) or a connection breaks; one request ends after REQUEST_SECONDS and is not repeated then. So
everything here ends: with an answer or with a Failure.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fsspec import AbstractFileSystem

from data_contracts.failure import Exit, Failure
from data_contracts.whole_files import write_atomically

REQUEST_SECONDS = 60.0
RIGHTS = [f"storage.objects.{right}" for right in ("list", "get", "create", "delete")]
PARALLEL = 8  # objects that are read, and stand in memory, at a time
REFUSED = ("Forbidden", "401", "Unauthorized", "Anonymous", "AccessDenied", "credentials")
logging.getLogger("gcsfs").setLevel(logging.CRITICAL)  # it prints what is said here in a Failure


class ObjectStore:
    """What lies below one URL. Names are relative to it, their parts separated by `/`.

    Every method raises Failure (exit code 5) that names the URL where the store cannot be reached or refuses.
    """

    def __init__(self, url: str):
        self.url = url.rstrip("/")
        with self._explained("cannot be opened"):
            self.system = _system(self.url.partition("://")[0])
        self.root = self.system._strip_protocol(self.url)

    def sizes(self, folder: str = "") -> dict[str, int]:
        """Name -> bytes of every object below a folder, sorted by name.

        A store lists a page of some thousand objects as they are at one moment, and several pages as they are
        at several.
        """
        with self._explained("cannot be listed"):
            found = self.system.find(f"{self.root}/{folder}".rstrip("/"), detail=True)
        sizes = {path[len(self.root) + 1 :]: int(info["size"]) for path, info in found.items()}
        return dict(sorted(sizes.items()))

    def fetch(self, names: Sequence[str], places: Sequence[Path]) -> list[bool]:
        """Write each object to its place, whole or not at all; False where there is no such object."""
        with ThreadPoolExecutor(PARALLEL) as pool:
            return list(pool.map(self._fetch, names, places))

    def _fetch(self, name: str, place: Path) -> bool:
        with self._explained(f"{name} cannot be read"):
            try:
                data = self.system.cat_file(f"{self.root}/{name}")
            except FileNotFoundError:
                return False
        write_atomically(place, data)
        return True

    def put_if_absent(self, name: str, data: bytes) -> bool:
        """Create an object, in one step for all who look; False where one of that name was there.

        It may be there from this very call: the store did as it was told, its answer was lost, and it was
        told again.
        """
        with self._explained(f"{name} cannot be written"):
            try:
                self.system.pipe_file(f"{self.root}/{name}", data, mode="create")
            except FileExistsError:
                return False
        return True

    def delete(self, name: str) -> None:
        """Delete an object; nothing happens if there is none."""
        with self._explained(f"{name} cannot be deleted"), contextlib.suppress(FileNotFoundError):
            self.system.rm_file(f"{self.root}/{name}")

    def lacking_rights(self) -> list[str] | None:
        """The rights on the bucket that are needed and not granted; None where the store cannot be asked."""
        if not self.url.startswith("gs://"):
            return None
        with self._explained("its rights cannot be asked for"):
            granted = self.system.call(
                "GET",
                "b/{}/iam/testPermissions",
                self.root.partition("/")[0],
                permissions=RIGHTS,
                json_out=True,
            )
        return [right for right in RIGHTS if right not in granted.get("permissions", [])]

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            cause = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            raise Failure(f"{self.url}: {what}", cause, _remedy(error), Exit.ENVIRONMENT) from error


def _system(scheme: str) -> AbstractFileSystem:
    """A file system whose requests end, and which lists anew each time."""
    if scheme == "gs":
        from gcsfs import GCSFileSystem

        return GCSFileSystem(
            requests_timeout=REQUEST_SECONDS, session_kwargs={"trust_env": True}, use_listings_cache=False
        )
    from s3fs import S3FileSystem

    limits = {"connect_timeout": REQUEST_SECONDS, "read_timeout": REQUEST_SECONDS}
    return S3FileSystem(config_kwargs={**limits, "retries": {"max_attempts": 6}}, use_listings_cache=False)


def _remedy(error: Exception) -> str:
    if isinstance(error, ImportError):
        return "install the package that it names into .venv, or use gs://"
    if isinstance(error, FileNotFoundError):
        return "create the bucket, or correct its name"
    if isinstance(error, PermissionError) or any(mark in str(error) for mark in REFUSED):
        return "log in (gcloud auth application-default login) and get roles/storage.objectUser on the bucket"
    return "check the network, then run again: what was kept before is not lost"

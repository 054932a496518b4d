"""The lake of one root: its manifest in force, what queries may see, and what may be removed.

Cheap to import and to use in the server: whatever reads or writes Parquet (`roll`, `rewrite`,
`retention`, `deletion`) runs in the helper process and is only entered from here.
"""

import contextlib
import hmac
import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from storage import manifest as manifests
from storage.blobs import Blobs, BlobUnreadable
from storage.manifest import (
    LakeFile,
    LakeView,
    Manifest,
    ManifestDamaged,
    Step,
    no_step,
    view_of,
)
from storage.rows import TABLES
from storage.segment import segment_numbers, segment_path
from storage.vault import SegmentKeys

PARQUET = b"parquet"


@dataclass(frozen=True, slots=True)
class Tidied:
    """What was removed for good."""

    segments: int = 0
    blobs: int = 0
    files: int = 0


class Lake:
    """One per root and process. Blocking; the roller calls it from one thread at a time."""

    def __init__(
        self, root: Path, manifest: Manifest, keys: SegmentKeys | None, deletion_key: bytes | None
    ) -> None:
        self.root = root
        self.directory = root / "lake"
        self.manifest = manifest
        self.keys = keys
        self.deletion_key = deletion_key
        self.recovered = ""  # why the manifest had to be made anew
        self._retired: dict[Path, int] = {}
        self._lock = threading.Lock()

    @classmethod
    def open(
        cls,
        root: Path,
        *,
        keys: SegmentKeys | None = None,
        deletion_key: bytes | None = None,
        read_only: bool = False,
        recover: bool = True,
    ) -> "Lake":
        """Reads the manifest. `deletion_key` keys the hashes of deleted ids. `recover`: a lost or
        damaged one is made anew from the files; else raises ManifestDamaged. Raises OSError.
        """
        directory = root / "lake"
        if not read_only:
            for table in TABLES:
                (directory / table).mkdir(parents=True, exist_ok=True)
        lake = cls(root, Manifest(), keys, deletion_key)
        try:
            lake.manifest = manifests.load(directory)
        except ManifestDamaged as error:
            if not recover:
                raise
            lake._recover(str(error), read_only=read_only)
        if recover and not read_only and not (directory / manifests.NAME).exists():
            with contextlib.suppress(OSError):  # a full disk; then the journal tells the same
                manifests.store(directory, lake.manifest)
        return lake

    @property
    def view(self) -> LakeView:
        """What `Analytics` reads. Raises VaultError when a file's epoch has no key."""
        epochs = {file.key_epoch for file in self.manifest.files} - {0}
        keys = {epoch: self.key_of(epoch) for epoch in epochs}
        return view_of(
            self.directory, self.manifest, {epoch: key for epoch, key in keys.items() if key}
        )

    @property
    def epoch(self) -> int:
        """The key epoch for new files, 0 without encryption."""
        return self.keys.current if self.keys is not None else 0

    def key_of(self, epoch: int) -> bytes | None:
        if not epoch:
            return None
        keys = self.keys if self.keys is not None else SegmentKeys(0, {})
        return keys.derive(epoch, PARQUET)

    def path(self, file: LakeFile) -> Path:
        return self.directory / file.name

    def adopt(self, manifest: Manifest, step: Step = no_step) -> None:
        """Put a new manifest in force: written first, then ours."""
        manifests.store(self.directory, manifest, step)
        self._take(manifest)

    def reload(self) -> LakeView:
        """After the helper process has changed the lake. Raises ManifestDamaged."""
        self._take(manifests.load(self.directory))
        return self.view

    def tidy(self, oldest_generation: int, step: Step = no_step) -> Tidied:
        """Remove what the manifest has replaced. Call it when queries read its view already.

        `oldest_generation` is the oldest that a query in progress may still read: replaced files
        stay until no reader began before their replacement.
        """
        with self._lock:
            segments = self._drop_segments(step)
            blobs = self._drop_blobs(step)
            done = [path for path, since in self._retired.items() if since <= oldest_generation]
            manifests.unlink_all(done)
            for path in done:
                del self._retired[path]
            return Tidied(segments, blobs, len(done))

    def sweep_orphans(self) -> int:
        """While no change is under way: files that no manifest names and no reader needs.

        They are left by a crash or failure between writing a file and naming it, or by a crash
        between replacing and removing one.
        """
        with self._lock:
            known = {self.path(file) for file in self.manifest.files} | self._retired.keys()
        orphans = [path for _, path in manifests.parquet_files(self.directory) if path not in known]
        orphans += (self.root / "tmp").glob("lake-*")
        manifests.unlink_all(orphans)
        return len(orphans)

    def blob_names(self) -> Iterator[str]:
        """Of bodies that are not in the lake (yet)."""
        return Blobs(self.root).names()

    def mend(self) -> bool:
        """Stores our manifest again if the file was lost or damaged since. Whether it was."""
        try:
            manifests.load(self.directory)
        except ManifestDamaged:
            manifests.store(self.directory, self.manifest)
            return True
        return False

    def begin_deletion(self) -> None:
        """Before the first byte goes: until `end_deletion` it has to be carried out again, and the
        database to be made anew, whatever the manifest says."""
        with open(self._unfinished, "wb") as stream:
            os.fsync(stream.fileno())
        manifests.sync_folder(self.directory)

    def empty_quarantine(self) -> None:
        """What lies there (torn tails, damaged segments and databases) cannot be searched for one
        exchange, so all of it goes: being forgotten outranks being examined."""
        folder = self.root / "quarantine"
        if folder.exists():
            manifests.unlink_all(path for path in folder.rglob("*") if path.is_file())

    def end_deletion(self) -> None:
        """Nothing of what was deleted is in any file now."""
        manifests.unlink_all([self._unfinished])

    @property
    def deletion_is_unfinished(self) -> bool:
        return self._unfinished.exists()

    @property
    def _unfinished(self) -> Path:
        return self.directory / "deletion.unfinished"

    def _recover(self, why: str, *, read_only: bool) -> None:
        """Raises VaultError without the keys of encrypted files."""
        # here: the journal alone should not have to load DuckDB
        from storage.manifest_recovery import recovered

        epochs = self.keys.epochs if self.keys is not None else {}
        keys = {epoch: self.key_of(epoch) for epoch in epochs}
        found = recovered(self.root, {epoch: key for epoch, key in keys.items() if key})
        self.manifest, self.recovered = found.manifest, why
        if read_only:
            return
        # Which deletions were carried out is forgotten, and an old file may have come back.
        self.begin_deletion()
        for path in (*found.unreadable, self.directory / manifests.NAME):
            self._set_aside(path)
        manifests.store(self.directory, self.manifest)

    def _set_aside(self, path: Path) -> None:
        folder = self.root / "quarantine"
        folder.mkdir(exist_ok=True)
        number = sum(1 for _ in folder.glob(f"{path.name}.*"))
        with contextlib.suppress(FileNotFoundError):
            path.rename(folder / f"{path.name}.{number}")

    def _take(self, manifest: Manifest) -> None:
        with self._lock:
            names = {file.name for file in manifest.files}
            for file in self.manifest.files:
                if file.name not in names:
                    self._retired[self.path(file)] = manifest.generation
            self.manifest = manifest

    def _drop_segments(self, step: Step) -> int:
        """Blobs are dropped from the manifest's list, so segments may go first or last."""
        damaged = set(self.manifest.damaged)
        gone = [n for n in segment_numbers(self.root) if n <= self.manifest.upto_segment]
        for number in gone:
            path = segment_path(self.root, number)
            with contextlib.suppress(FileNotFoundError):
                if number in damaged:
                    # Not every frame is in the lake: what could not be read is kept aside.
                    (self.root / "quarantine").mkdir(exist_ok=True)
                    path.rename(self.root / "quarantine" / path.name)
                else:
                    path.unlink()
            step(f"segment {number} dropped")
        if gone:
            manifests.sync_folder(self.root / "journal")
        return len(gone)

    def _drop_blobs(self, step: Step) -> int:
        names = self.manifest.blobs
        if not names and not self.manifest.damaged:
            return 0
        unlink_blobs(self.root, names)
        step("blobs dropped")
        # the same generation: views are not touched by it
        self.manifest = replace(self.manifest, blobs=(), damaged=())
        manifests.store(self.directory, self.manifest, step)
        return len(names)


def exchange_hash(key: bytes, exchange_id: bytes) -> bytes:
    """What is kept of a deleted exchange: it can be recognised, not learned."""
    return hmac.digest(key, exchange_id, "sha256")


def intent(key: bytes, exchange_id: bytes, at_us: int) -> bytes:
    """The payload of the frame that announces a deletion: journaled and fsynced before the rest."""
    deletion = {"exchange_hash": exchange_hash(key, exchange_id), "deleted_at_us": at_us}
    return msgspec.msgpack.encode(deletion)


def unlink_blobs(root: Path, names: Iterable[str]) -> None:
    """Remove blobs for good; one that is gone already was removed before a crash."""
    blobs = Blobs(root)
    paths = []
    for name in names:
        with contextlib.suppress(BlobUnreadable):  # no name of a blob: there is no such file
            paths.append(blobs.path(name))
    manifests.unlink_all(paths)

"""One change of the lake under way: files written and renamed into place, then one new manifest.

Runs in the helper process. Until `commit` nothing of it counts; a crash leaves files that no
manifest names.
"""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow.compute as pc

from storage.lake import Lake
from storage.manifest import Applied, LakeFile, Step, file_name, no_step, sync_folder
from storage.parquet import Keep, TableReader, TableWriter, Written, copy

PLACE_COLUMNS = ["exchange_id", "segment", "frame_offset"]
Times = tuple[int, int]


class Edition:
    """Collects old files that go and new ones that come."""

    def __init__(self, lake: Lake, step: Step = no_step) -> None:
        self.lake = lake
        self.gone: list[LakeFile] = []
        self.come: list[LakeFile] = []
        self._step = step
        self._numbers = itertools.count()
        self._temporary = lake.root / "tmp"
        self._temporary.mkdir(exist_ok=True)

    def writer(self, table: str) -> TableWriter:
        number = next(self._numbers)
        path = self._temporary / f"lake-{table}-{number}.parquet"
        return TableWriter(path, table, self.lake.key_of(self.lake.epoch))

    def reader(self, file: LakeFile) -> TableReader:
        key = self.lake.key_of(file.key_epoch)
        return TableReader(self.lake.path(file), file.table, key)

    def add(
        self, writer: TableWriter, span: tuple[int, int], created: Times, recorded: Times
    ) -> LakeFile | None:
        """Finish a file and rename it into place; one without rows is not kept. The times hold
        where the table has none of its own."""
        written = writer.close(self._step)
        if not written.rows:
            written.path.unlink()
            return None
        name = self._name(written, span)
        target = self.lake.directory / name
        written.path.rename(target)
        self._step(f"{written.table} renamed")
        sync_folder(target.parent)
        self._step(f"{written.table} in place")
        created, recorded = written.created_us or created, written.recorded_us or recorded
        file = LakeFile(
            name, written.table, *span, written.rows, written.bytes, written.sha256,
            *created, *recorded, self.lake.epoch,
        )  # fmt: skip
        self.come.append(file)
        return file

    def rewrite(self, file: LakeFile, keep: Keep, *, since_us: int = 0) -> int:
        """Replace a file by the rows of it that are kept; untouched when all are. Rows dropped."""
        return self.join([file], keep, since_us=since_us) if self._drops_any(file, keep) else 0

    def join(
        self, files: Sequence[LakeFile], keep: Keep | None = None, *, since_us: int = 0
    ) -> int:
        """Replace files of one table by a single one, streaming row group by row group.

        `since_us`: nothing recorded before it is kept, where the table's own columns do not say.
        Rows dropped.
        """
        writer = self.writer(files[0].table)
        dropped = 0
        for file in files:
            reader = self.reader(file)
            try:
                dropped += copy(reader, writer, keep)
            finally:
                reader.close()
        span = files[0].segment_first, files[-1].segment_last
        created = min(f.created_min_us for f in files), max(f.created_max_us for f in files)
        recorded = (
            max(since_us, min(f.recorded_min_us for f in files)),
            max(f.recorded_max_us for f in files),
        )
        self.gone.extend(files)
        self.add(writer, span, created, recorded)
        return dropped

    def drop(self, file: LakeFile) -> None:
        self.gone.append(file)

    @property
    def changed(self) -> bool:
        return bool(self.gone or self.come)

    def commit(
        self,
        *,
        upto_segment: int | None = None,
        applied: Applied | None = None,
        blobs: Sequence[str] = (),
        damaged: Sequence[int] = (),
    ) -> None:
        """The new manifest; from here on the change is the truth."""
        old = self.lake.manifest
        # a file that came and went within one edition is only an orphan
        gone = {file.name for file in self.gone}
        come = [file for file in self.come if file.name not in gone]
        manifest = replace(
            old.replaced(self.gone, come),
            upto_segment=old.upto_segment if upto_segment is None else upto_segment,
            applied=old.applied if applied is None else applied,
            blobs=tuple(dict.fromkeys((*old.blobs, *blobs))),
            damaged=tuple(dict.fromkeys((*old.damaged, *damaged))),
        )
        self.lake.adopt(manifest, self._step)
        for path in (self.lake.directory / name for name in gone - {f.name for f in old.files}):
            path.unlink(missing_ok=True)

    def _drops_any(self, file: LakeFile, keep: Keep) -> bool:
        reader = self.reader(file)
        try:
            columns = PLACE_COLUMNS[1:] if file.table == "deletions" else PLACE_COLUMNS
            return any(
                not pc.all(keep(group), skip_nulls=False).as_py()
                for group in reader.groups(columns)
                if group.num_rows
            )
        finally:
            reader.close()

    def _name(self, written: Written, span: tuple[int, int]) -> str:
        generation = self.lake.manifest.generation + 1
        taken = {file.name for file in self.come}
        names = (file_name(written.table, span, generation, n) for n in itertools.count())
        return next(name for name in names if name not in taken)


def temporary_files(root: Path) -> list[Path]:
    return sorted((root / "tmp").glob("lake-*"))

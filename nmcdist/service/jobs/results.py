"""Finished jobs on the shelf: a store that nobody published, with what the store says of itself."""

import time
from datetime import UTC, datetime
from pathlib import Path

from nmcdist.datasets.folder import Folder
from nmcdist.datasets.store import dask_chunks
from nmcdist.errors import StoreError
from nmcdist.execution.journal import Journal
from nmcdist.releases.description import describe_release
from nmcdist.releases.documents.catalogs import one_entry
from nmcdist.releases.model import NOT_STATED, Creator, Metadata
from nmcdist.releases.origin import provenance
from nmcdist.releases.versions import is_version
from nmcdist.runs.paths import Paths
from nmcdist.service.jobs.queue import Job
from nmcdist.service.shelf import Item, files_of
from nmcdist.service.sources import Files

_CITATION = "Result of a job, not published: publish it before you cite it."
_NOBODY = Creator(name=NOT_STATED, orcid=None, affiliation=None)


def version_of(job: Job) -> str:
    """Return the version of a job's result: a pre-release of the recipe's version, so that it never counts as later.

    Versions of recipes may have forms that those of releases have not, or be too long; then it is one of 0.0.0.
    """
    said = str(job.recipe["version"]).partition("+")[0]
    found = f"{said}{'.' if '-' in said else '-'}job.{job.id}"
    return found if is_version(found) else f"0.0.0-job.{job.id}"


def item_of(job: Job, store: Path, licence: str | None) -> Item:
    """Return the store of a job as an item of the shelf.

    Parameters
    ----------
    job : Job
    store : Path
        Its finished store.
    licence : str, optional
        SPDX id; None if it is not stated.

    Raises
    ------
    StoreError
        If the store is damaged, or not the one that the queue recorded.
    """
    metadata = Metadata.model_construct(
        license=licence or NOT_STATED, creators=(_NOBODY,), citation=_CITATION, hosts=False
    )
    origin = provenance(store, "", Journal(Paths(store).run), hosts=False)
    described = describe_release(store, store.stem, version_of(job), metadata, origin)
    if job.manifest_sha256 not in ("", described.manifest_sha256):
        raise StoreError(f"{store}: its manifest is not the one of the job, {job.manifest_sha256}")
    day = datetime.fromtimestamp(job.ended or time.time(), UTC).date()
    release, chunks = described.model_copy(update={"created": day}), dask_chunks(store)
    return Item(
        release=release,
        store=store,
        source=files_of(store),
        documents=Files(Folder(store.parent), {}),
        entry={"kwargs": {"chunks": chunks}, "metadata": one_entry(release, chunks, "")["metadata"]},
        job=job.id,
    )

"""Build the report of a store: figures, tables, and one page that shows them."""

from collections.abc import Callable
from pathlib import Path

from nmcdist.datasets.files import naming
from nmcdist.datasets.particles import is_particle_store
from nmcdist.errors import InputError, NmcdistError, StoreError
from nmcdist.extras import need
from nmcdist.inputs import folder_to_make, named_path
from nmcdist.report.particles import report_particles
from nmcdist.report.volumes import report_volumes
from nmcdist.wording import one_line

RESOLUTIONS_NM = (80.0, 40.0, 20.0)


def build_report(
    store: str | Path,
    out_dir: str | Path | None = None,
    voxel_sizes_nm: tuple[float, ...] = (),
    progress: Callable[[str], None] = lambda line: None,
) -> Path:
    """Write figures (PNG, SVG) and tables (CSV, Markdown) of a finished store, of volumes or of particles.

    Parameters
    ----------
    store : str or Path
        A finished store; one of volumes must have descriptors.
    out_dir : str or Path, optional
        Folder for the report; default: ``NAME-report`` beside the store.
    voxel_sizes_nm : tuple of float
        For volumes: voxel sizes in nm at which two realisations are drawn again and solved, to show what resolution
        does to the M-factors. Empty, the default: no such study. At 20 nm a realisation takes about a minute.
    progress : callable
        Called with a line of text before each realisation of that study.

    Returns
    -------
    Path
        The page ``report.md``.

    Raises
    ------
    StoreError
        If there is no such store, it is damaged, or it holds volumes without descriptors.
    InputError
        If the folder cannot be made, or a study of resolution is asked of a store without M-factors.
    MissingPackageError
        If what draws the figures is not installed.
    """
    need("report", "a report")
    store = named_path(store, StoreError)
    folder = folder_to_make(out_dir) if out_dir else store.with_name(store.stem + "-report")
    is_of_particles = is_particle_store(store)
    if is_of_particles and voxel_sizes_nm:
        raise InputError(f"{store}: holds particles, expected volumes for a study of resolution")
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_symlink():
            raise InputError(f"{path}: is a link, expected a file of an earlier report; remove it")
    try:
        with naming(folder):
            if is_of_particles:
                return report_particles(store, folder)
            return report_volumes(store, folder, voxel_sizes_nm, progress)
    except NmcdistError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        what = f"{type(error).__name__}: {one_line(error)}"
        raise StoreError(f"{store}: does not hold what its recipe calls for ({what})") from error

"""Build the report of a store: figures, tables, and one page that shows them."""

from pathlib import Path

from nmcdist.datasets.particles import is_particle_store
from nmcdist.report.particles import report_particles
from nmcdist.report.volumes import report_volumes


def build_report(
    store: str | Path,
    out_dir: str | Path | None = None,
    voxel_sizes_nm: tuple[float, ...] = (80.0, 40.0, 20.0),
) -> Path:
    """Write figures (PNG) and tables (CSV, Markdown) of a finished store, of volumes or of particles.

    Parameters
    ----------
    store : str or Path
        A finished store; one of volumes must have descriptors.
    out_dir : str or Path, optional
        Folder for the report; default: ``NAME-report`` beside the store.
    voxel_sizes_nm : tuple of float
        For volumes: voxel sizes at which the realisations of the level nearest to the calibrated one are drawn
        again and solved, to show what resolution does to the M-factors. Empty: leave that study out.

    Returns
    -------
    Path
        The page ``report.md``.

    Raises
    ------
    StoreError
        If there is no such store, it is damaged, or it holds volumes without descriptors.
    InputError
        If the folder cannot be made.
    """
    store = Path(store)
    folder = Path(out_dir) if out_dir else store.with_name(store.stem + "-report")
    if is_particle_store(store):
        return report_particles(store, folder)
    return report_volumes(store, folder, voxel_sizes_nm)

"""The accessor ``ds.nmc`` of xarray datasets: items of a dataset by number, queries and pictures.

It needs only the dataset, so it also works for a store that was opened by xarray alone, and for parts of a dataset.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import xarray as xr

    from nmcdist.models.particle import Particle
    from nmcdist.products.kind import Kind
    from nmcdist.report.cut_figure import NotebookFigure

MOST_PLOTTED = 24  # items in one figure
VOXEL_NM = 50.0


class DatasetAccessor:
    """What nmcdist knows of a dataset; of another dataset, every method and property raises InputError.

    Items are named by their number, the coordinate `sample`, also in a part of a dataset.

    Parameters
    ----------
    data : xarray.Dataset
    """

    def __init__(self, data: "xr.Dataset") -> None:
        self._data = data

    def __repr__(self) -> str:
        name, version = (self._data.attrs.get(key, "?") for key in ("name", "version"))
        members = "items, kind, recipe, phases, columns, particle, grains, volume, query, plot"
        return f"<nmc of dataset {name} {version}: {members}>"

    @property
    def recipe(self) -> dict[str, Any]:
        """The recipe as plain data, which :func:`nmcdist.plan` and :func:`nmcdist.run` accept."""
        from nmcdist.datasets.opened import recipe_of

        return recipe_of(self._data)

    @property
    def kind(self) -> str:
        """The kind of the dataset, for example "particles" or "volumes"."""
        return self._kind.name

    @property
    def phases(self) -> dict[int, str]:
        """The phase of each label in volumes; empty for particles, whose labels are grains."""
        from nmcdist.datasets.opened import stored_phases

        return dict(enumerate(stored_phases(self._data) or getattr(self._kind, "phases", ())))

    @property
    def items(self) -> "np.ndarray":
        """The numbers of the items, in the order of the dataset."""
        from nmcdist.datasets.opened import item_numbers
        from nmcdist.products.registry import parsed_recipe

        recipe = self.recipe
        return item_numbers(self._data, lambda: parsed_recipe({**recipe, "kind": self.kind}, "recipe").samples)

    @property
    def columns(self) -> "pd.DataFrame":
        """The columns that a query can name, with unit and meaning."""
        import pandas as pd

        from nmcdist.datasets.opened import check_own
        from nmcdist.queries.opened import columns_of_dataset

        check_own(self._data)
        found = columns_of_dataset(self._data).values()
        table = {
            "column": [c.name for c in found],
            "unit": [c.unit for c in found],
            "meaning": [c.long_name for c in found],
        }
        return pd.DataFrame(table).set_index("column")

    def particle(self, item: int) -> "Particle":
        """Return a particle: the record that is stored, with the methods of a drawn one.

        Parameters
        ----------
        item : int
            Number of the item.

        Returns
        -------
        Particle
            As of :func:`nmcdist.generate_particle`; for example ``ds.nmc.particle(17).voxelize(50)``.

        Raises
        ------
        InputError
            If the dataset lacks the item, or holds no particles.
        StoreError
            If the record is incomplete or damaged.
        """
        from nmcdist.datasets.opened import item_number, particle_in

        place = self._place_of_particle(item)
        return particle_in(self._data, place, item_number(item))

    def grains(self, item: int) -> "xr.Dataset":
        """Return the table of the grains of a particle, as :func:`nmcdist.datasets.read_grains` does.

        Parameters
        ----------
        item : int
            Number of the item.

        Raises
        ------
        InputError
            If the dataset lacks the item, holds no particles, or their grains were not measured.
        StoreError
            If the table is incomplete or damaged.
        """
        from nmcdist.datasets.opened import grains_in, item_number

        place = self._place_of_particle(item)
        return grains_in(self._data, place, item_number(item))

    def volume(self, item: int, voxel_size_nm: float | None = None) -> "xr.DataArray":
        """Return the labels of an item, with coordinates z_nm, y_nm and x_nm and the attribute `voxel_size_nm`.

        Parameters
        ----------
        item : int
            Number of the item.
        voxel_size_nm : float, optional
            For a particle, which is rendered: default 50. A volume has the voxels of its store.

        Returns
        -------
        xarray.DataArray
            Dimensions z, y, x. Volumes: labels of :attr:`phases`, lazy if the dataset is. Particles: grains, 0
            outside, with coordinates from the centre of the particle.

        Raises
        ------
        InputError
            If the dataset lacks the item or holds no volumes, or the voxel size is impossible.
        """
        from nmcdist.arguments import check_number
        from nmcdist.datasets.opened import holds_particles, rendered, volume_in
        from nmcdist.errors import InputError

        place = self._place(item)
        if holds_particles(self._data):
            return rendered(self.particle(item), VOXEL_NM if voxel_size_nm is None else voxel_size_nm)
        labels = volume_in(self._data, place)
        stored = labels.attrs["voxel_size_nm"]
        if voxel_size_nm is not None and check_number("voxel_size_nm", voxel_size_nm) != stored:
            raise InputError(f"voxel_size_nm: found {voxel_size_nm!r}, expected the {stored} nm of the stored volumes")
        return labels

    def query(self, where: str) -> "xr.Dataset":
        """Return the part of the dataset whose items fulfil a condition.

        Parameters
        ----------
        where : str
            As for :func:`nmcdist.query`, for example ``"d_max_nm > 8000 and sphericity > 0.9"``; empty: every item.

        Returns
        -------
        xarray.Dataset
            All variables, lazy if they are, with the coordinate `sample`.

        Raises
        ------
        QueryError
            If the query cannot be read or names an unknown column.
        """
        from nmcdist.datasets.layout import SAMPLE
        from nmcdist.queries.opened import mask_of

        numbers = self.items
        mask = mask_of(self._data, numbers, where)
        return self._data.assign_coords({SAMPLE: (SAMPLE, numbers)}).isel({SAMPLE: mask.nonzero()[0]})

    def plot(
        self, item: int | Sequence[int] | None = None, *, normal: Literal["z", "y", "x"] = "z", offset_nm: float = 0.0,
        colour: Literal["label", "orientation"] = "label",
    ) -> "NotebookFigure":  # fmt: skip
        """Draw planar sections through items: grains with their borders, or phases.

        Parameters
        ----------
        item : int or sequence of int, optional
            Numbers of items, at most 24; default: the first one of the dataset.
        normal : {"z", "y", "x"}
            Axis across the section.
        offset_nm : float
            Distance of the section from the middle of the item, along this axis.
        colour : {"label", "orientation"}
            "orientation" colours the grains of particles by the angle between their longer axis and the radius.

        Returns
        -------
        matplotlib.figure.Figure
            ``savefig`` writes it to a file.

        Raises
        ------
        InputError
            If an argument is impossible, the dataset lacks an item, or it holds neither particles nor volumes.
        MissingPackageError
            If matplotlib is not installed.
        """
        from nmcdist.arguments import check_number, check_one_of
        from nmcdist.datasets.opened import AXES, holds_particles
        from nmcdist.errors import InputError
        from nmcdist.extras import is_installed, missing_error

        if not is_installed("matplotlib"):
            raise missing_error("report", "a figure", ["matplotlib"])
        axis = check_one_of("normal", normal, AXES)
        colour = check_one_of("colour", colour, ("label", "orientation"))
        offset_nm = check_number("offset_nm", offset_nm)
        of_particles = holds_particles(self._data)
        if colour == "orientation" and not of_particles:
            raise InputError(f"colour: found 'orientation', expected 'label' for a dataset of kind {self.kind!r}")
        from nmcdist.report.cut_figure import draw_cuts
        from nmcdist.report.cuts import cut_particles, cut_volume

        chosen, phases = self._chosen(item), tuple(self.phases.values())
        if of_particles:
            cuts = cut_particles([self.particle(number) for number in chosen], axis, offset_nm)
        else:
            cuts = [cut_volume(number, self.volume(number), phases, axis, offset_nm) for number in chosen]
        return draw_cuts(cuts, phases, by_orientation=colour == "orientation")

    @property
    def _kind(self) -> "Kind":
        from nmcdist.products.registry import kind_of_content

        recipe = self.recipe
        return kind_of_content(self._data.attrs.get("kind"), recipe, "dataset")

    def _place(self, item: Any) -> int:
        from nmcdist.datasets.opened import item_number, place_of

        numbers = self.items
        return place_of(numbers, item_number(item))

    def _place_of_particle(self, item: Any) -> int:
        from nmcdist.datasets.opened import holds_particles
        from nmcdist.errors import InputError

        place = self._place(item)
        if not holds_particles(self._data):
            raise InputError(f"dataset: is of kind {self.kind!r}, which has no particles; `volume` returns its labels")
        return place

    def _chosen(self, item: Any) -> list[int]:
        """Return the numbers of the items to draw."""
        from nmcdist.datasets.opened import item_number
        from nmcdist.errors import InputError
        from nmcdist.wording import shown

        numbers = self.items
        if item is None and not len(numbers):
            raise InputError("dataset: holds no items")
        is_one = not hasattr(item, "__len__") or getattr(item, "ndim", None) == 0
        chosen = [numbers[0]] if item is None else [item] if is_one else list(item)
        if isinstance(item, str) or not 1 <= len(chosen) <= MOST_PLOTTED:
            raise InputError(f"item: found {shown(item)}, expected the numbers of 1 to {MOST_PLOTTED} items")
        return [item_number(each) for each in chosen]

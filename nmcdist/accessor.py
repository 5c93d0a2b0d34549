"""The accessor ``ds.nmc`` of xarray datasets: items of a dataset by number, queries and pictures.

It needs only the dataset, so it also works for a store that was opened by xarray alone, and for parts of a dataset.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import xarray as xr

    from nmcdist.models.particle import Particle
    from nmcdist.products.kind import Kind
    from nmcdist.report.cuts import Cut, NotebookFigure

NAME = "nmc"
MOST_PLOTTED = 24  # items in one figure
VOXEL_NM = 50.0
_PIXELS_OF_ONE, _PIXELS_OF_MANY = 800, 500  # across the largest section of a figure
_XARRAY = "xarray"


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
        return (
            f"<{NAME} of dataset {name} {version}: items, kind, recipe, phases, columns, particle, volume, query, plot>"
        )

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

        from nmcdist.queries.opened import columns_of_dataset

        _ = self.recipe
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
        from nmcdist.datasets.opened import holds_particles, item_number, particle_in
        from nmcdist.errors import InputError

        place = self._place(item)
        if not holds_particles(self._data):
            raise InputError(f"dataset: is of kind {self.kind!r}, which has no particles; `volume` returns its labels")
        return particle_in(self._data, place, item_number(item))

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
        from nmcdist.datasets.opened import holds_particles, volume_in
        from nmcdist.errors import InputError

        place = self._place(item)
        if holds_particles(self._data):
            return _rendered(self.particle(item), VOXEL_NM if voxel_size_nm is None else voxel_size_nm)
        labels = volume_in(self._data, place)
        if voxel_size_nm not in (None, stored := labels.attrs.get("voxel_size_nm")):
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
        from nmcdist.report.cuts import draw_cuts

        chosen = self._chosen(item)
        if of_particles:
            cuts = self._cut_particles(chosen, axis, offset_nm)
        else:
            cuts = [self._cut_volume(number, axis, offset_nm) for number in chosen]
        return draw_cuts(cuts, tuple(self.phases.values()), by_orientation=colour == "orientation")

    @property
    def _kind(self) -> "Kind":
        from nmcdist.products.registry import kind_of_content

        recipe = self.recipe
        return kind_of_content(self._data.attrs.get("kind"), recipe, "dataset")

    def _place(self, item: Any) -> int:
        from nmcdist.datasets.opened import item_number, place_of

        numbers = self.items
        return place_of(numbers, item_number(item))

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

    def _cut_particles(self, items: list[int], axis: str, offset_nm: float) -> "list[Cut]":
        particles = [self.particle(item) for item in items]
        pixels = _PIXELS_OF_ONE if len(items) == 1 else _PIXELS_OF_MANY
        # One size for all, so that the lines between grains are of one width.
        pixel_nm = 2 * max(particle.reach_nm for particle in particles) / pixels or VOXEL_NM
        return [_cut_particle(particle, pixel_nm, axis, offset_nm) for particle in particles]

    def _cut_volume(self, item: int, axis: str, offset_nm: float) -> "Cut":
        import math

        import numpy as np

        from nmcdist.datasets.layout import UNWRITTEN
        from nmcdist.datasets.opened import AXES
        from nmcdist.errors import InputError, StoreError
        from nmcdist.report.cuts import Cut

        volume = self.volume(item)
        size, length = float(volume.attrs["voxel_size_nm"]), volume.sizes[axis]
        index = math.floor(length / 2 + offset_nm / size)
        if not 0 <= index < length:
            found, most = f"{offset_nm:g} nm from the middle", length * size / 2
            raise InputError(f"offset_nm: found {found}, expected -{most:g} to less than {most:g} nm")
        plane = volume.isel({axis: index}).compute()
        labels, phases = plane.values, len(self.phases)
        if not np.isfinite(labels).all() or (labels == UNWRITTEN).any():
            raise StoreError(f"dataset: the volume of item {item} is incomplete")
        if phases and labels.max(initial=0) >= phases:
            raise StoreError(
                f"dataset: the volume of item {item}: found label {labels.max():g}, expected below {phases}"
            )
        labels = labels.astype(np.int64)  # xarray makes floats of labels where it could not select them
        rows, columns = (name for name in AXES if name != axis)
        start = [
            float(plane[f"{name}_nm"][0]) - size / 2 if f"{name}_nm" in plane.coords else 0.0
            for name in (rows, columns)
        ]
        middle = float(plane[f"{axis}_nm"]) if f"{axis}_nm" in plane.coords else (index + 0.5) * size
        return Cut(f"item {item}, {axis} = {middle / 1000:.3g} µm", labels, size, (start[0], start[1]), (rows, columns))


def _cut_particle(particle: "Particle", pixel_nm: float, axis: str, offset_nm: float) -> "Cut":
    from nmcdist.datasets.opened import AXES
    from nmcdist.report.cuts import Cut

    direction = [float(name == axis) for name in AXES]
    labels = particle.section(pixel_nm, direction, [offset_nm * part for part in direction])
    rows, columns = (name for name in AXES if name != axis)
    start = -pixel_nm * len(labels) / 2
    where = f", {axis} = {offset_nm / 1000:g} µm" if offset_nm else ""
    title = f"item {particle.index}{where}: {int(particle.kept.sum())} grains"
    return Cut(title, labels, pixel_nm, (start, start), (rows, columns))


def _rendered(particle: "Particle", voxel_size_nm: float) -> "xr.DataArray":
    import numpy as np
    import xarray as xr

    from nmcdist.datasets.opened import AXES

    labels = particle.voxelize(voxel_size_nm)
    _, origin = particle.grid(voxel_size_nm)
    coords = {
        f"{axis}_nm": (axis, first + float(voxel_size_nm) * np.arange(length), {"units": "nm"})
        for axis, first, length in zip(AXES, origin, labels.shape, strict=True)
    }
    about = {"long_name": "labels of the grains, 0 outside", "units": "1", "voxel_size_nm": float(voxel_size_nm)}
    return xr.DataArray(labels, dims=AXES, coords=coords, attrs=about, name="labels")


def register() -> None:
    """Add the accessor to xarray now, or as soon as xarray is imported."""
    if _XARRAY in sys.modules:
        _add()
    elif not any(isinstance(finder, _Awaiting) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Awaiting())


def _add() -> None:
    import xarray as xr

    if NAME not in vars(xr.Dataset):
        add: Any = xr.register_dataset_accessor  # it has no types
        add(NAME)(DatasetAccessor)


class _Awaiting(MetaPathFinder):
    """Finds xarray as the other finders do, and adds the accessor once xarray is imported."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != _XARRAY:
            return None
        specs = (f.find_spec(name, path, target) for f in sys.meta_path if f is not self and hasattr(f, "find_spec"))
        spec = next(filter(None, specs), None)
        if spec is not None and spec.loader is not None:
            self._follow(spec.loader)
        return spec

    def _follow(self, loader: Any) -> None:
        execute = loader.exec_module

        def exec_module(module: Any) -> None:
            execute(module)
            if module.__name__ == _XARRAY:
                _add()
                if self in sys.meta_path:
                    sys.meta_path.remove(self)

        loader.exec_module = exec_module

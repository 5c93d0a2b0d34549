"""Virtual stores of particles: shells in batches, and whole records as arrays of sample and grain, chunk by particle.

A batch of shells is quick to draw, so descriptors of shells are read without drawing grains. All chunks of a record,
and the voxels of its particle, come from one draw.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmcdist.bundle import Bundle
from nmcdist.datasets.files import FileRecord
from nmcdist.datasets.layout import (
    ITEMS_PER_FILE,
    SAMPLE,
    VIRTUAL_ATTRIBUTE,
    Layout,
    Variable,
    batch_variable,
)
from nmcdist.datasets.particles import GRAIN, ORIENTATION, RECORD_ITEMS, RECORD_ROWS, row_storage, shape_of
from nmcdist.datasets.writing import write_rows
from nmcdist.descriptors.quantity import Quantity
from nmcdist.descriptors.shell import VARIABLES as SHELL
from nmcdist.descriptors.shell import measure_shells
from nmcdist.errors import InputError, RecipeError
from nmcdist.models.particle import ParticleModel
from nmcdist.products.attributes import store_attrs
from nmcdist.products.particles.layout import axis_coordinate, label_variables
from nmcdist.products.particles.make import grain_columns, item_values, write_labels
from nmcdist.products.particles.recipe import ParticleRecipe, ParticlesSpec
from nmcdist.products.particles.sizes import sizes_of
from nmcdist.products.plan import Job, Made, Task
from nmcdist.products.virtual import Frozen, VirtualPlan
from nmcdist.wording import shown

SHELLS_PER_CHUNK = 16  # to measure one takes 2 ms

_ROWS, _LARGEST, _SMALLEST = "rows_per_particle", "largest_nm", "smallest_item"
_SHELL = {
    **{name: quantity for name, quantity in RECORD_ITEMS.items() if name.startswith("shell_")},
    **{f"shell_{name}": quantity for name, quantity in SHELL.items()},
}
_RECORD = {name: q for name, q in RECORD_ITEMS.items() if name not in _SHELL and name != "first_row"}
_GRAINS = {name: q for name, q in RECORD_ROWS.items() if name not in ("particle", "label")}
_HOW_TO_READ = """grains = ds.isel(sample=i, grain=slice(0, int(ds.rows[i])))
grains = grains.isel(grain=grains.kept.values)"""


@dataclass(frozen=True, kw_only=True)
class VirtualParticleTask(Task):
    """A batch of shells, or a whole particle.

    Attributes
    ----------
    stop : int
        The item after the last.
    is_whole : bool
        Whether it draws grains, too.
    """

    stop: int
    is_whole: bool


@dataclass(frozen=True)
class VirtualParticles(VirtualPlan):
    """Particles, computed one by one.

    Attributes
    ----------
    smallest : int
        The smallest particle.
    """

    recipe: ParticleRecipe
    smallest: int

    def layout(self) -> Layout:
        """Return the layout: variables, and the coordinates of axes."""
        coordinates = (axis_coordinate(),)
        summary = (
            f"{self.recipe.samples} virtual cathode particles, drawn from a stochastic model when they are read. "
            "Shells are variables along sample (shell_...); grains are rows along grain, as many as the largest has."
        )
        attrs = store_attrs(self.recipe, self.bundle, coordinates, summary, {"grains_of_particle_i": _HOW_TO_READ})
        attrs |= {VIRTUAL_ATTRIBUTE: 1}
        return Layout(self.recipe.samples, self.variables, coordinates, attrs)

    def task(self, variable: Variable, index: tuple[int, ...]) -> VirtualParticleTask:
        """Return the task that makes a chunk."""
        if variable.name in _SHELL:
            start = index[0] * SHELLS_PER_CHUNK
            return self._task(f"shells-{index[0]}", start, min(start + SHELLS_PER_CHUNK, self.recipe.samples))
        return self._task(f"item-{index[0]}", index[0], index[0] + 1)

    def witnesses(self) -> tuple[VirtualParticleTask, ...]:
        """Return the shells and the whole record of the smallest particle."""
        shells = self.task(next(v for v in self.variables if v.name in _SHELL), (0,))
        return shells, self._task(f"item-{self.smallest}", self.smallest, self.smallest + 1)

    def _task(self, name: str, start: int, stop: int) -> VirtualParticleTask:
        is_whole = name.startswith("item")
        place = start if is_whole else start // SHELLS_PER_CHUNK
        own = (v for v in self.variables if (v.name not in _SHELL) == is_whole)
        files = tuple(file for v in own for file in v.files(place))
        return VirtualParticleTask(name=name, sample=start, files=files, stop=stop, is_whole=is_whole)


def frozen_sizes(recipe: ParticleRecipe, bundle: Bundle) -> dict[str, Any]:
    """Draw every shell, and return the bounds of all particles; arguments and errors as in :meth:`Kind.freeze`.

    The shells are all drawn, a minute and a half for a million, since a bound from the law of shells would hold with
    some probability only, and a particle beyond it could never be read.
    """
    _check(recipe)
    count = recipe.particles.count
    sizes = sizes_of(recipe.model_copy(update={"particles": ParticlesSpec(count=count, batch=1)}), bundle)
    return {
        _ROWS: int(sizes.most_rows.max()),
        _LARGEST: sizes.largest_nm,
        _SMALLEST: int(sizes.radii_nm.argmin()),
    }


def virtual_particles(recipe: ParticleRecipe, bundle: Bundle, frozen: Frozen) -> VirtualParticles:
    """Plan a virtual store of particles; arguments and errors as in :meth:`Kind.virtual_plan`."""
    _check(recipe)
    _check_frozen(recipe, frozen)
    variables = (
        *_per_item(recipe, _SHELL, SHELLS_PER_CHUNK),
        *_per_item(recipe, _RECORD, 1),
        *_per_grain(recipe, frozen[_ROWS]),
        *label_variables(recipe, frozen[_LARGEST]),
    )
    return VirtualParticles(recipe, bundle, variables, frozen[_SMALLEST])


def make_virtual_particles(job: Job, bundle: Bundle, task: VirtualParticleTask) -> Made:
    """Make and write the files of a task; arguments and errors as in :meth:`Kind.make_virtual`."""
    return Made(_whole(job, bundle, task.sample) if task.is_whole else _shells(job, bundle, task))


def _check(recipe: ParticleRecipe) -> None:
    """Refuse a recipe of more than records, with a design, or of voxels whose chunks are not files."""
    if recipe.design is not None:
        raise RecipeError("design: found one, expected none: the particles of a virtual store have one bundle")
    if recipe.descriptors is not None:
        raise RecipeError("descriptors: found options, expected none: the grains of a virtual store are not measured")
    if recipe.labels.voxel_sizes_nm and recipe.labels.shard is not None:
        raise RecipeError(
            f"labels.shard: found {recipe.labels.shard}, expected none: each chunk of a virtual store is a file"
        )


def _check_frozen(recipe: ParticleRecipe, frozen: Frozen) -> None:
    rows, largest, smallest = (frozen.get(name) for name in (_ROWS, _LARGEST, _SMALLEST))
    is_sound = (
        set(frozen) == {_ROWS, _LARGEST, _SMALLEST}
        and type(rows) is int and 1 <= rows < 2**36
        and type(largest) is float and 0 < largest < 1e9
        and type(smallest) is int and 0 <= smallest < recipe.samples
    )  # fmt: skip
    if not is_sound:
        raise InputError(f"frozen: found {shown(dict(frozen))}, expected {_ROWS}, {_LARGEST} and {_SMALLEST}")


def _per_item(recipe: ParticleRecipe, table: Mapping[str, Quantity], per_file: int) -> Iterator[Variable]:
    for name, about in table.items():
        attrs = {**about.attrs, ITEMS_PER_FILE: per_file}
        yield batch_variable(
            name, recipe.samples, per_file, (SAMPLE, *about.dims), shape_of(about), about.dtype, attrs
        )  # fmt: skip


def _per_grain(recipe: ParticleRecipe, rows: int) -> Iterator[Variable]:
    for name, about in (_GRAINS | (ORIENTATION if recipe.orientations is not None else {})).items():
        fill, decoding = row_storage(name, about.dtype)
        attrs = {**about.attrs, **decoding, ITEMS_PER_FILE: 1, "comment": "missing from the number in `rows` on"}
        dims, shape = (SAMPLE, GRAIN, *about.dims), (rows, *shape_of(about))
        yield batch_variable(name, recipe.samples, 1, dims, shape, about.dtype, attrs, fill_value=fill)


def _shells(job: Job, bundle: Bundle, task: VirtualParticleTask) -> dict[str, FileRecord]:
    model = ParticleModel.from_bundle(bundle)
    coefficients, rejections = model.shells.draw_many(job.recipe.seed, range(task.sample, task.stop))
    measured = {f"shell_{name}": values for name, values in measure_shells(coefficients).items()}
    values = {"shell_coefficients_nm": coefficients, "shell_rejections": rejections, **measured}
    files: dict[str, FileRecord] = {}
    for variable in (v for v in job.variables if v.name in _SHELL):
        files |= write_rows(job.store, variable, task.sample // SHELLS_PER_CHUNK, values[variable.name])
    return files


def _whole(job: Job, bundle: Bundle, item: int) -> dict[str, FileRecord]:
    recipe = job.recipe
    assert isinstance(recipe, ParticleRecipe)
    particle = ParticleModel.from_bundle(bundle).draw(recipe.seed, item)
    columns, own = grain_columns(particle, recipe.orientations, item), item_values(particle)
    files = write_labels(job, particle)
    for variable in job.variables:
        if variable.name in _RECORD:
            files |= write_rows(job.store, variable, item, np.array([own[variable.name]]))
        elif variable.name in columns:
            files |= write_rows(job.store, variable, item, _padded(variable, columns[variable.name], item))
    return files


def _padded(variable: Variable, column: np.ndarray, item: int) -> np.ndarray:
    """Return a column of one particle with as many rows as the variable has."""
    rows = variable.shape[1]
    if len(column) > rows:
        raise InputError(f"item {item}: found {len(column)} grains, expected at most the {rows} that were frozen")
    padded = np.full((1, *variable.shape[1:]), variable.fill_value, dtype=variable.dtype)
    padded[0, : len(column)] = column
    return padded

"""What a surrogate learns from: one row per volume, or per axis of a volume, of finished stores."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nmcdist.datasets.integrity import manifest_hash
from nmcdist.datasets.store import open_store, readable
from nmcdist.errors import InputError
from nmcdist.learning.factorised import Experiment
from nmcdist.learning.features import feature_names, features, parameter_names
from nmcdist.learning.targets import TARGETS
from nmcdist.learning.volumes import along_axes
from nmcdist.models.interventions import GRAPHITE_ALONE, INTERVENED, WITHOUT_GRAPHITE

if TYPE_CHECKING:
    import xarray as xr

    Reader = Callable[[Sequence[xr.Dataset], Sequence[str], str, bool], "Rows"]

VOLUME = "volume"
FACTORS = {name: f"{INTERVENED}[{name}]" for name in (WITHOUT_GRAPHITE, GRAPHITE_ALONE)}  # of the product rule
MORPHOLOGY = (  # what the rules are of
    "volume_fraction[pore]", "1/geodesic_tortuosity[pore]", "volume_fraction[graphite]",
    "volume_fraction[carbon_binder]", *FACTORS.values(),
)  # fmt: skip


@dataclass(frozen=True)
class Rows:
    """Rows of a training.

    Attributes
    ----------
    features : tuple of str
        Names of the columns, or "volume".
    x : ndarray
        Features of shape (n, d), or phase fractions of shape (n, 2, m, m, m).
    y : ndarray of float64, shape (n, t)
        Targets in physical units; NaN where unknown.
    morphology : ndarray of float64, shape (n, 6)
        The features `MORPHOLOGY`; NaN where a store lacks them.
    groups : ndarray of int64, shape (n,)
        Rows with the same parameters have the same number.
    labels : mapping of str to ndarray
        Values by which rows can be selected: parameters, and numbers of "store", "bundle" and "item".
    voxel_sizes_nm : tuple of float
    stores : tuple of str
        Digests of the stores' manifests.
    experiments : tuple of Experiment
        Of the factors of the product rule, in further stores; empty for other models.
    """

    features: tuple[str, ...]
    x: np.ndarray
    y: np.ndarray
    morphology: np.ndarray
    groups: np.ndarray
    labels: dict[str, np.ndarray]
    voxel_sizes_nm: tuple[float, ...] = ()
    stores: tuple[str, ...] = ()
    experiments: tuple[Experiment, ...] = ()

    def __len__(self) -> int:
        return len(self.y)

    @property
    def factors(self) -> np.ndarray:
        """M-factors of the pores without graphite and with graphite alone, shape (n, 2); NaN where not stored."""
        return self.morphology[:, -len(FACTORS) :]

    def part(self, which: np.ndarray) -> "Rows":
        """Return the rows chosen by numbers or booleans."""
        return replace(
            self, x=self.x[which], y=self.y[which], morphology=self.morphology[which], groups=self.groups[which],
            labels={name: values[which] for name, values in self.labels.items()},
        )  # fmt: skip


def read_rows(
    stores: Sequence[Path], targets: Sequence[str], which: str, by_axis: bool, reader: "Reader | None" = None
) -> Rows:  # fmt: skip
    """Read the rows of finished stores of volumes.

    Parameters
    ----------
    stores : sequence of Path
    targets : sequence of str
        See :data:`nmcdist.learning.targets.TARGETS`.
    which : str
        Set of features, or "volume".
    by_axis : bool
    reader : callable, optional
        Takes the opened stores and the other arguments, and returns their rows. Default: :func:`rows_of`.

    Raises
    ------
    StoreError
        If a store cannot be opened.
    InputError
        If a store lacks a target or the volumes, or the stores have no feature in common.
    """
    opened = [open_store(store) for store in stores]
    with readable(*stores):
        rows = (reader or rows_of)(opened, targets, which, by_axis)
    return replace(rows, stores=tuple(manifest_hash(Path(store)) for store in stores))


def rows_of(
    datasets: Sequence["xr.Dataset"], targets: Sequence[str], which: str | tuple[str, ...], by_axis: bool
) -> Rows:  # fmt: skip
    """Return the rows of opened datasets; see :func:`read_rows`; `which` may be the names of the features."""
    names = which if isinstance(which, tuple) else _names(datasets, which)
    if not names:
        raise InputError(f"features: found none of the set {which!r} in every store")
    parameters = _common([parameter_names(data) for data in datasets])
    bundles = [data.attrs.get("bundle_hash", "") for data in datasets]
    parts, before = [], 0
    for number, raw in enumerate(datasets):
        data = raw.drop_vars(VOLUME, errors="ignore").load()
        if not data.sizes.get("sample"):
            raise InputError("store: found no items, expected a dataset of volumes")
        axes = data.sizes.get("axis", 1) if by_axis else 1
        labels = {name: np.repeat(data[name].values, axes) for name in parameters}
        count = axes * data.sizes["sample"]
        labels["store"] = np.full(count, float(number))
        labels["bundle"] = np.full(count, float(bundles.index(bundles[number])))
        labels["item"] = before + np.repeat(np.arange(data.sizes["sample"], dtype=float), axes)
        before += data.sizes["sample"]
        x = inputs_of(raw, names, by_axis)
        y = np.column_stack([TARGETS[name].values(data, by_axis).reshape(-1) for name in targets])
        parts.append((x, y, _morphology(data, by_axis), labels))
    together = {name: np.concatenate([part[3][name] for part in parts]) for name in parts[0][3]}
    # Without parameters each volume is a point of its own.
    points = [together[name] for name in (*parameters, "bundle")] if parameters else [together["item"]]
    groups = np.unique(np.column_stack(points), axis=0, return_inverse=True)[1].reshape(-1)
    sizes = sorted({size for data in datasets if (size := voxel_size_nm(data)) is not None})
    x, y, morphology = (np.concatenate([part[k] for part in parts]) for k in range(3))
    return Rows(names, x, y, morphology, groups, together, tuple(sizes))


def inputs_of(data: "xr.Dataset", names: tuple[str, ...], by_axis: bool) -> np.ndarray:
    """Return the features of a dataset, or its phase fractions if the only feature is "volume"."""
    if names != (VOLUME,):
        return features(data.drop_vars(VOLUME, errors="ignore").load(), names, by_axis)
    if VOLUME not in data:
        raise InputError("feature 'volume': found no volumes in the dataset, expected one that was stored with them")
    return along_axes(data[VOLUME][item].values for item in range(data.sizes["sample"]))


def voxel_size_nm(data: "xr.Dataset") -> float | None:
    """Return the voxel size of a store of volumes, None if it does not say it."""
    try:
        return float(json.loads(data.attrs["recipe"])["volume"]["voxel_size_nm"])
    except (KeyError, TypeError, ValueError):
        return None


def _names(datasets: Sequence["xr.Dataset"], which: str) -> tuple[str, ...]:
    return (VOLUME,) if which == VOLUME else _common([list(feature_names(data, which)) for data in datasets])


def _common(lists: Sequence[list[str]]) -> tuple[str, ...]:
    return tuple(name for name in lists[0] if all(name in other for other in lists))


def _morphology(data: "xr.Dataset", by_axis: bool) -> np.ndarray:
    columns: list[Any] = []
    for name in MORPHOLOGY:
        try:
            columns.append(features(data, (name,), by_axis)[:, 0])
        except InputError:
            columns.append(np.full(data.sizes["sample"] * (data.sizes.get("axis", 1) if by_axis else 1), np.nan))
    return np.column_stack(columns)

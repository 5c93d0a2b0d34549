"""A surrogate: models of several properties, with their intervals and where they apply."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nmcdist.errors import InputError
from nmcdist.learning.factorised import Factorised
from nmcdist.learning.gp import GaussianProcess
from nmcdist.learning.hull import Hull
from nmcdist.learning.intervals import interval_factor
from nmcdist.learning.logistic import Logistic
from nmcdist.learning.product import experiments_of
from nmcdist.learning.ridge import Ridge
from nmcdist.learning.rows import VOLUME, Rows, inputs_of, voxel_size_nm
from nmcdist.learning.targets import TARGETS
from nmcdist.learning.volumes import summary

if TYPE_CHECKING:
    import xarray as xr

    from nmcdist.learning.cnn import Net

FEWEST = 5  # values of a target to learn from
_SHORTEST = 0.5  # length scale of a Gaussian process over the root of the number of features, in their spreads
_FOLDS = 5  # trainings without a part of the points, for the intervals


@dataclass(frozen=True)
class Prediction:
    """Predictions of rows, in physical units.

    Attributes
    ----------
    value, low, high : ndarray of float64, shape (m, t)
        Predictions and the ends of their 90 % intervals; of targets learned as logarithms, if they are positive.
    positive : ndarray of float64, shape (m, t)
        Probability that the value is not 0; 1 for the other targets.
    outside : ndarray of bool, shape (m,)
        Whether the row is out of the design.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    positive: np.ndarray
    outside: np.ndarray


@dataclass(frozen=True)
class Surrogate:
    """A trained surrogate.

    Attributes
    ----------
    model : {"gp", "ridge", "cnn", "product"}
    targets, features : tuple of str
    by_axis : bool
        Whether it predicts along each axis, and not the mean over axes.
    parts : tuple
        A regression per target, or one net.
    chances : tuple of Logistic or None
        Of each target, the probability that it is positive; None where it always is or its logarithm is not learned.
    factors : tuple of float
        See :func:`nmcdist.learning.intervals.interval_factor`.
    hull : Hull
    noise_floor : tuple of float
        See :func:`noise_floor`; empty if unknown.
    voxel_sizes_nm : tuple of float
    stores : tuple of str
        Digests of the manifests of the stores.
    """

    model: str
    targets: tuple[str, ...]
    features: tuple[str, ...]
    by_axis: bool
    parts: "tuple[GaussianProcess | Ridge | Factorised | Net, ...]"
    chances: tuple[Logistic | None, ...]
    factors: tuple[float, ...]
    hull: Hull
    noise_floor: tuple[float, ...] = ()
    voxel_sizes_nm: tuple[float, ...] = field(default=())
    stores: tuple[str, ...] = field(default=())

    @classmethod
    def fit(cls, rows: Rows, targets: Sequence[str], model: str, by_axis: bool, seed: int) -> "Surrogate":
        """Return a surrogate trained on rows.

        Raises
        ------
        InputError
            If a target or a factor has fewer than 5 values, or all are of one point.
        """
        learned = np.column_stack([TARGETS[t].learned(rows.y[:, k]) for k, t in enumerate(targets)])
        counts = np.isfinite(learned).sum(axis=0)
        if counts.min() < FEWEST:
            poorest = targets[int(counts.argmin())]
            raise InputError(
                f"target {poorest!r}: found {counts.min()} values to learn from, expected {FEWEST} or more"
            )
        if len(np.unique(rows.groups[np.isfinite(learned).all(axis=1)])) < 2:
            raise InputError("targets: found values at fewer than two points of parameters, expected two or more")
        table = _table(rows.x)
        parts, factors = _fitted(rows, learned, model, seed)
        chances = tuple(_chance(table, rows.y[:, k], TARGETS[t].is_log) for k, t in enumerate(targets))
        return cls(
            model, tuple(targets), rows.features, by_axis, parts, chances, factors, Hull.of(table),
            noise_floor(learned, rows), rows.voxel_sizes_nm, rows.stores,
        )  # fmt: skip

    def predict_rows(self, x: np.ndarray) -> Prediction:
        """Return the predictions of rows of features, or of phase fractions."""
        found = [_observed(part, x) for part in self.parts]
        mean, variance = (np.column_stack([each[k] for each in found]) for k in range(2))
        reach = np.array(self.factors) * np.sqrt(variance)
        table = _table(x)
        positive = [np.ones(len(x)) if c is None else c.probability(table) for c in self.chances]
        value, low, high = (self._physical(learned) for learned in (mean, mean - reach, mean + reach))
        return Prediction(value, low, high, np.column_stack(positive), self.hull.outside(table))

    def predict(self, data: "xr.Dataset") -> "xr.Dataset":
        """Predict the properties of the volumes of a dataset.

        Parameters
        ----------
        data : xarray.Dataset
            An opened store, or the result of :func:`nmcdist.describe_cba`.

        Returns
        -------
        xarray.Dataset
            For each target NAME the variables NAME_predicted, NAME_low and NAME_high (a 90 % interval), for those
            learned as logarithms also NAME_positive, the probability that the value is not 0, under which the others
            hold; and `out_of_design`, which is 1 where the volume or its voxel size is unlike all of the training.

        Raises
        ------
        InputError
            If the dataset lacks a feature.
        """
        import xarray as xr

        alone = "sample" not in data.dims
        data = data.expand_dims("sample") if alone else data
        found = self.predict_rows(inputs_of(data, self.features, self.by_axis))
        dims = ("sample", "axis") if self.by_axis else ("sample",)
        shape = tuple(data.sizes.get(dim, 3) for dim in dims)
        coarse = voxel_size_nm(data)
        foreign = coarse is not None and bool(self.voxel_sizes_nm) and coarse not in self.voxel_sizes_nm
        kept = {name: c for name, c in data.coords.items() if set(c.dims) <= set(dims)}
        made: dict[str, Any] = {}
        for k, name in enumerate(self.targets):
            about = TARGETS[name].about
            made[f"{name}_predicted"] = found.value[:, k], f"{about}, predicted"
            made[f"{name}_low"] = found.low[:, k], f"{about}, lower end of the 90 % interval"
            made[f"{name}_high"] = found.high[:, k], f"{about}, upper end of the 90 % interval"
            if TARGETS[name].is_log:
                made[f"{name}_positive"] = found.positive[:, k], f"probability that it conducts: {about}"
        made["out_of_design"] = (found.outside | foreign).astype(np.int8), "1 if unlike all volumes of the training"
        result = xr.Dataset(
            {name: (dims, values.reshape(shape), {"units": "1", "long_name": text})
             for name, (values, text) in made.items()},
            kept,
        )  # fmt: skip
        return result.isel(sample=0) if alone else result

    def _physical(self, learned: np.ndarray) -> np.ndarray:
        return np.column_stack([TARGETS[name].physical(learned[:, k]) for k, name in enumerate(self.targets)])


def noise_floor(learned: np.ndarray, rows: Rows) -> tuple[float, ...]:
    """Return the standard deviation between realisations at one point by target, empty if no point has several.

    A model that knows the parameters only cannot have a smaller error.

    Parameters
    ----------
    learned : ndarray, shape (n, t)
        Targets as they are learned; NaN where unknown.
    rows : Rows
    """
    if not _has_replicates(rows):
        return ()
    found = []
    for values in learned.T:
        known = np.isfinite(values)
        group = np.unique(rows.groups[known], return_inverse=True)[1]
        count = np.bincount(group)
        mean = np.bincount(group, values[known]) / count
        freedom = max(1, len(group) - len(count))
        found.append(float(np.sqrt(((values[known] - mean[group]) ** 2).sum() / freedom)))
    return tuple(found)


def _has_replicates(rows: Rows) -> bool:
    items = np.unique(np.column_stack([rows.groups, rows.labels["item"]]), axis=0)
    return len(items) > len(np.unique(rows.groups))


def _table(x: np.ndarray) -> np.ndarray:
    return x if x.ndim == 2 else summary(x)


def _chance(table: np.ndarray, values: np.ndarray, is_log: bool) -> Logistic | None:
    known = np.isfinite(values)
    return Logistic.fit(table[known], values[known] > 0) if is_log and (values[known] <= 0).any() else None


def _fitted(rows: Rows, learned: np.ndarray, model: str, seed: int) -> tuple[Any, tuple[float, ...]]:
    """Return the parts of a surrogate, and the factor of the intervals of each target."""
    if rows.features == (VOLUME,):
        from nmcdist.learning.cnn import Net

        net = Net.fit(rows.x, learned, rows.groups, seed)
        return (net,), tuple(_factor(r, v) for r, v in zip(*(a.T for a in net.left_out), strict=True))
    parts, factors = [], []
    for y in learned.T:
        known = np.isfinite(y)
        own, values = rows.part(known), y[known]
        whole = _regression(model, own, values)
        parts.append(whole)
        factors.append(_factor(*_residuals(model, whole, own, values, seed)))
    return tuple(parts), tuple(factors)


def _regression(model: str, rows: Rows, y: np.ndarray, like: Any = None) -> Any:
    """Return a regression trained on rows; `like` is one of nearly the same rows."""
    if model == "product":
        fine, graphite = (experiment.learnable for experiment in experiments_of(rows))
        for each in (fine, graphite):
            if like is None and len(each.m) < FEWEST:
                raise InputError(
                    f"intervention {each.name!r}: found {len(each.m)} volumes to learn from, expected {FEWEST} or more"
                )
        return Factorised.fit(fine, graphite, like=like)
    if model == "ridge":
        return Ridge.fit(rows.x, y)
    return GaussianProcess.fit(rows.x, y, like=like, shortest=_SHORTEST * float(np.sqrt(rows.x.shape[1])))


def _residuals(
    model: str, whole: Any, rows: Rows, y: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Return the residuals of points that a regression was not trained on, and their predicted variances.

    Residuals left out one by one, with the length scales fitted to all, would be too small for few points.
    """
    names = np.random.Generator(np.random.Philox(seed)).permutation(np.unique(rows.groups))
    residuals, variances = np.full(len(y), np.nan), np.full(len(y), np.nan)
    for left_out in np.array_split(names, min(_FOLDS, len(names))):
        held = np.isin(rows.groups, left_out)
        if (~held).sum() >= FEWEST - 2:
            mean, variances[held] = _observed(_regression(model, rows.part(~held), y[~held], whole), rows.x[held])
            residuals[held] = y[held] - mean
    return residuals, variances


def _factor(residuals: np.ndarray, variances: np.ndarray) -> float:
    known = np.isfinite(residuals)
    return interval_factor(residuals[known], variances[known])


def _observed(part: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance of new values, noise included."""
    mean, variance = part.predict(x)
    return mean, variance + part.noise if isinstance(part, GaussianProcess) else variance

"""Recipes of campaigns: the space, the goal, how points are proposed, and how answers are confirmed."""

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from nmcdist.bundle import CbaParameters
from nmcdist.design.goal import Aim, Goal, Quantity, Target
from nmcdist.design.proposals import Proposer
from nmcdist.design.space import Space
from nmcdist.faults import KEYS
from nmcdist.products.design import Names
from nmcdist.products.recipe import Frozen
from nmcdist.products.volumes.additive_recipe import DERIVED, AdditiveRecipe, check_contradictions
from nmcdist.products.volumes.recipe import Fidelities, Item, StorageSpec, VolumeSpec

# Quantity of a goal -> variable and label in the store, and whether it is learned on a logarithmic scale.
QUANTITIES: dict[str, tuple[str, str, bool]] = {
    "m_factor_pore": ("m_factor_mean", "pore", False),
    "m_factor_solid": ("m_factor_mean", "solid", True),
    **{f"{name}_{phase}": (name, phase, False)
       for name in ("volume_fraction", "surface_area", "geodesic_tortuosity_mean", "constrictivity_mean", "r_max_nm")
       for phase in ("pore", "carbon_binder", "graphite", "solid")},
}  # fmt: skip

_LARGEST = 1e9  # of quantities that are no shares


def largest_value(name: str) -> float:
    """Return the largest value that a quantity of a goal can have."""
    return 1.0 if name.startswith(("m_factor", "volume_fraction", "constrictivity")) else _LARGEST


Range = Annotated[tuple[float, ...], Field(min_length=2, max_length=2)]


class SpaceSpec(Frozen):
    """Ranges of the parameters that a campaign may choose."""

    parameters: Annotated[dict[str, list[float]], Field(min_length=1, max_length=8)] = Field(
        description="Lowest and highest value of each parameter.",
        json_schema_extra={KEYS: [*DERIVED, *CbaParameters.model_fields]},
    )
    logarithmic: Names = Field(default=(), description="Parameters that are searched in their logarithm.")

    @model_validator(mode="after")
    def _ranges_are_possible(self) -> Self:
        for name, ends in self.parameters.items():
            if len(ends) != 2 or not ends[0] < ends[1]:
                raise ValueError(f"parameters.{name}: found {ends}, expected [lowest, highest]")
            if name in DERIVED and not 0 < ends[0] < ends[1] < 1:
                raise ValueError(f"parameters.{name}: found {ends}, expected numbers in (0, 1)")
        check_contradictions(self.parameters, "parameters.")
        for name in self.logarithmic:
            if name not in self.parameters or self.parameters[name][0] <= 0:
                raise ValueError(f"logarithmic: found {name!r}, expected parameters of the space with a range above 0")
        return self

    @property
    def space(self) -> Space:
        """The ranges as a unit cube."""
        names = tuple(self.parameters)
        low, high = zip(*self.parameters.values(), strict=True)
        return Space(names, low, high, tuple(name in self.logarithmic for name in names))


class TargetSpec(Frozen):
    """A value that a quantity shall have."""

    value: float = Field(description="Wanted value.")
    tolerance: Annotated[float, Field(gt=0)] | None = Field(default=None, description="Absolute tolerance.")
    relative: Annotated[float, Field(gt=0, le=10)] | None = Field(
        default=None, description="Tolerance as a share of the value; the default is 0.1."
    )

    @model_validator(mode="after")
    def _has_one_tolerance(self) -> Self:
        if self.tolerance is not None and self.relative is not None:
            raise ValueError("relative: found one beside a tolerance, expected one of them")
        return self

    def target(self, quantity: Quantity) -> Target:
        """Return the target, with the tolerance that its scale takes."""
        share = 0.1 if self.relative is None and self.tolerance is None else self.relative
        if quantity.is_log:
            return Target(quantity, self.value, (self.tolerance or 0.0) / self.value if share is None else share)
        return Target(quantity, self.value, (self.tolerance or 0.0) if share is None else share * abs(self.value))


class GoalSpec(Frozen):
    """What the material shall do."""

    targets: dict[str, TargetSpec] = Field(
        default={}, description="Quantities with their wanted values.", json_schema_extra={KEYS: list(QUANTITIES)}
    )
    pareto: dict[str, Literal["maximise", "minimise"]] = Field(
        default={}, description="Quantities to maximise or minimise at once: the answers trade one for the other.",
        json_schema_extra={KEYS: list(QUANTITIES)},
    )  # fmt: skip

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        if bool(self.targets) == bool(self.pareto):
            raise ValueError("targets: expected targets or a pareto goal, and not both")
        for where, names in (("targets", self.targets), ("pareto", self.pareto)):
            for name in names:
                if name not in QUANTITIES:
                    raise ValueError(f"{where}.{name}: unknown quantity, expected one of {', '.join(QUANTITIES)}")
        if len(self.pareto) == 1:
            raise ValueError("pareto: found one quantity, expected at least two")
        for name, target in self.targets.items():
            if target.value <= 0:
                raise ValueError(f"targets.{name}.value: found {target.value:g}, expected a number above 0")
            if target.value > largest_value(name):
                raise ValueError(
                    f"targets.{name}.value: found {target.value:g}, expected at most {largest_value(name):g}"
                )
        return self

    @property
    def goal(self) -> Goal:
        """The goal, as proposals take it."""
        if self.targets:
            return tuple(spec.target(quantity(name)) for name, spec in self.targets.items())
        return tuple(Aim(quantity(name), direction) for name, direction in self.pareto.items())

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the quantities."""
        return tuple(self.targets or self.pareto)


def quantity(name: str) -> Quantity:
    """Return a quantity of a goal."""
    return Quantity(name, QUANTITIES[name][2])


class ProposerSpec(Frozen):
    """How points are proposed."""

    kind: Literal["sobol", "thompson"] = Field(
        default="sobol",
        description="`sobol`: one evenly spread design, then an emulator. `thompson`: after `initial` points of it, "
        "each point is the best of a random draw of the emulator.",
    )
    initial: Annotated[int, Field(ge=8, le=2000)] = Field(
        default=16, description="Evaluations of the first design, after which an unreachable target is refused."
    )
    lag: Annotated[int, Field(ge=0, le=1000)] = Field(
        default=8, description="A proposal waits for all results but so many last ones; at least the number of workers."
    )


class ConfirmSpec(Frozen):
    """How answers are confirmed."""

    answers: Annotated[int, Field(ge=1, le=20)] = Field(default=1, description="Number of answers.")
    realisations: Annotated[int, Field(ge=3, le=1000)] = Field(
        default=12, description="Fresh realisations of each answer."
    )
    volume: VolumeSpec | None = Field(
        default=None, description="Their size; default: that of the evaluations, at the voxels of `fidelities`."
    )


class CampaignRecipe(AdditiveRecipe):
    """A campaign that looks for the additive with wanted properties."""

    kind: Literal["campaign"] = "campaign"  # type: ignore[assignment]
    space: SpaceSpec = Field(description="Ranges of the parameters.")
    goal: GoalSpec = Field(description="What the material shall do.")
    proposer: ProposerSpec = Field(default=ProposerSpec(), description="How points are proposed.")
    evaluations: Annotated[int, Field(ge=8, le=4000)] = Field(default=64, description="Number of evaluated points.")
    fidelities: Fidelities = Field(
        default=(),
        description="One finer voxel size, at which the goal holds: some evaluations are drawn again with it, and "
        "correct all of them.",
    )
    confirm: ConfirmSpec = Field(default=ConfirmSpec(), description="How answers are confirmed.")
    storage: StorageSpec = Field(default=StorageSpec(volumes=False), description="Volumes are not stored.")

    @model_validator(mode="after")
    def _is_a_campaign(self) -> Self:
        for name in ("sweep", "design"):
            if getattr(self, name):
                raise ValueError(f"{name}: found one, expected none: a campaign chooses its points")
        if self.interventions:
            raise ValueError("interventions: found some, expected none: a campaign learns from full volumes; the "
                             "bundle of an answer takes them in a recipe of volumes")  # fmt: skip
        if self.storage.volumes:
            raise ValueError("storage.volumes: found true, expected false: a campaign stores descriptors")
        if self.descriptors is None:
            raise ValueError("descriptors: found none, expected options: a campaign needs its quantities")
        transport = [name for name in self.goal.names if name.startswith("m_factor")]
        if transport and not self.descriptors.transport:
            raise ValueError(f"descriptors.transport: found false, expected true for {transport[0]}")
        if self.proposer.initial > self.evaluations:
            raise ValueError(f"proposer.initial: found {self.proposer.initial}, expected at most the evaluations, "
                             f"{self.evaluations}")  # fmt: skip
        return self

    @model_validator(mode="after")
    def _its_fidelity_is_finer(self) -> Self:
        if len(self.fidelities) > 1:
            raise ValueError(f"fidelities: found {len(self.fidelities)}, expected at most one, that of the goal")
        for fidelity in self.fidelities:
            if fidelity.voxel_size_nm > self.volume.voxel_size_nm:
                raise ValueError(f"fidelities.0.voxel_size_nm: found {fidelity.voxel_size_nm:g}, expected less than "
                                 f"volume.voxel_size_nm, {self.volume.voxel_size_nm:g}")  # fmt: skip
        return self

    @property
    def proposer_of_points(self) -> Proposer:
        """How points are chosen."""
        p = self.proposer
        return Proposer(self.space.space, self.goal.goal, p.kind, p.initial, p.lag, self.seed)

    @property
    def varied(self) -> tuple[str, ...]:
        """Names of the parameters of the space."""
        return tuple(self.space.parameters)

    @property
    def points(self) -> int:
        """Number of evaluated points and answers."""
        return self.evaluations + self.confirm.answers

    @property
    def first_fidelity_samples(self) -> int:
        """Number of volumes of evaluations; those that are drawn again follow, then those of answers."""
        return self.evaluations * self.realisations

    @property
    def first_confirmation(self) -> int:
        """Number of the first item that confirms an answer."""
        return super().samples

    @property
    def samples(self) -> int:
        """Number of volumes."""
        return self.first_confirmation + self.confirm.answers * self.confirm.realisations

    @property
    def specs(self) -> tuple[VolumeSpec, ...]:
        """Voxels of the evaluations, of those that are drawn again, and of the confirmations."""
        found = super().specs
        return (*found, self.confirm.volume or found[-1])

    def pairs(self, points: int) -> np.ndarray:
        """Return the volumes of the first points that are drawn again, and the items that do so, shape (pairs, 2)."""
        if not self.fidelities:
            return np.zeros((0, 2), np.int64)
        coarse = self._partners(0)
        both = np.column_stack([coarse, self.first_fidelity_samples + np.arange(len(coarse))])
        return np.asarray(both[coarse < points * self.realisations])

    def item(self, number: int) -> Item:
        """Return what an item is: fidelity 0 is an evaluation, the last one a confirmation."""
        rest = number - self.first_confirmation
        if rest < 0:
            return super().item(number)
        count = self.confirm.realisations
        return Item(self.evaluations + rest // count, rest % count, len(self.specs) - 1, number)

    def items(self) -> np.ndarray:
        """Return the table of all items; see :meth:`VolumeRecipe.items`."""
        return np.array([self.item(number) for number in range(self.samples)])

    def streams(self) -> np.ndarray:
        """Return the index of the random streams of each item."""
        return np.asarray(self.items()[:, 3])

    def stream_of(self, number: int) -> int:
        """Return the index of the random streams: each item is a fresh realisation, or that of its partner."""
        return self.item(number).partner

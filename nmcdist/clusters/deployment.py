"""The deployment file: where a run is computed, checked against the kind of cluster that it names."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError, field_validator, model_validator

from nmcdist.clusters.cluster import cluster_named, cluster_of, kinds
from nmcdist.clusters.fields import DeploymentFields
from nmcdist.errors import RecipeError
from nmcdist.faults import fault_lines, proposal
from nmcdist.wording import shown
from nmcdist.yaml_text import load_yaml


class Deployment(DeploymentFields):
    """A deployment file: where the workers are, how many, and how large each is.

    On this machine, fields that are left out are chosen to fit the run. A field that a kind does not accept is refused.
    """

    @field_validator("kind", mode="before")
    @classmethod
    def _known_kind(cls, value: Any) -> Any:
        if value not in kinds():
            raise ValueError(f"found {shown(value)}{proposal(str(value), kinds())}")
        return value

    @model_validator(mode="after")
    def _suits_its_kind(self) -> "Deployment":
        faults = [*self._unfit(), *cluster_of(self).faults(self)]
        if faults:
            raise ValueError("\n".join(faults))
        return self

    def _unfit(self) -> list[str]:
        """Return one line for each field that the kind does not accept, or that it requires and lacks."""
        cluster, takes = cluster_of(self), {kind: cluster_named(kind).takes for kind in kinds()}
        given = [name for name in type(self).model_fields if name in self.model_fields_set]
        strange = [name for name in given if name not in cluster.takes and getattr(self, name) is not None]
        others = {name: ", ".join(kind for kind in takes if name in takes[kind]) for name in strange}
        return [f"{name}: not accepted by kind {self.kind}, only by {others[name]}" for name in strange] + [
            f"{name}: missing, needed by kind {self.kind}" for name in cluster.needs if getattr(self, name) is None
        ]


def load_deployment(path: str | Path | None = None, **overrides: Any) -> Deployment:
    """Read a deployment file; command-line options override it.

    Raises
    ------
    RecipeError
        One line per error in the file or in the overrides.
    """
    content: dict[str, Any] = {}
    if path is not None:
        content = load_yaml(path, RecipeError)
        if "kind" not in content:
            raise RecipeError(f"{path}: kind: missing, expected one of {', '.join(kinds())}")
    content = {**content, **{name: value for name, value in overrides.items() if value is not None}}
    try:
        return Deployment.model_validate(content)
    except ValidationError as error:
        raise RecipeError("\n".join(fault_lines(error, str(path or "cluster"), Deployment))) from None

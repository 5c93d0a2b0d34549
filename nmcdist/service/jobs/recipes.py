"""Recipes over HTTP: JSON or YAML of bounded size and depth, without paths, planned and compared with the quotas."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmcdist.bundle import Bundle, list_bundles, load_bundle
from nmcdist.clusters.deployment import Deployment
from nmcdist.datasets.files import readable_bytes
from nmcdist.datasets.recipes_catalog import RecipeCatalog
from nmcdist.errors import NmcdistError, RecipeError
from nmcdist.faults import proposal
from nmcdist.json_text import parsed_json
from nmcdist.products.memory import PROCESS
from nmcdist.products.plan import Plan
from nmcdist.products.recipe import BaseRecipe
from nmcdist.products.registry import kind_of, make_plan, parsed_recipe
from nmcdist.service.settings import JobSettings
from nmcdist.wording import shown
from nmcdist.yaml_text import DEPTH_LIMIT, parsed_yaml

BUNDLES = "bundles"  # in the folder of the queue: one folder for each registered bundle
_CORE_S_PER_BYTE = 1.2e-7  # of a task's memory: volumes of 400^3 voxels with all descriptors take this long
_CORE_S_PER_TASK = 0.5
_TITLE = "title"  # the only text that may hold a slash


@dataclass(frozen=True)
class Submission:
    """A recipe that may be queued.

    Attributes
    ----------
    recipe : BaseRecipe
    bundle : Bundle
    plan : Plan
    """

    recipe: BaseRecipe
    bundle: Bundle
    plan: Plan

    @property
    def core_hours(self) -> float:
        """Core hours of the run, estimated from above by the memory of its tasks."""
        return core_hours(len(self.plan.tasks), self.plan.task_bytes)

    def described(self) -> dict[str, Any]:
        """Return the plan as plain data, without any path on this machine."""
        plan = self.plan
        return {
            "name": self.recipe.name,
            "version": self.recipe.version,
            "title": self.recipe.title,
            "kind": self.recipe.kind,
            "bundle": self.recipe.bundle,
            "bundle_sha256": plan.bundle_hash,
            "recipe_sha256": self.recipe.content_hash,
            "items": self.recipe.samples,
            "tasks": len(plan.tasks),
            "files": plan.layout.file_count,
            "bytes": plan.stored_bytes,
            "task_bytes": plan.task_bytes,
            "workers": plan.resources.workers,
            "cores": plan.resources.processes * plan.resources.threads,
            "core_hours": round(self.core_hours, 4),
            "facts": plan.facts(),
        }


def core_hours(tasks: int, task_bytes: int) -> float:
    """Return an upper estimate of the core hours of a run."""
    return tasks * (_CORE_S_PER_TASK + _CORE_S_PER_BYTE * max(0, task_bytes - PROCESS)) / 3600


def bundle_names(folder: Path) -> list[str]:
    """Return the names that recipes may give as their bundle: the built-in ones, and folders of registered ones."""
    registered = (path.parent.name for path in (folder / BUNDLES).glob("*/bundle.json"))
    return sorted({*list_bundles(), *registered})


def templates() -> list[dict[str, str]]:
    """Return the recipes of the package by name: their titles and their YAML."""
    return [
        {"name": entry.name, "title": str(entry.metadata["title"]), "yaml": entry.recipe.read_text()}
        for entry in RecipeCatalog().values()
    ]


def parsed(text: str, *, is_yaml: bool) -> Any:
    """Return the plain data in a recipe's text; RecipeError if it is malformed or nested too deeply."""
    if is_yaml:
        return parsed_yaml(text, "recipe", RecipeError)
    content = parsed_json(text, "recipe", RecipeError)
    _check_depth(content)
    return content


def submission_of(content: Any, settings: JobSettings, deployment: Deployment) -> Submission:
    """Return a recipe with its bundle and its plan.

    Parameters
    ----------
    content : JSON value
        As :func:`parsed` returns it.
    settings : JobSettings
    deployment : Deployment
        Where jobs run.

    Raises
    ------
    NmcdistError
        If it is malformed, names a path or an unknown bundle, describes an impossible run, or exceeds a quota.
    """
    _refuse_paths(content)
    bundle = _bundle(content, settings.folder)
    recipe = parsed_recipe(content, "recipe")
    if kind_of(recipe).reads_files:
        raise RecipeError(f"recipe: kind: found {recipe.kind!r}, which reads files, expected a kind that draws")
    plan = make_plan(recipe, bundle, settings.folder, deployment, effort="least")
    _check_quotas(Submission(recipe, bundle, plan), settings)
    if not plan.is_exact:
        plan = make_plan(recipe, bundle, settings.folder, deployment, effort="estimate")
    found = Submission(recipe, bundle, plan)
    _check_quotas(found, settings)
    plan.validate()
    return found


def _check_depth(content: Any) -> None:
    """Refuse what is nested more deeply than a recipe file may be."""
    level = [content]
    for _ in range(DEPTH_LIMIT + 1):
        level = [part for value in level for part in _parts(value)]
        if not level:
            return
    raise RecipeError(f"recipe: found more than {DEPTH_LIMIT} objects and lists inside each other")


def _refuse_paths(content: Any) -> None:
    """Refuse text that could be a path, wherever it is; no field of a recipe but its bundle takes one."""
    for name, text in _texts(content, ""):
        if name != _TITLE and (("/" in text) or ("\\" in text) or text in (".", "..")):
            raise RecipeError(f"recipe: {name or 'a name'}: found {shown(text)}, expected no path")


def _texts(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """Yield every text with the field that holds it; names of fields, too."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield "", key
            yield from _texts(part, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part, f"{name}[]")


def _parts(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    return value if isinstance(value, list) else []


def _bundle(content: Mapping[str, Any], folder: Path) -> Bundle:
    """Load the bundle that a recipe names; only registered names, so that nothing else of this machine is read."""
    name, known = content.get("bundle"), bundle_names(folder)
    if not isinstance(name, str) or name not in known:
        meant = proposal(name if isinstance(name, str) else "", known)
        raise RecipeError(f"recipe: bundle: found {shown(name)}, which is not registered{meant}")
    further = content.get("neural")
    if further is not None and further not in list_bundles():
        raise RecipeError(f"recipe: neural: found {shown(further)}, expected a built-in bundle")
    return load_bundle(name if name in list_bundles() else folder / BUNDLES / name)


def _check_quotas(found: Submission, settings: JobSettings) -> None:
    if found.plan.stored_bytes > settings.job_bytes:
        raise RecipeError(
            f"recipe: the store needs about {readable_bytes(found.plan.stored_bytes)}, expected at most "
            f"{readable_bytes(settings.job_bytes)}"
        )
    if found.core_hours > settings.core_hours:
        raise RecipeError(
            f"recipe: the run needs up to {found.core_hours:.3g} core hours, expected at most {settings.core_hours:.3g}"
        )


def in_one_line(error: NmcdistError, folder: Path) -> str:
    """Return an error without the folders of this machine."""
    return without_folder("; ".join(str(error).splitlines()), folder)


def without_folder(text: str, folder: Path) -> str:
    """Return text without the path of the folder of the queue."""
    return text.replace(f"{folder}/", "").replace(str(folder), "the queue")

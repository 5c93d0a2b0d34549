"""Tables of the reference pages, made from the models when the site is built.

A page has a line such as ``<!-- table: recipes -->`` where a table belongs; `TABLES` says which there are.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel

from nmcdist.calibration.segmenter.recipe import SegmenterRecipe
from nmcdist.clusters.cluster import cluster_named
from nmcdist.clusters.cluster import kinds as cluster_kinds
from nmcdist.clusters.deployment import Deployment
from nmcdist.datasets.export.formats import markdown_table
from nmcdist.learning.recipe import SurrogateRecipe
from nmcdist.learning.refine.recipe import SuperresRecipe
from nmcdist.products.kind import Kind
from nmcdist.products.registry import kinds

_MARK = re.compile(r"^<!-- table: (\w+) -->$", re.MULTILINE)
_BOUNDS = {
    "minimum": "at least {}", "exclusiveMinimum": "more than {}", "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
}  # fmt: skip
_TYPES = {
    "string": "text", "number": "number", "integer": "integer", "boolean": "true or false", "object": "mapping",
    "array": "list", "null": "none",
}  # fmt: skip
_LARGE = 2**32  # from here on a bound reads better as a power


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put tables where a page asks for them; MkDocs calls this for each page."""
    return _MARK.sub(lambda mark: TABLES[mark[1]](), markdown)


def recipes() -> str:
    """Return a section for each kind of dataset, with every key of its recipes."""
    return "\n".join(_section(kind) for _, kind in sorted(kinds().items()))


def deployments() -> str:
    """Return every key of deployment files, and which kinds of cluster take it."""
    takes = {name: cluster_named(name) for name in cluster_kinds()}
    rows = []
    for key, kind, default, bounds, text in _keys(Deployment.model_json_schema()):
        users = [name for name, cluster in takes.items() if key in cluster.takes]
        needs = [f"`{name}`" for name, cluster in takes.items() if key in cluster.needs]
        by = "all" if len(users) == len(takes) else ", ".join(f"`{name}`" for name in users)
        rows.append((f"`{key}`", kind, default, bounds, text, by, ", ".join(needs)))
    return _table(("key", "type", "default", "bounds", "meaning", "taken by", "needed by"), rows)


def surrogates() -> str:
    """Return every key of the recipe of a surrogate."""
    return _training(SurrogateRecipe)


def superres() -> str:
    """Return every key of the recipe of a net for super-resolution."""
    return _training(SuperresRecipe)


def _training(recipe: type[BaseModel]) -> str:
    rows = [(f"`{key}`", *cells) for key, *cells in _keys(_schema(recipe))]
    return _table(("key", "type", "default", "bounds", "meaning"), rows)


def segmenters() -> str:
    """Return every key of the recipe of a segmenter."""
    rows = [(f"`{key}`", *cells) for key, *cells in _keys(_schema(SegmenterRecipe))]
    return _table(("key", "type", "default", "bounds", "meaning"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "recipes": recipes, "deployments": deployments, "formats": markdown_table, "surrogates": surrogates,
    "superres": superres,
    "segmenters": segmenters,
}  # fmt: skip


def described_keys(model: type[BaseModel]) -> dict[str, str]:
    """Return what every key of a model means, also of its parts."""
    return {key: text for key, *_, text in _keys(_schema(model))}


def _section(kind: Kind) -> str:
    known = f"Known by the key `{kind.own_field}`, or by `kind: {kind.name}`." if kind.own_field else ""
    rows = [(f"`{key}`", *cells) for key, *cells in _keys(_schema(kind.recipe))]
    table = _table(("key", "type", "default", "bounds", "meaning"), rows)
    return f"## Kind `{kind.name}`\n\n{kind.recipe.__doc__ or ''} {known}\n\n{table}"


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schema of a model; a field that it overrides without a description keeps the one before."""
    schema = model.model_json_schema()
    for name, field in schema["properties"].items():
        parents = (parent.model_fields.get(name) for parent in model.__mro__ if issubclass(parent, BaseModel))
        field.setdefault("description", next((p.description for p in parents if p and p.description), ""))
    return schema


def _keys(schema: dict[str, Any], part: dict[str, Any] | None = None, before: str = "") -> Iterator[tuple[str, ...]]:
    """Yield key, type, default, bounds and meaning of each key, those of a part after the part itself."""
    part = part or schema
    for name, field in part["properties"].items():
        choices = list(_choices(schema, field))
        inner = next((choice for choice in choices if "properties" in choice), None)
        entry = next((_part_of_list(schema, choice) for choice in choices if "$ref" in choice.get("items", {})), None)
        needed = name in part.get("required", ())
        default = "required" if needed else _default(field, inner)
        kind = " or ".join(dict.fromkeys(_type(choice) for choice in choices if choice.get("type") != "null"))
        yield f"{before}{name}", kind, default, _bounds_of(choices), field.get("description", "")
        if part_of_field := inner or entry:
            yield from _keys(schema, part_of_field, f"{before}{name}.")


def _choices(schema: dict[str, Any], field: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what a field may be, each without references."""
    if "anyOf" in field:
        for choice in field["anyOf"]:
            yield from _choices(schema, choice)
    elif "$ref" in field:
        yield {**schema["$defs"][field["$ref"].rpartition("/")[2]], **field}
    else:
        yield field


def _part_of_list(schema: dict[str, Any], field: dict[str, Any]) -> dict[str, Any]:
    """Return the part that each entry of a list is."""
    (entry,) = _choices(schema, field["items"])
    return entry


def _type(field: dict[str, Any]) -> str:
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if "$ref" in field:
        return "mapping"
    kind = _TYPES[field["type"]]
    if "prefixItems" in field:
        return f"list of {len(field['prefixItems'])} {_type(field['prefixItems'][0])}s"
    if "items" in field:
        inner = _type(field["items"])
        return f"list of {inner}" if "`" in inner or inner == "text" else f"list of {inner}s"
    if isinstance(field.get("additionalProperties"), dict):
        return f"mapping of a name to a {_type(field['additionalProperties'])}"
    return kind


def _default(field: dict[str, Any], inner: dict[str, Any] | None) -> str:
    value = field.get("default")
    if value is None:
        return "none"
    if inner and isinstance(value, dict):
        return "as below"
    if field.get("type") == "string" and isinstance(value, int):  # a time, which is read as text with its unit
        return f"`{value}s`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, list):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value}`"


def _bounds_of(choices: list[dict[str, Any]]) -> str:
    return "; ".join(dict.fromkeys(text for choice in choices for text in _bounds(choice)))


def _bounds(field: dict[str, Any]) -> Iterator[str]:
    for name, words in _BOUNDS.items():
        if name in field:
            yield words.format(_plain(field[name]))
    if field.get("type") == "array" and "prefixItems" not in field:
        least, most = field.get("minLength", field.get("minItems", 0)), field.get("maxLength", field.get("maxItems"))
        if most is not None:
            yield f"{least} to {most} values"
    elif field.get("type") == "string" and "maxLength" in field:
        yield f"at most {field['maxLength']} characters"
    inner = field.get("items", next(iter(field.get("prefixItems", ())), None)) or field.get("additionalProperties")
    if isinstance(inner, dict):
        yield from (text if text.endswith("values") else f"each {text}" for text in _bounds(inner))


def _plain(number: float) -> str:
    if number >= _LARGE and float(number).is_integer() and int(number) & (int(number) - 1) == 0:
        return f"2^{int(number).bit_length() - 1}"
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |" for cells in lines) + "\n"

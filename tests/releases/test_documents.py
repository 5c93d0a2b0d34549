"""What a release says of itself, read by the programs that others read it with."""

import hashlib
import json
import re
import subprocess
import sys
import warnings
from pathlib import Path

import jsonschema
import pytest
import yaml

from nmcdist.products.registry import load_recipe
from nmcdist.releases import open_release

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "tests/data/datacite/datacite-v4.5.json"


@pytest.fixture(scope="module", params=["volumes", "particles"])
def folder(request, published_once, particle_release):
    """A release of each kind, which no test changes."""
    return published_once / "tiny/1.0.0" if request.param == "volumes" else particle_release


def content(folder, name):
    return json.loads((folder / name).read_text())


def test_datacite_metadata_fits_the_schema_of_datacite(folder):
    found = content(folder, "datacite.json")
    validator = jsonschema.Draft201909Validator(json.loads(SCHEMA.read_text()))
    assert [error.message for error in validator.iter_errors(found)] == []
    assert found["creators"][0]["familyName"] == "Carberry"
    assert found["rightsList"][0]["rightsIdentifier"] == "CC-BY-4.0"
    wrong = found | {"creators": [{"title": "Dr"}]}
    assert not validator.is_valid(wrong)  # the schema does look at creators


def test_croissant_reads_the_description_without_a_complaint(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own packages
        import mlcroissant

        found = mlcroissant.Dataset(folder / "croissant.json").metadata
    assert not found.ctx.issues.errors and not found.ctx.issues.warnings
    release = open_release(folder)
    assert (found.name, found.version) == (release.title, release.version)
    assert [str(version) for version in found.conforms_to] == ["http://mlcommons.org/croissant/1.1"]
    files = {one.id: one.sha256 for one in found.distribution if hasattr(one, "sha256")}
    assert files[f"{release.store}/manifest.json"] == release.manifest_sha256


def test_the_description_names_the_unit_of_every_variable(folder):
    found = content(folder, "croissant.json")
    assert found["@type"] == "Dataset" and found["@context"]["@vocab"] == "https://schema.org/"
    units = {one["name"]: one.get("unitText") for one in found["variableMeasured"]}
    release = open_release(folder)
    assert units == {v.name: v.units or None for v in release.variables}
    measured = {v.name for v in release.variables if v.units}
    assert {"tau_eff"} <= measured or {"shell_d_max_nm"} <= measured


def test_the_crate_opens_and_every_file_of_it_is_there(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from rocrate.rocrate import ROCrate

        crate = ROCrate(folder)
    release = open_release(folder)
    assert crate.root_dataset["name"] == release.title
    assert [creator["name"] for creator in crate.root_dataset["creator"]] == [c.name for c in release.creators]
    parts = [part.id for part in crate.root_dataset["hasPart"]]
    assert f"{release.store}/" in parts
    assert all((folder / part).exists() for part in parts)
    (action,) = [entity for entity in crate.get_entities() if entity.type == "CreateAction"]
    assert action["instrument"]["version"] == release.provenance.versions.nmcdist


def test_zenodo_gets_what_its_deposits_take(folder):
    """Fields and values of https://developers.zenodo.org/#representation."""
    found = content(folder, ".zenodo.json")
    assert found["upload_type"] == "dataset" and found["access_right"] == "open"
    assert found["license"] == "cc-by-4.0"
    assert found["creators"][0] == {
        "name": "Carberry, Josiah", "orcid": "0000-0002-1825-0097", "affiliation": "Brown University",
    }  # fmt: skip
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", found["publication_date"])
    assert all(one["relation"] == "references" for one in found["related_identifiers"])


def test_the_papers_that_the_store_names_are_cited(folder):
    papers = open_release(folder).papers
    expected = "10.1186/s13362-025-00174-z" if open_release(folder).kind == "volumes" else "10.1038/s43246-024-00728-5"
    assert expected in papers
    assert {one["relatedIdentifier"] for one in content(folder, "datacite.json")["relatedIdentifiers"]} == set(papers)


def test_the_lines_of_the_page_open_the_store_without_this_package(folder):
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), flags=re.DOTALL)
    check = f"{code}\nimport sys\nassert 'nmcdist' not in sys.modules\nprint(ds.sel(axis='y').sizes['sample'])"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", check], cwd=folder, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) == open_release(folder).sizes.items


@pytest.mark.parametrize(
    "name", ["catalog.yaml", "tiny/1.0.0/intake.yaml", "catalog-v1.yaml", "tiny/1.0.0/intake-v1.yaml"]
)
def test_intake_opens_the_catalogs_of_both_formats(published_once, name):
    import intake
    import xarray as xr

    catalog = intake.open_catalog(str(published_once / name))
    entries = ["tiny", "tiny-1.0.0"] if name.startswith("catalog") else ["tiny"]
    assert sorted(catalog) == entries
    for entry in entries:
        data = catalog[entry].to_dask()
        assert isinstance(data, xr.Dataset)
        assert data.volume.chunks is not None and int(data.volume[0, 0, 0, 0].compute()) in {0, 1, 2}


def test_a_catalog_of_format_1_names_nothing_of_this_package(published_once):
    text = (published_once / "catalog-v1.yaml").read_text()
    assert "nmcdist." not in text
    assert {source["driver"] for source in yaml.safe_load(text)["sources"].values()} == {"zarr"}


def test_the_recipe_of_a_release_is_the_recipe_of_the_store(folder):
    assert load_recipe(folder / "recipe.yaml").content_hash == open_release(folder).provenance.recipe_hash


def test_the_picture_shows_the_items(folder):
    import numpy as np
    from PIL import Image

    with Image.open(folder / "preview.png") as image:
        image.load()
        pixels = np.asarray(image)
    assert pixels.shape[2] == 3 and 200 < pixels.shape[1] <= 1700
    coloured = (pixels != 255).any(axis=2)
    assert 0.1 < coloured.mean() < 0.95
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) >= 4
    assert open_release(folder).preview in (folder / "README.md").read_text()


def test_titles_cannot_mark_up_the_page():
    from nmcdist.releases.documents.card import _plain

    assert _plain("a <script>\nb | [c](d) `e`") == r"a \<script\> b \| \[c\](d) \`e\`"


def test_descriptions_cannot_mark_up_the_page_and_keep_their_paragraphs(folder):
    from nmcdist.releases.documents import card

    text = "One <img src=x onerror=alert(1)>.\n\n# Two"
    page = card(open_release(folder).model_copy(update={"description": text}))
    assert "\nOne \\<img src=x onerror=alert(1)\\>.\n\n\\# Two\n" in page


def test_the_commands_of_the_page_work_as_they_are_written(root):
    from nmcdist.releases import pack

    release = root / "tiny/1.0.0"
    (again,) = re.findall(r"```bash\n(.*?)\n```", (release / "README.md").read_text(), flags=re.DOTALL)
    packed = pack(release)
    assert all("`nmcdist verify .`" in (folder / "README.md").read_text() for folder in (release, packed))
    (run,) = re.findall(r"```bash\n(.*?)\n```", (packed / "README.md").read_text(), flags=re.DOTALL)
    for command, place in (
        ("nmcdist verify .", release),
        ("nmcdist verify .", packed),
        (f"{again} --workers 0", release),
        (f"{run} --workers 0", packed),
    ):
        words = [sys.executable, "-W", "ignore", "-m", "nmcdist.cli", *command.split()[1:]]
        done = subprocess.run(words, cwd=place, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (command, done.stderr)
    manifest = (packed.parent / "again/tiny.zarr/manifest.json").read_bytes()
    assert hashlib.sha256(manifest).hexdigest() == open_release(release).manifest_sha256
    assert (root.parent / "again/tiny.zarr/manifest.json").read_bytes() == manifest

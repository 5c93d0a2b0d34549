"""The metadata that a person writes: what is refused, and what the store adds."""

import functools
import itertools
import random

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nmcdist.errors import ReleaseError
from nmcdist.releases import open_release, publish
from nmcdist.releases.fields import check_digit
from nmcdist.releases.model import read_metadata
from nmcdist.releases.versions import is_version, precedence
from tests.releases.conftest import METADATA


@pytest.mark.parametrize(
    "orcid", ["0000-0002-1825-0097", "0000-0001-5109-3700", "0000-0002-1694-233X", "0000-0002-9079-593X"]
)
def test_the_orcids_that_orcid_gives_as_examples_are_accepted(orcid, tmp_path):
    """https://support.orcid.org/hc/en-us/articles/360006897674"""
    found = read_metadata(
        {"license": "MIT", "creators": [{"name": "A, B", "orcid": f"https://orcid.org/{orcid}"}]}, tmp_path
    )
    assert found.creators[0].orcid == orcid


@given(st.text("0123456789", min_size=15, max_size=15), st.integers(0, 14), st.integers(1, 9))
def test_the_check_digit_finds_every_wrong_digit(digits, place, off):
    wrong = digits[:place] + str((int(digits[place]) + off) % 10) + digits[place + 1 :]
    assert check_digit(wrong) != check_digit(digits)


WRONG = [
    ({"license": "CC-BY"}, "license: found 'CC-BY', expected the SPDX id of a licence"),
    ({"license": "MIT OR Apache-2.0"}, "license: found 'MIT OR Apache-2.0'"),
    ({"license": "LicenseRef-mine"}, "license: found 'LicenseRef-mine'"),
    ({"creators": []}, "creators"),
    ({"creators": [{"name": "A, B", "orcid": "0000-0002-1825-0098"}]}, "whose last digit does not fit the others"),
    ({"creators": [{"name": "A, B", "orcid": "1234"}]}, "creators[0].orcid: found '1234', expected an ORCID such as"),
    ({"creators": [{"name": " , 12 "}]}, "creators[0].name: found ' , 12 ', expected a name with letters"),
    ({"description": "too short"}, "description"),
    ({"description": "long " * 1001}, "description"),
    ({"papers": ["doi.org/abc"]}, "papers[0]: found 'doi.org/abc', expected a DOI such as"),
    ({"url": "javascript:alert(1)"}, "url: found 'javascript:alert(1)', expected a web address"),
    ({"keyword": ["a"]}, "did you mean keywords?"),
    ({"title": "two\nlines"}, "title"),
    ({"keywords": ["a", "a"]}, "found 'a' twice"),
    ({"papers": ["10.1000/Xyz", "https://doi.org/10.1000/xYZ"]}, "papers: found '10.1000/xyz' twice"),
    (
        {"creators": [{"name": "A, B", "orcid": f"0000-0002-1694-233{digit}"} for digit in "Xx"]},
        "creators: found '0000-0002-1694-233X' twice, expected each value once",
    ),
]


@pytest.mark.parametrize(("change", "line"), WRONG, ids=lambda value: str(value)[:40])
def test_wrong_metadata_is_refused_by_field(tmp_path, change, line):
    path = tmp_path / "dataset.yaml"
    path.write_text(yaml.safe_dump({**METADATA, **change}))
    with pytest.raises(ReleaseError) as caught:
        read_metadata(None, path)
    assert line in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize("missing", ["license", "creators"])
def test_nobody_is_made_an_author_and_no_licence_is_chosen(missing, tmp_path):
    content = {name: value for name, value in METADATA.items() if name != missing}
    with pytest.raises(ReleaseError, match=f"metadata: {missing}: missing, expected for example: .*license: CC-BY-4.0"):
        read_metadata(content, tmp_path)


def test_the_example_of_the_refusal_is_accepted_and_names_are_stripped(tmp_path):
    with pytest.raises(ReleaseError, match="no such file") as caught:
        read_metadata(None, tmp_path / "dataset.yaml")
    example = yaml.safe_load(str(caught.value).partition("for example: ")[2])
    assert read_metadata(example, tmp_path).creators[0].orcid == "0000-0002-1825-0097"
    spaced = {**METADATA, "creators": [{"name": " Curie, Marie "}]}
    assert read_metadata(spaced, tmp_path).creators[0].name == "Curie, Marie"


def test_licences_and_dois_are_written_in_one_way(tmp_path):
    content = {**METADATA, "license": "cc-by-4.0", "papers": ["https://doi.org/10.1038/s43246-024-00728-5"]}
    found = read_metadata(content, tmp_path)
    assert (found.license, found.papers) == ("CC-BY-4.0", ("10.1038/s43246-024-00728-5",))


def test_what_is_not_written_comes_from_the_store(release):
    found = open_release(release)
    assert found.title == "Tiny sweep"
    assert found.description.startswith("Tiny sweep. 4 virtual volumes of the binder-conductive additive")
    assert "Made by nmcdist with seed 2025." in found.description
    year = found.created.year
    assert (
        found.citation == f"Carberry, Josiah; The nmcdist developers ({year}). Tiny sweep (version 1.0.0) [Data set]."
    )
    assert found.keywords == ("microstructure", "stochastic geometry", "volumes")
    variables = {v.name: v for v in found.variables}
    assert variables["volume"].shape == (4, 24, 20, 28) and variables["tau_eff"].units == "1"


def test_what_is_written_comes_first(store):
    written = {
        **METADATA,
        "title": "Mine",
        "description": "Words of my own. " * 5,
        "citation": "Cite this.",
        "doi": "10.5281/zenodo.1",
        "keywords": ["one"],
        "papers": ["10.1000/xyz"],
        "publisher": "Zenodo",
        "url": "https://example.org/d",
    }
    (store.parent / "dataset.yaml").write_text(yaml.safe_dump(written))
    found = open_release(publish(store, "tiny", "1.0.0"))
    assert (found.title, found.citation, found.keywords, found.doi) == (
        "Mine",
        "Cite this.",
        ("one",),
        "10.5281/zenodo.1",
    )
    assert found.description == ("Words of my own. " * 5).strip() and found.papers[0] == "10.1000/xyz"


def test_a_paper_that_the_store_names_too_is_listed_once_whatever_its_case(release, store):
    (named,) = open_release(release).papers[:1]
    found = open_release(publish(store, "tiny", "1.1.0", {**METADATA, "papers": [named.upper()]}))
    assert [paper.lower() for paper in found.papers].count(named.lower()) == 1


def test_versions_are_ordered_as_semantic_versioning_orders_them():
    """https://semver.org, item 11, with a case of each of its rules."""
    ordered = [
        "0.9.9", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
        "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0",
    ]  # fmt: skip
    shuffled = random.Random(1).sample(ordered, len(ordered))
    assert sorted(shuffled, key=precedence) == ordered
    assert all(precedence(a) < precedence(b) for a, b in itertools.pairwise(ordered))


@given(st.lists(st.tuples(*3 * [st.integers(0, 10**6)]), min_size=1))
def test_versions_of_numbers_are_ordered_as_their_numbers(numbers):
    texts = [".".join(map(str, three)) for three in numbers]
    assert all(map(is_version, texts))
    best = functools.reduce(lambda a, b: max(a, b, key=precedence), texts)
    assert best == ".".join(map(str, max(numbers)))

"""Fields of what people write about a release: persons, papers, licences, texts."""

import re
from typing import Annotated

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from pydantic import AfterValidator, BeforeValidator, Field

from nmcdist.errors import ReleaseError
from nmcdist.faults import spelt
from nmcdist.products.recipe import Line, as_tuple, each_once
from nmcdist.wording import shown

_ORCID = re.compile(r"(?:https?://orcid\.org/)?([0-9]{4}-[0-9]{4}-[0-9]{4}-[0-9]{3}[0-9Xx])")
_DOI = re.compile(r"(?:https?://(?:dx\.)?doi\.org/|doi:)?(10\.[0-9]{4,9}/[!-;=?-~]+)", re.IGNORECASE)  # no < and >
_WEB = spelt(r"https?://[!-;=?-~]+", "a web address that begins with https:// or http://")


def _orcid(text: str) -> str:
    found = _ORCID.fullmatch(text)
    if found is None:
        raise ValueError(f"found {shown(text)}, expected an ORCID such as 0000-0002-1825-0097")
    orcid = found[1].upper()
    digits = orcid.replace("-", "")
    if digits[-1] != check_digit(digits[:-1]):
        raise ValueError(f"found {shown(text)}, whose last digit does not fit the others: a typing error")
    return orcid


def checked_licence(text: str) -> str:
    """Return the SPDX id of a licence in the case of the list.

    Raises
    ------
    ReleaseError
        If it is unknown.
    """
    try:
        return _licence(text)
    except ValueError as error:
        raise ReleaseError(f"licence: {error}") from None


def check_digit(digits: str) -> str:
    """Return the check digit of an ORCID's first 15 digits (ISO 7064, MOD 11-2)."""
    total = 0
    for digit in digits:
        total = (total + int(digit)) * 2
    return "0123456789X"[(12 - total % 11) % 11]


def _doi(text: str) -> str:
    found = _DOI.fullmatch(text)
    if found is None:
        raise ValueError(f"found {shown(text)}, expected a DOI such as 10.1038/s43246-024-00728-5")
    return found[1]


def _licence(text: str) -> str:
    """Return the id of one licence in the case of the SPDX list; refuse unknown ids, and terms of several."""
    expected = "expected the SPDX id of a licence, as CC-BY-4.0, CC0-1.0 or MIT (https://spdx.org/licenses)"
    try:
        found = str(canonicalize_license_expression(text))
    except InvalidLicenseExpression:
        raise ValueError(f"found {shown(text)}, {expected}") from None
    if not re.fullmatch(r"[A-Za-z0-9.-]+", found) or found.startswith("LicenseRef-"):
        raise ValueError(f"found {shown(text)}, {expected}")
    return found


def printable(text: str) -> str:
    """Return a text without space at its ends; refuse control characters but newlines."""
    if any(not c.isprintable() and c != "\n" for c in text):
        raise ValueError(f"found {shown(text)}, expected printable text")
    return text.strip()


def each_doi_once(dois: tuple[str, ...]) -> tuple[str, ...]:
    """Return DOIs; refuse duplicates, also in other case, which means nothing in a DOI."""
    each_once(tuple(doi.lower() for doi in dois))
    return dois


def _name(text: str) -> str:
    if not any(c.isalpha() for c in text):
        raise ValueError(f"found {shown(text)}, expected a name with letters")
    return text.strip()


Orcid = Annotated[str, AfterValidator(_orcid)]
Doi = Annotated[str, AfterValidator(_doi)]
Url = Annotated[str, Field(max_length=500), _WEB]
License = Annotated[str, Field(max_length=100), AfterValidator(_licence)]
Description = Annotated[str, AfterValidator(printable), Field(min_length=50, max_length=5000)]
Sha256 = Annotated[str, spelt("[0-9a-f]{64}", "64 hexadecimal digits")]
Name = Annotated[Line, AfterValidator(_name)]
Keywords = Annotated[tuple[Line, ...], BeforeValidator(as_tuple), Field(max_length=50), AfterValidator(each_once)]
Papers = Annotated[tuple[Doi, ...], BeforeValidator(as_tuple), Field(max_length=100), AfterValidator(each_once)]

"""The names that the user gives: the address to listen on, and the names by which clients may address the service."""

import ipaddress
import re

from nmcdist.errors import InputError
from nmcdist.wording import shown

_LABEL = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?", re.IGNORECASE)
_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?", re.IGNORECASE)  # read as addresses: 0 and 0x0 as 0.0.0.0
_LONGEST = 253


def check_host_names(host: str, allowed: tuple[str, ...]) -> None:
    """Refuse names that no service can have; an empty one would listen on all networks.

    Raises
    ------
    InputError
        If one of them is no address and no name.
    """
    if not (_is_address(host) or _is_name(host)):
        raise InputError(f"--host: found {shown(host)}, expected an address such as 127.0.0.1 or a name")
    for name in allowed:
        if not (_is_address(name.removeprefix("[").removesuffix("]")) or _is_name(name)):
            raise InputError(
                f"--allow-host: found {shown(name)}, expected a name such as data.example.org, without scheme or port"
            )


def _is_name(text: str) -> bool:
    return len(text) <= _LONGEST and bool(_NAME.fullmatch(text)) and not _NUMBER.fullmatch(text)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True

"""Lines that processes of jobs print: events as JSON, and other text."""

import json
from typing import Any


def event_of(line: str) -> dict[str, Any] | None:
    """Return the event in a line of progress; None for any other line."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("event"), str) else None

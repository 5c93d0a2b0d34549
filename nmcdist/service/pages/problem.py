"""The page that says why there is no other."""

from html import escape
from http import HTTPStatus

from nmcdist.service.pages import frame
from nmcdist.wording import shortened


def problem_page(status: int, detail: str) -> str:
    """Return the page of an error.

    Parameters
    ----------
    status : int
        HTTP status.
    detail : str
        One line, of the service or of a stranger.
    """
    title = HTTPStatus(status).phrase
    body = f'<main>\n<h1>{escape(title)}</h1>\n<p class="problem">{escape(shortened(detail))}</p>\n</main>'
    return frame.page(title, f"{frame.path(('/', 'All datasets'))}\n{body}")

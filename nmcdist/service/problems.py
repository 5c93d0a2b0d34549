"""Errors of the service as responses: one line of JSON that says what was found and what was expected."""

from collections.abc import Mapping

from pydantic import BaseModel
from starlette.responses import JSONResponse

from nmcdist.wording import shortened

RETRY_S = 5


class Problem(BaseModel):
    """Why a request failed."""

    detail: str


class RequestError(Exception):
    """A request that cannot be answered.

    Parameters
    ----------
    status : int
        HTTP status.
    detail : str
        One line.
    headers : Mapping of str to str, optional
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, dict(headers or {})

    def response(self) -> JSONResponse:
        """Return the response, which no cache keeps."""
        headers = {"Cache-Control": "no-store", **self.headers}
        return JSONResponse(Problem(detail=shortened(self.detail)).model_dump(), self.status, headers)


def busy(detail: str, retry_after_s: float = RETRY_S) -> RequestError:
    """Return the error of a request that may succeed later."""
    return RequestError(503, detail, {"Retry-After": str(max(1, round(retry_after_s)))})

"""Where the client of a request is, and telling it how many of the messages that it got were near: all doors alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from swiftqueue.limits import Options, check_place
from swiftqueue.locality import Claimer

from .frontend import Request

TOLD = 'X-Queue-Local'
_CLAIMER = 'swiftqueue.claimer'  # in the environ


def claimer_of(request: Request, environ: dict[str, Any], options: Options) -> Claimer | None:
    """Who claims, if the request or the operator says where that is: X-Queue-Locality, or the option ``locality``.

    ``environ`` is that of the door. Raises Invalid.
    """
    text = request.header('X-Queue-Locality')
    place = options.locality if text is None else check_place(text)
    if place is None:
        return None
    environ[_CLAIMER] = Claimer(place)
    return environ[_CLAIMER]


def telling(environ: dict[str, Any], start_response: Callable) -> Callable:
    """The same, with a header for whoever was given messages: how many of how many have a replica where he is."""
    def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
        claimer = environ.get(_CLAIMER)
        if claimer and claimer.local + claimer.remote:
            headers = [*headers, (TOLD, f'{claimer.local}/{claimer.local + claimer.remote}')]
        return start_response(status, headers, *rest)
    return start

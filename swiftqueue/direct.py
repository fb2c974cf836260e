"""What becomes of a question to one storage server through Swift's direct client."""

from __future__ import annotations

from collections.abc import Callable
from http.client import HTTPException
from typing import Any

from eventlet import Timeout
from swift.common.exceptions import ClientException

from swiftqueue.errors import Unavailable

Node = dict[str, Any]  # as rings have it


def answer(node: Node, question: Callable[[], Any]) -> Any:
    """What the server of the node answers to the question; None to a 404. Raises Unavailable."""
    try:
        return question()
    except ClientException as error:
        if error.http_status == 404:
            return None
        reason: Any = error
    except (OSError, HTTPException, Timeout) as error:
        reason = error
    raise Unavailable(f'{node["ip"]}:{node["port"]} cannot be asked: {reason}')

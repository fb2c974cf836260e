"""The connection on which a request came: whether it is worth the while to wait with the answer.

Only eventlet's server, which Swift runs on, lets us see it. Under any other one a request waits to its end.
"""

from __future__ import annotations

from typing import Any

from eventlet import patcher
from eventlet.wsgi import STATE_CLOSE

_select = patcher.original('select')  # the one that can look without waiting
_HUNG_UP = _select.POLLRDHUP | _select.POLLHUP | _select.POLLERR | _select.POLLNVAL


def given_up(environ: dict[str, Any]) -> bool:
    """Whether the client has hung up, or the server is about to stop and waits for its last requests."""
    return _is_hung_up(environ) or _server_stops(environ)


def _is_hung_up(environ: dict[str, Any]) -> bool:
    """Nothing is read: the client may have sent its next request already."""
    stream = environ.get('eventlet.input')
    if stream is None:
        return False
    number = stream.get_socket().fileno()
    if number < 0:
        return True
    poll = _select.poll()
    poll.register(number, _HUNG_UP)
    return bool(poll.poll(0))


def _server_stops(environ: dict[str, Any]) -> bool:
    """A server that has closed its listening socket, as Swift's do on SIGHUP, marks all its connections.

    The mark is on the protocol object, and the only way there is a function that eventlet puts into the environ.
    """
    for cell in getattr(environ.get('eventlet.set_idle'), '__closure__', None) or ():
        state = getattr(cell.cell_contents, 'conn_state', None)
        if state:
            return state[2] == STATE_CLOSE
    return False

"""One process of a cluster: ``python -m swiftqueue.cluster PARENT DATA NAME PART ...``.

PARENT is the process whose end ends this one. With ``exec`` in the place of DATA, the rest of
the line is another program to become.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

from swiftqueue.cluster import ClusterError, serving

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, place, *rest = sys.argv[1:]
    die_with(int(parent))
    if place == 'exec':
        os.execv(rest[0], rest)
    try:
        serving.start(Path(place), rest[0], parts=rest[1:])
    except ClusterError as error:
        sys.exit(str(error))
    if rest[1] != 'daemons-once':
        with serving.signals_caught() as wait:
            wait()


def die_with(parent: int) -> None:
    """Have the kernel kill this process, frozen or not, when ``parent`` ends, no matter how."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit('the parent has ended already')


main()

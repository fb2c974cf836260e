"""A process of a cluster with a wrong clock: ``python skewed_clock.py FILE`` and what ``swiftqueue.cluster`` is told.

FILE holds a double: the seconds to add to the time of day. Writing another one steps the clock of the running process.
"""

import mmap
import runpy
import struct
import sys
import time

OFFSET = struct.Struct('d')


def main() -> None:
    with open(sys.argv.pop(1), 'rb') as file:
        offset = mmap.mmap(file.fileno(), OFFSET.size, access=mmap.ACCESS_READ)
    right, right_ns = time.time, time.time_ns
    # Before Swift is imported, for some of it takes the function itself.
    time.time = lambda: right() + OFFSET.unpack(offset)[0]
    time.time_ns = lambda: right_ns() + int(OFFSET.unpack(offset)[0] * 10 ** 9)
    runpy.run_module('swiftqueue.cluster', run_name='__main__')


if __name__ == '__main__':
    main()

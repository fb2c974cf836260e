"""An in-memory Swift that behaves: replicas, timestamps, tombstones, lagging listings.

`ModelSwift` is a WSGI app for the place right of our filters, `ModelCache` its memcached,
`Clock` the time of both.
"""

from .cache import ModelCache
from .clock import Clock
from .direct import Direct
from .majorities import ModelMajorities
from .primaries import ModelPrimaries
from .proxy import ModelSwift, send
from .recording import Call, Fault
from .storage import ReplicaDown

__all__ = ['Call', 'Clock', 'Direct', 'Fault', 'ModelCache', 'ModelMajorities', 'ModelPrimaries', 'ModelSwift',
           'ReplicaDown', 'send']

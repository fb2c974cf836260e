"""The embedded Swift: a real cluster for a laptop, tests and faults.

    with Cluster(path, nodes=3, replicas=3, proxies=2) as cluster:
        cluster.urls                            # one for each proxy
        cluster.process('object', 2).kill()     # and .start(), .stop(), .cont()
"""

from swiftqueue.cluster.processes import Cluster, Process
from swiftqueue.cluster.site import ClusterError, Spec

__all__ = ['Cluster', 'ClusterError', 'Process', 'Spec']

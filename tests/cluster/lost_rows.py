"""Container databases of a cluster behind Swift's back: what rows there are, and losing them."""

import logging
from contextlib import contextmanager

from swift.container.backend import ContainerBroker

from swiftqueue.names import NUL, SOURCES, queue_of


def databases(cluster, queue, kinds=('messages', 'claims')):
    """(path, broker) of every replica of the queue's containers, all that waits beside them merged.

    The list of the queues that have subscribers is of no queue, and so of each.
    """
    for path in sorted(cluster.data.glob('node*/*/containers/*/*/*/*.db')):
        broker = ContainerBroker(str(path), logger=logging.getLogger('lost_rows'))
        container = broker.get_info()['container']
        kind = container if container == SOURCES else queue_of(container) == queue and container.split(NUL)[1]
        if kind in kinds:
            yield path, broker


def rows(cluster, queue, **which):
    """Every row of every replica, of deleted objects too."""
    found = {}
    for path, broker in databases(cluster, queue, **which):
        with broker.get() as connection:
            found[path] = [tuple(row) for row in connection.execute(
                'SELECT name, created_at, size, content_type, etag, deleted, storage_policy_index '
                'FROM object ORDER BY name')]
    return found


def lose(cluster, queue, *, live_only=False, **which):
    """As if no replica had ever heard of the rows; ``live_only`` leaves what is known of deleted objects."""
    for _, broker in databases(cluster, queue, **which):
        with broker.get() as connection:
            connection.execute('DELETE FROM object' + (' WHERE deleted = 0' if live_only else ''))
            connection.commit()


@contextmanager
def dead(*processes):
    for process in processes:
        process.kill()
    try:
        yield
    finally:
        for process in processes:
            process.start()

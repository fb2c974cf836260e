"""One container on one replica: its rows, its metadata, and what a container server answers."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping
from functools import lru_cache

from swift.common.utils import Timestamp, override_bytes_from_content_type
from swift.common.utils.timestamp import decode_timestamps
from swift.container.backend import update_new_item_from_existing

from .answers import Answer
from .stamps import ZERO

_PLAIN = len(ZERO.normal)  # characters of a timestamp without an offset or further timestamps


class ContainerReplica:
    """The database of one container on one storage node.

    Rows of deleted objects are kept, so that a late row of an older PUT cannot bring them
    back; they are neither listed nor counted.
    """

    def __init__(self, created_at: Timestamp, put_timestamp: Timestamp, policy: int) -> None:
        self.created_at = created_at
        self.put_timestamp = put_timestamp
        self.delete_timestamp = ZERO
        self.policy = policy
        self.bytes_used = 0
        self.metadata: dict[str, tuple[str, Timestamp]] = {}
        self._rows: dict[str, dict] = {}
        self._shown: dict[str, dict] = {}
        self._live: list[str] = []

    @property
    def object_count(self) -> int:
        return len(self._live)

    @property
    def deleted(self) -> bool:
        """A container with rows is never deleted: a late row revives it."""
        return not self._live and self.delete_timestamp > self.put_timestamp

    @property
    def _policy_header(self) -> dict[str, str]:
        return {'X-Backend-Storage-Policy-Index': str(self.policy)}

    def put(self, timestamp: Timestamp, metadata: Mapping, policy: int | None,
            default_policy: int) -> Answer:
        """The answer to a PUT when the database is already there."""
        recreated = self.deleted
        if recreated:
            self.policy = default_policy if policy is None else policy
        elif policy not in (None, self.policy):
            return Answer(409, self._policy_header)
        self.put_timestamp = max(self.put_timestamp, timestamp)
        if self.deleted:
            return Answer(409)
        self.update_metadata(metadata, timestamp)
        return Answer(201 if recreated else 202, self._policy_header)

    def post(self, timestamp: Timestamp, metadata: Mapping) -> Answer:
        if self.deleted:
            return Answer(404)
        self.put_timestamp = max(self.put_timestamp, timestamp)
        self.update_metadata(metadata, timestamp)
        return Answer(204)

    def delete(self, timestamp: Timestamp) -> Answer:
        if self._live:
            return Answer(409)
        existed = bool(self.put_timestamp) and not self.deleted
        self.update_metadata(dict.fromkeys(self.metadata, ''), timestamp)
        self.delete_timestamp = max(self.delete_timestamp, timestamp)
        if not self.deleted:
            return Answer(409)
        return Answer(204 if existed else 404)

    def update_metadata(self, changes: Mapping, timestamp: Timestamp) -> None:
        """Last write wins, key by key; an empty value hides the key but is remembered."""
        for key, value in changes.items():
            if key not in self.metadata or timestamp > self.metadata[key][1]:
                self.metadata[key] = (value, timestamp)

    def exists(self) -> Answer:
        """:meth:`head` without most of its headers."""
        live = not self.deleted and self.put_timestamp
        return Answer(204 if live else 404, {'X-Backend-Timestamp': self.created_at.internal})

    def head(self) -> Answer:
        headers = {
            'X-Backend-Timestamp': self.created_at.internal,
            'X-Backend-Put-Timestamp': self.put_timestamp.internal,
            'X-Backend-Delete-Timestamp': self.delete_timestamp.internal,
            **self._policy_header}
        if self.deleted:
            return Answer(404, headers)
        headers.update({
            'X-Container-Object-Count': str(self.object_count),
            'X-Container-Bytes-Used': str(self.bytes_used),
            'X-Timestamp': self.created_at.normal,
            'Content-Type': 'text/plain; charset=utf-8'})
        headers.update((key, value) for key, (value, _) in self.metadata.items() if value)
        # Data that a container claims to have without ever having been PUT is not believed.
        return Answer(204 if self.put_timestamp else 404, headers)

    def merge_row(self, row: dict) -> None:
        """Take in one row; of two rows for a name the newer wins, field by field."""
        row = dict(row)
        name = row['name']
        existing = self._rows.get(name)
        if not _is_news(row, existing):
            return
        if existing is not None and not existing['deleted']:
            self.bytes_used -= existing['size']
            del self._live[bisect_left(self._live, name)]
        if not row['deleted']:
            self.bytes_used += row['size']
            insort(self._live, name)
        self._shown.pop(name, None)
        self._rows[name] = {key: row[key] for key in (
            'name', 'created_at', 'size', 'content_type', 'etag', 'deleted')}

    def names(self, marker: str = '', end_marker: str = '', prefix: str = '',
              limit: int = 10000, reverse: bool = False,
              allow_reserved: bool = True) -> list[str]:
        """Names of live rows in the order of a listing; both markers are exclusive."""
        return names_between(self._live, marker, end_marker, prefix, limit, reverse,
                             allow_reserved)

    def row(self, name: str) -> dict:
        """A row as a JSON listing shows it."""
        if name not in self._shown:
            row = self._rows[name]
            self._shown[name] = {
                'name': name, 'bytes': row['size'], 'hash': row['etag'],
                'content_type': row['content_type'], 'last_modified': _modified(row['created_at'])}
            override_bytes_from_content_type(self._shown[name])
        return self._shown[name]

    def absorb(self, other: 'ContainerReplica') -> None:
        """Take over whatever is newer on another replica, as the replicator does."""
        self.created_at = min(self.created_at, other.created_at)
        self.put_timestamp = max(self.put_timestamp, other.put_timestamp)
        self.delete_timestamp = max(self.delete_timestamp, other.delete_timestamp)
        for key, (value, timestamp) in other.metadata.items():
            self.update_metadata({key: value}, timestamp)
        for row in other._rows.values():
            self.merge_row(row)


def _is_news(row: dict, existing: dict | None) -> bool:
    """Whether the row says anything newer; completes it with what the existing one knows better."""
    if 'meta_timestamp' not in row and _is_plain(row) and (existing is None or _is_plain(existing)):
        # What the function below would find out, without taking the timestamps apart.
        return existing is None or row['created_at'] > existing['created_at']
    return update_new_item_from_existing(row, existing and dict(existing))


def _is_plain(row: dict) -> bool:
    """Whether all of the row has one timestamp, and its content type is nothing but one."""
    return len(row['created_at']) == _PLAIN and 'swift_bytes' not in row['content_type']


@lru_cache(maxsize=4096)
def _modified(created_at: str) -> str:
    return decode_timestamps(created_at)[2].isoformat


def names_between(names: list[str], marker: str, end_marker: str, prefix: str, limit: int,
                  reverse: bool, allow_reserved: bool) -> list[str]:
    """The part of some sorted names that a listing with these parameters shows."""
    if reverse:
        marker, end_marker = end_marker, marker
    start = bisect_left(names, prefix)
    stop = len(names)
    if prefix:
        stop = bisect_left(names, prefix[:-1] + chr(ord(prefix[-1]) + 1))
    if marker:
        start = max(start, bisect_right(names, marker))
    if end_marker:
        stop = min(stop, bisect_left(names, end_marker))
    if not allow_reserved:
        start = max(start, bisect_left(names, '\x01'))
    if reverse:
        return names[max(start, stop - limit):stop][::-1]
    return names[start:max(start, min(stop, start + limit))]

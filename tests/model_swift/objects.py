"""One object on one replica: the files an object server has, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import md5

from swift.common.request_helpers import (
    is_object_transient_sysmeta,
    is_sys_meta,
    is_sys_or_user_meta,
    is_user_meta,
)
from swift.common.utils import Timestamp

from .answers import Answer
from .stamps import ZERO, stamp

KEPT_HEADERS = frozenset((
    'content-disposition', 'content-encoding', 'x-delete-at', 'x-object-manifest',
    'x-static-large-object', 'cache-control', 'content-language', 'expires',
    'x-robots-tag'))
# In this order: the second kind is stored with the object and wins over the first.
OVERRIDES = ('x-backend-container-update-override-',
             'x-object-sysmeta-container-update-override-')
Headers = Mapping[str, str]  # names as HTTP writes them: X-Delete-At


@dataclass(frozen=True)
class DataFile:
    """What a PUT wrote."""

    timestamp: Timestamp
    body: bytes
    metadata: Headers


@dataclass(frozen=True)
class MetaFile:
    """What a POST wrote; it lies over the data file and is newer than it."""

    timestamp: Timestamp
    metadata: Headers
    content_type: str | None
    content_type_timestamp: Timestamp | None


@dataclass(frozen=True)
class Found:
    """What a replica knows of an object at some time."""

    live: bool
    timestamp: Timestamp
    data_timestamp: Timestamp = ZERO
    metadata: Headers = field(default_factory=dict)
    body: bytes = b''

    @property
    def newest_write(self) -> Timestamp:
        """What a PUT or DELETE must be newer than; a POST counts only once it has expired."""
        return self.data_timestamp if self.live else self.timestamp

    @property
    def delete_at(self) -> Timestamp:
        return stamp(self.metadata.get('X-Delete-At') or '0')


def make_data_file(timestamp: Timestamp, body: bytes, headers: Headers) -> DataFile:
    metadata = {key: value for key, value in headers.items() if _kept_by_put(key)}
    metadata['Content-Type'] = headers['Content-Type']
    metadata['Content-Length'] = str(len(body))
    metadata['Etag'] = md5(body, usedforsecurity=False).hexdigest()
    return DataFile(timestamp, body, metadata)


@cache
def _kept_by_put(key: str) -> bool:
    return is_sys_or_user_meta('object', key) or _kept_by_post(key)


@cache
def _kept_by_post(key: str) -> bool:
    return (is_user_meta('object', key) or is_object_transient_sysmeta(key)
            or key.lower() in KEPT_HEADERS)


@cache
def is_sysmeta(key: str) -> bool:
    return is_sys_meta('object', key)


@cache
def _override(key: str) -> tuple[int, str] | None:
    """(which kind, field of the row) of a header that asks for another row."""
    for kind, prefix in enumerate(OVERRIDES):
        if key.lower().startswith(prefix):
            return kind, key.lower()[len(prefix):].replace('-', '_')
    return None


def overridden(row: dict, headers: Headers) -> dict:
    """The row with the etag, size and content type that headers ask for instead."""
    asked = sorted((found, value) for key, value in headers.items() if (found := _override(key)))
    changes = {name: value for (_, name), value in asked}
    row.update((key, changes[key]) for key in ('etag', 'content_type') if key in changes)
    row['size'] = int(changes.get('size', row['size']))
    return row


class ObjectReplica:
    """The data file, meta file and tombstone of one name on one storage node."""

    def __init__(self) -> None:
        self.data: DataFile | None = None
        self.meta: MetaFile | None = None
        self.tombstone: Timestamp | None = None

    def look(self, at: Timestamp, open_expired: bool = False) -> Found:
        """What is here at the time of a request; expiry goes by the request's clock."""
        if self.data is None:
            return Found(False, self.tombstone or ZERO)
        metadata, timestamp = self.data.metadata, self.data.timestamp
        if self.meta is not None:
            timestamp = self.meta.timestamp
            metadata = dict(self.meta.metadata)
            metadata.update((key, value) for key, value in self.data.metadata.items()
                            if is_sysmeta(key)
                            or key in ('Etag', 'Content-Length', 'Content-Type'))
            if self.meta.content_type is not None:
                metadata['Content-Type'] = self.meta.content_type
        delete_at = metadata.get('X-Delete-At')
        live = open_expired or not delete_at or int(delete_at) > at.timestamp
        return Found(live, timestamp, self.data.timestamp, metadata, self.data.body)

    def read(self, at: Timestamp, open_expired: bool) -> Answer:
        found = self.look(at, open_expired)
        if not found.live:
            return Answer(404, {'X-Backend-Timestamp': found.timestamp.internal}
                          if found.timestamp else {})
        return Answer(200, {
            **found.metadata,
            'X-Timestamp': found.timestamp.normal,
            'X-Backend-Timestamp': found.timestamp.internal,
            'X-Backend-Data-Timestamp': found.data_timestamp.internal}, found.body)

    def refuse_put(self, timestamp: Timestamp, only_if_absent: bool) -> Answer | None:
        """412 or 409 if a PUT may not go on, None if it may.

        Nothing is locked by this: whatever happens until `put` is not seen.
        """
        found = self.look(timestamp)
        if found.live and only_if_absent:
            return Answer(412)
        if found.newest_write >= timestamp:
            return Answer(409, {'X-Backend-Timestamp': found.newest_write.internal})
        return None

    def put(self, data: DataFile) -> None:
        if self.data is None or data.timestamp >= self.data.timestamp:
            self.data = data
        self._drop_obsolete_files()

    def check_delete(self, timestamp: Timestamp,
                     if_delete_at: Timestamp | None) -> tuple[Answer, bool]:
        """What a DELETE answers, and whether it writes a tombstone."""
        found = self.look(timestamp)
        newer = found.newest_write < timestamp
        status = (204 if newer else 409) if found.live else 404
        if if_delete_at is not None:
            if not found.newest_write:
                return Answer(404), False
            if not newer:
                return Answer(409), False
            if found.delete_at != if_delete_at:
                return Answer(412), False
            status = 204
        return Answer(status, {
            'X-Backend-Timestamp': max(found.newest_write, timestamp).internal,
            'X-Backend-Content-Type': found.metadata.get('Content-Type', '')}), newer

    def delete(self, timestamp: Timestamp) -> None:
        self.tombstone = max(self.tombstone or ZERO, timestamp)
        self._drop_obsolete_files()

    def check_post(self, timestamp: Timestamp, open_expired: bool,
                   content_type: str | None) -> Answer:
        """What a POST answers; it writes only with 202."""
        found = self.look(timestamp, open_expired)
        if not found.live:
            return Answer(404)
        if found.timestamp >= timestamp:
            return Answer(409, {'X-Backend-Timestamp': found.timestamp.internal})
        sysmeta = {key: value for key, value in found.metadata.items() if is_sysmeta(key)}
        return Answer(202, {
            'X-Backend-Content-Type': content_type or found.metadata['Content-Type'], **sysmeta})

    def post(self, timestamp: Timestamp, headers: Headers) -> None:
        metadata = {key: value for key, value in headers.items() if _kept_by_post(key)}
        if headers.get('Content-Type'):
            content_type = (headers['Content-Type'], timestamp)
        elif self.meta is not None:
            content_type = (self.meta.content_type, self.meta.content_type_timestamp)
        else:
            content_type = (None, None)
        self.absorb_meta(MetaFile(timestamp, metadata, *content_type))

    def absorb_meta(self, meta: MetaFile) -> None:
        if self.meta is None or meta.timestamp >= self.meta.timestamp:
            self.meta = meta
        self._drop_obsolete_files()

    def absorb(self, other: 'ObjectReplica') -> None:
        """Take over whatever is newer on another replica, as the replicator does."""
        if other.data is not None and (
                self.data is None or other.data.timestamp > self.data.timestamp):
            self.put(other.data)
        if other.meta is not None:
            self.absorb_meta(other.meta)
        if other.tombstone is not None:
            self.delete(other.tombstone)

    def row(self, name: str) -> dict:
        """The row that a POST sends to the container for what is here now.

        It says the etag and size of the object itself, unless sysmeta overrides them: what
        only the PUT's headers asked for is not stored and cannot be repeated.
        """
        found = self.look(ZERO)
        changed = self.meta is not None and self.meta.content_type_timestamp
        return overridden({
            'name': name, 'created_at': found.data_timestamp.internal, 'deleted': 0,
            'size': int(found.metadata['Content-Length']),
            'content_type': found.metadata['Content-Type'],
            'etag': found.metadata['Etag'],
            'ctype_timestamp': (changed or found.data_timestamp).internal,
            'meta_timestamp': found.timestamp.internal}, {
                key: value for key, value in found.metadata.items() if is_sysmeta(key)})

    def _drop_obsolete_files(self) -> None:
        """Keep what is newest. On a tie a tombstone beats data, and data beats a POST."""
        if self.data is not None and self.tombstone is not None:
            if self.data.timestamp <= self.tombstone:
                self.data = None
            else:
                self.tombstone = None
        newest = self.data.timestamp if self.data is not None else self.tombstone or ZERO
        if self.meta is not None and self.meta.timestamp <= newest:
            self.meta = None


def put_row(name: str, data: DataFile, headers: Headers) -> dict:
    """The row that a PUT sends to the container."""
    return overridden({
        'name': name, 'created_at': data.timestamp.internal, 'deleted': 0,
        'size': len(data.body), 'content_type': data.metadata['Content-Type'],
        'etag': data.metadata['Etag']}, headers)


def deleted_row(name: str, timestamp: Timestamp) -> dict:
    """The row that a DELETE sends to the container."""
    return {'name': name, 'created_at': timestamp.internal, 'deleted': 1, 'size': 0,
            'content_type': 'application/deleted', 'etag': 'noetag'}

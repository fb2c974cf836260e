"""When a lost row may be written again: answers of storage servers that a small healthy cluster never gives."""

from http.client import HTTPException

import pytest
from swift.common import utils
from swift.common.exceptions import ClientException
from swift.common.header_key_dict import HeaderKeyDict
from swift.common.ring import Ring, RingBuilder
from swift.common.storage_policy import POLICIES
from swift.obj import diskfile

from swiftqueue import fsck, ids, rows
from swiftqueue.cluster.xattrs import Sidecars
from swiftqueue.errors import Unavailable
from swiftqueue.names import (
    KEPT_ROW,
    ROW,
    Envelope,
    Post,
    Record,
    claim_name,
    claims_container,
    decode_row,
    message_name,
    messages_container,
    post_name,
    published_container,
    queue_container,
    row_of,
)
from swiftqueue.rows import Fate, Place, Rows

NOW = 1795200000.0
ID = '01a1fb98-25f0-70a9-86ca-4ea8758706db'
CONTENT = Envelope('work', NOW - 100, 3600, 0, NOW + 3500).content()
MESSAGE = Place('AUTH_test', messages_container('jobs', 'g1'), message_name(ID))
POSTED = Post(((ID, Envelope('work', NOW - 100, 3600, 0, NOW + 3500)),))
CLAIM = Place('AUTH_test', claims_container('jobs', 'g1'), claim_name(ID, 1))


@pytest.fixture(scope='module')
def swift_dir(tmp_path_factory):
    """Rings of six nodes and three replicas: each object has three handoff nodes."""
    folder = tmp_path_factory.mktemp('rings')
    for kind in ('account', 'container', 'object'):
        builder = RingBuilder(4, 3, 0)
        for number in range(6):
            builder.add_dev({'region': 1, 'zone': number, 'ip': '127.0.0.1', 'port': 1000 + number,
                             'device': f'd{number}', 'weight': 1})
        builder.rebalance()
        builder.get_ring().save(str(folder / f'{kind}.ring.gz'))
    return str(folder)


class Servers:
    """Stands in for Swift's direct client. A node has what is set for it, under the object's or container's name."""

    def __init__(self):
        self.objects = {}  # device: headers of a copy, a timestamp of a tombstone, or an error to raise
        self.content = CONTENT
        self.records = ['g1', 'g1', 'g1']
        self.shards = [1, 1, 1]
        self.created_at = 0
        self.policy = '0'
        self.listed = {}  # device: headers of rows, by name
        self.silent = set()

    def head_object(self, node, partition, account, container, name, headers):
        has = self.objects.get(node['device'])
        if isinstance(has, dict):
            return HeaderKeyDict(has)
        if has is None or isinstance(has, float):
            raise ClientException('gone', http_status=404, http_headers=HeaderKeyDict(
                {} if has is None else {'X-Backend-Timestamp': f'{has:016.5f}'}))
        raise has

    def get_object(self, node, partition, account, container, name, headers):
        return self.objects[node['device']], self.content

    def head_container(self, node, partition, account, container):
        if container == queue_container('jobs'):
            generation = self.records[node['index']]
            if generation is None:
                raise ClientException('gone', http_status=404)
            return HeaderKeyDict(Record(generation, 0, NOW, {}, self.shards[node['index']],
                                        created_at=self.created_at).headers())
        return HeaderKeyDict({'X-Backend-Storage-Policy-Index': self.policy})

    def get_container(self, node, partition, account, container, headers, limit, marker='', end_marker='~', prefix=''):
        if node['device'] in self.silent:
            raise HTTPException('silent')
        names = [name for name in sorted(self.listed.get(node['device'], {}))
                 if marker < name < end_marker and name.startswith(prefix)]
        return {}, [{'name': name} for name in names[:limit]]

    def put_container_object(self, node, partition, account, container, name, headers):
        self.listed.setdefault(node['device'], {})[name] = headers


@pytest.fixture
def servers(monkeypatch, swift_dir):
    servers = Servers()
    monkeypatch.setattr(utils, 'HASH_PATH_SUFFIX', b'any')
    for name in ('head_object', 'get_object', 'head_container', 'get_container', 'put_container_object'):
        monkeypatch.setattr(rows, f'direct_{name}', getattr(servers, name))
    monkeypatch.setattr(POLICIES.get_by_index(0), 'object_ring', Ring(swift_dir, ring_name='object'))
    return servers


@pytest.fixture
def repair(swift_dir):
    return Rows(swift_dir, clock=lambda: NOW)


@pytest.fixture
def devices(servers):
    """Those of the message, primaries first."""
    ring = POLICIES.get_object_ring(0, None)
    partition, primaries = ring.get_nodes(*MESSAGE)
    return [node['device'] for node in [*primaries, *ring.get_more_nodes(partition)]]


def copy(stored_at=NOW - 100, **headers):
    return {'X-Backend-Timestamp': f'{stored_at:016.5f}', 'X-Backend-Data-Timestamp': f'{stored_at:016.5f}',
            'Content-Length': str(len(CONTENT)), 'Content-Type': 'application/json',
            'Etag': f'"{rows.md5(CONTENT).hexdigest()}"'} | headers


def written(servers, place=MESSAGE):
    """The row, which must be the same everywhere."""
    found = [has[place.name] for has in servers.listed.values()]
    assert len(found) == 3 and found[0] == found[1] == found[2]
    return found[0]


def test_a_row_is_written_to_every_container_server_as_its_post_would_have(servers, repair, devices):
    servers.objects = {devices[1]: copy()}
    assert repair.restore(MESSAGE, 0) is Fate.RESTORED
    row = written(servers)
    assert row['X-Timestamp'] == f'{NOW - 100:016.5f}' and row['X-Size'] == str(len(CONTENT))
    etag = rows.md5(CONTENT).hexdigest()
    assert row['X-Etag'] == Envelope('work', NOW - 100, 3600, 0, NOW + 3500).row(etag, 4096)[ROW]


def test_an_ack_that_went_to_a_handoff_node_counts(servers, repair, devices):
    servers.objects = {devices[0]: copy(), devices[1]: copy(), devices[4]: NOW - 50}
    assert repair.restore(MESSAGE, 0) is Fate.DELETED
    assert not servers.listed


def test_a_handoff_node_may_be_silent(servers, repair, devices):
    servers.objects = {devices[0]: copy(), devices[3]: ClientException('full', http_status=507)}
    assert repair.restore(MESSAGE, 0) is Fate.RESTORED


@pytest.mark.parametrize('error', [ClientException('unmounted', http_status=507), HTTPException('cut off'),
                                   ConnectionRefusedError()])
def test_a_primary_node_that_cannot_be_asked_stops_the_repair(servers, repair, devices, error):
    servers.objects = {devices[0]: copy(), devices[1]: copy(), devices[2]: error}
    with pytest.raises(Unavailable):
        repair.restore(MESSAGE, 0)
    assert not servers.listed


def test_a_tombstone_from_before_the_object_says_nothing(servers, repair, devices):
    servers.objects = {devices[0]: copy(), devices[1]: NOW - 200}
    assert repair.restore(MESSAGE, 0) is Fate.RESTORED


def test_of_two_copies_the_newer_makes_the_row(servers, repair, devices):
    servers.objects = {devices[0]: copy(), devices[1]: copy(NOW - 80), devices[2]: NOW - 90}
    assert repair.restore(MESSAGE, 0) is Fate.RESTORED
    assert written(servers)['X-Timestamp'] == f'{NOW - 80:016.5f}'


def test_an_object_on_none_of_its_nodes_is_not_called_deleted(servers, repair, devices):
    with pytest.raises(Unavailable, match='none of the nodes'):
        repair.restore(MESSAGE, 0)


@pytest.mark.parametrize('delete_at, fate', [(NOW - 1, Fate.EXPIRED), (NOW + 1, Fate.RESTORED)])
def test_only_what_has_not_expired_comes_back(servers, repair, devices, delete_at, fate):
    servers.objects = {devices[0]: copy(**{'X-Delete-At': str(int(delete_at))})}
    assert repair.restore(MESSAGE, 0) is fate


@pytest.mark.parametrize('stored_at, fate', [(NOW - 604800, Fate.OLD), (NOW - 604799, Fate.RESTORED)])
def test_what_is_as_old_as_tombstones_get_stays(servers, repair, devices, stored_at, fate):
    servers.objects = {devices[0]: copy(stored_at)}
    assert repair.restore(MESSAGE, 0) is fate


def test_an_object_of_another_policy_than_its_container_is_left_to_swift(servers, repair, devices):
    servers.objects = {devices[0]: copy()}
    servers.policy = '1'
    with pytest.raises(Unavailable, match='policy'):
        repair.restore(MESSAGE, 0)


def test_a_piece_of_an_erasure_coded_message_makes_a_row_of_the_whole_without_its_body(servers, repair, devices):
    servers.objects = {devices[0]: copy(**{'X-Object-Sysmeta-Ec-Etag': 'e' * 32,
                                           'X-Object-Sysmeta-Ec-Content-Length': '77'})}
    assert repair.restore(MESSAGE, 0) is Fate.RESTORED
    row = written(servers)
    assert (row['X-Etag'], row['X-Size']) == ('e' * 32, '77')
    assert decode_row(row['X-Etag']) is None


def test_damaged_content_gets_into_no_row(servers, repair, devices):
    servers.objects = {devices[0]: copy()}
    servers.content = CONTENT.replace(b'work', b'w0rk')
    assert repair.restore(MESSAGE, 0) is Fate.RESTORED
    assert decode_row(written(servers)['X-Etag']) is None


def test_what_is_kept_with_the_object_is_its_row(servers, repair):
    ring = POLICIES.get_object_ring(0, None)
    node = ring.get_nodes(*CLAIM)[1][0]
    servers.objects = {node['device']: copy(**{KEPT_ROW: 'abc; mq=e30'})}
    assert repair.restore(CLAIM, 0) is Fate.RESTORED
    assert written(servers, CLAIM)['X-Etag'] == 'abc; mq=e30'


@pytest.mark.parametrize('records, current', [(['g1'] * 3, True), (['g2'] * 3, False), ([None] * 3, False)])
def test_only_the_generation_of_the_record_is_in_use(servers, repair, records, current):
    servers.records = records
    assert repair.is_current(*MESSAGE[:2]) is current


@pytest.mark.parametrize('records', [['g1'] * 3, ['g1', 'g2', 'g1']])
def test_what_waits_for_subscribers_lives_as_long_as_its_queue(servers, repair, records):
    """A purge changes nothing, whether all replicas have heard of it or not."""
    servers.records, servers.created_at = records, NOW
    born = Record('g1', 0, NOW, {}, created_at=NOW).born
    assert repair.is_current('AUTH_test', published_container('jobs', born))
    assert not repair.is_current('AUTH_test', published_container('jobs', 'earlier'))
    servers.records = [None] * 3
    assert not repair.is_current('AUTH_test', published_container('jobs', born))


def test_the_row_of_a_post_for_subscribers_has_all_of_it(servers, repair):
    place = Place('AUTH_test', published_container('jobs', 'b'), post_name('one'))
    servers.content = POSTED.content()
    etag = rows.md5(servers.content).hexdigest()
    _, nodes = POLICIES.get_object_ring(0, None).get_nodes(*place)
    servers.objects = {nodes[0]['device']: copy(Etag=f'"{etag}"')}
    assert repair.restore(place, 0) is Fate.RESTORED
    assert written(servers, place)['X-Etag'] == row_of(servers.content, etag, 4096)[ROW]


@pytest.mark.parametrize('shards', [[4, 4, 4], [1, 4, 1]])  # a replica may have missed that the queue grew
def test_a_message_of_another_shard_gets_its_row_too(servers, repair, devices, shards):
    place = MESSAGE._replace(container=messages_container('jobs', 'g1', 3))
    servers.shards = shards
    assert repair.is_current(*place[:2])
    partition, primaries = POLICIES.get_object_ring(0, None).get_nodes(*place)
    servers.objects = {primaries[0]['device']: copy()}
    assert repair.restore(place, 0) is Fate.RESTORED
    assert repair.unlisted(*place[:2], [place.name]) == []


@pytest.mark.parametrize('records', [['g1', 'g2', 'g1'], ['g1', 'g1', None]])
def test_a_record_whose_replicas_do_not_agree_says_nothing(servers, repair, records):
    servers.records = records
    with pytest.raises(Unavailable, match='do not agree'):
        repair.is_current(*MESSAGE[:2])


def test_one_replica_that_lists_a_message_is_enough_whoever_is_silent(servers, repair):
    _, nodes = repair.ring.get_nodes(*MESSAGE[:2])
    servers.silent = {nodes[0]['device'], nodes[1]['device']}
    with pytest.raises(Unavailable):
        repair.is_listed(MESSAGE)
    with pytest.raises(Unavailable):
        repair.unlisted(*MESSAGE[:2], [MESSAGE.name])
    servers.listed = {nodes[2]['device']: {MESSAGE.name: {}}}
    assert repair.is_listed(MESSAGE)
    assert repair.unlisted(*MESSAGE[:2], [MESSAGE.name]) == []


@pytest.mark.parametrize('page', [1, 2, 3, 100])
def test_what_is_missing_is_found_page_by_page_on_all_replicas_together(servers, repair, monkeypatch, page):
    monkeypatch.setattr(rows, 'PAGE', page)
    names = [message_name(ids.floor(NOW + number)) for number in range(8)]
    _, nodes = repair.ring.get_nodes(*MESSAGE[:2])
    for node, listed in zip(nodes, (names[:4], names[3:5], names[6:]), strict=True):
        servers.listed[node['device']] = dict.fromkeys(listed)
    assert repair.unlisted(*MESSAGE[:2], names[1:7]) == [names[5]]


def test_the_least_reclaim_age_of_any_section_counts(tmp_path):
    conf = tmp_path / 'object-server.conf'
    conf.write_text('[DEFAULT]\nreclaim_age = 900\n[app:object-server]\n[object-replicator]\nreclaim_age = 800\n')
    assert rows.reclaim_age(str(conf)) == 800
    conf.write_text('[app:object-server]\n')
    assert rows.reclaim_age(str(conf)) == 604800


def test_a_file_that_cannot_be_read_is_a_problem_and_foreign_objects_are_none(tmp_path, monkeypatch):
    monkeypatch.setattr(diskfile, 'xattr', Sidecars(tmp_path / 'metadata'))
    disks = tmp_path / 'disks'
    source = Place('.swiftqueue', 'subscribed', 'AUTH_test/jobs')
    for number, name in enumerate(['/' + '/'.join(MESSAGE), '/AUTH_test/photos/cat', None, '/' + '/'.join(source),
                                   '/AUTH_test/subscribed/AUTH_test/jobs']):
        path = disks / 'd1' / 'objects' / '1' / 'abc' / str(number) / '1795200000.00000.data'
        path.parent.mkdir(parents=True)
        path.touch()
        if name:
            diskfile.write_metadata(str(path), {'name': name})
    said = []
    report = fsck.Report(said.append)
    found = list(fsck.find(fsck.Disks(str(disks), False, '', 0), report))
    assert sorted(found) == [(source, 0), (MESSAGE, 0)]
    assert source.queue == MESSAGE.queue == ('AUTH_test', 'jobs')
    assert report.problems == 1 and 'abc/2/' in said[0] and not report.clean

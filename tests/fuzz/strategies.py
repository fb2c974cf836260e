"""Requests to begin with, and how they are spoiled."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

from fuzz.oracles import Sent
from hypothesis import strategies as st
from wire.conftest import CLIENT_ID, Wire

PATCH_TYPE = 'application/openstack-messaging-v2.0-json-patch'
JOBS = '/v2/queues/jobs'
V1 = '/messaging/v1/queues/jobs'


# -- what there is before the first request --------------------------------------------------------

def make_wire(**options: Any) -> Wire:
    """A queue of the tester's with all kinds of messages, and one of a stranger's."""
    wire = Wire(signed_url_key='secret', api_versions=('2', '1.1', '1'), **options)
    wire.request(f'PUT {JOBS}', {'colour': 'red', '_max_claim_count': 2, '_dead_letter_queue': 'dead'})
    wire.request(f'POST {JOBS}/messages', {'messages': [
        {'body': 'held'}, {'body': 'free'}, {'body': 'x' * 6000}, {'body': 'late', 'delay': 60}]})
    wire.request(f'POST {JOBS}/claims?limit=1')
    wire.request(f'POST {JOBS}/messages', {'messages': [{'body': 'not for you'}]}, user='stranger')
    return wire


@cache
def known() -> dict[str, str]:
    """Names of what is in every such cloud; they are the same in all."""
    wire = make_wire()
    page = wire.request(f'GET {JOBS}/messages?echo=1&include_claimed=1&limit=3').json
    held, free, large = (message['id'] for message in page['messages'])
    shown = wire.request(f'GET {JOBS}/messages/{held}').json
    signed = wire.request(f'POST {JOBS}/share', {'methods': ['GET', 'POST', 'DELETE'],
                                                 'paths': ['messages', 'claims']}).json
    return {'held': held, 'free': free, 'large': large, 'claim': shown['href'].partition('claim_id=')[2],
            'marker': page['links'][0]['href'].rpartition('marker=')[2],
            'paths': ','.join(signed['paths']), 'methods': ','.join(signed['methods']),
            'expires': signed['expires'], 'signature': signed['signature']}


def signed_headers() -> dict[str, str]:
    names = known()
    return {'URL-Signature': names['signature'], 'URL-Expires': names['expires'], 'URL-Methods': names['methods'],
            'URL-Paths': names['paths'], 'X-Project-Id': 'test'}


# -- requests as they should be --------------------------------------------------------------------

@dataclass(frozen=True)
class Valid:
    method: str
    path: str
    query: dict[str, str]
    document: Any
    headers: dict[str, str]


@cache
def valid_requests() -> list[Valid]:
    """At least one of every verb, and none is refused."""
    names = known()
    held, free, large, claim = (names[name] for name in ('held', 'free', 'large', 'claim'))
    patch = [{'op': 'replace', 'path': '/metadata/colour', 'value': 'blue'},
             {'op': 'add', 'path': '/metadata/a~1b', 'value': {'deep': [1, 2.5, None, True]}},
             {'op': 'remove', 'path': '/metadata/_max_claim_count'}]
    metadata = {'_max_messages_post_size': 1000, '_default_message_ttl': 60, '_default_message_delay': 0,
                '_dead_letter_queue': 'dead', '_dead_letter_queue_messages_ttl': 60, '_max_claim_count': 1,
                '_enable_encrypt_messages': False, '_read_acl': 'other:stranger,.r:*', '_write_acl': 'test:guest',
                '_retry_policy': {'minimum_delay': 1, 'maximum_delay': 20, 'retry_backoff_function': 'linear'},
                'mine': ['x', {'y': -1}]}
    return [Valid(*each) for each in [
        ('GET', '/', {}, None, {}),
        ('GET', '/v2', {}, None, {}),
        ('HEAD', '/v2/ping', {}, None, {}),
        ('GET', '/v2/health', {}, None, {}),
        ('GET', '/v2/queues', {'limit': '2', 'marker': 'a', 'detailed': 'true', 'with_count': '1', 'name': 'o'}, None,
         {}),
        ('GET', '/v2/queues', {'colour': 'red'}, None, {}),
        ('PUT', '/v2/queues/more', {}, metadata, {}),
        ('GET', JOBS, {}, None, {}),
        ('PATCH', JOBS, {}, patch, {'Content-Type': PATCH_TYPE}),
        ('DELETE', JOBS, {}, None, {}),
        ('GET', f'{JOBS}/stats', {}, None, {}),
        ('POST', f'{JOBS}/share', {}, {'paths': ['messages', 'claims'], 'methods': ['GET', 'PUT'],
                                       'expires': '2030-01-01T00:00:00'}, {}),
        ('POST', f'{JOBS}/purge', {}, {'resource_types': ['messages', 'subscriptions']}, {}),
        ('POST', f'{JOBS}/messages', {}, {'messages': [{'body': {'a': ['b']}, 'ttl': 60, 'delay': 5}, {'body': 2}]},
         {}),
        ('GET', f'{JOBS}/messages', {'marker': names['marker'], 'limit': '2', 'echo': 'true', 'include_claimed': 'yes',
                                     'include_delayed': 'on', 'wait': '1'}, None, {}),
        ('GET', f'{JOBS}/messages', {'ids': f'{held},{free},{large}'}, None, {}),
        ('DELETE', f'{JOBS}/messages', {'ids': f'{held},{free}'}, None, {}),
        ('DELETE', f'{JOBS}/messages', {'ids': held, 'claim_ids': f'{claim},{claim}'}, None, {}),
        ('DELETE', f'{JOBS}/messages', {'pop': '2'}, None, {}),
        ('GET', f'{JOBS}/messages/{held}', {}, None, {}),
        ('DELETE', f'{JOBS}/messages/{held}', {'claim_id': claim}, None, {}),
        ('DELETE', f'{JOBS}/messages/{free}', {}, None, {}),
        ('POST', f'{JOBS}/claims', {'limit': '2', 'wait': '1'}, {'ttl': 60, 'grace': 60}, {}),
        ('GET', f'{JOBS}/claims/{claim}', {}, None, {}),
        ('PATCH', f'{JOBS}/claims/{claim}', {}, {'ttl': 100, 'grace': 100}, {}),
        ('DELETE', f'{JOBS}/claims/{claim}', {}, None, {}),
        ('POST', '/v1.1/queues/jobs/messages', {}, {'messages': [{'body': {'a': ['b']}, 'ttl': 60}, {'body': 2}]}, {}),
        ('GET', '/messaging/v1/queues', {'limit': '2', 'marker': 'a', 'detailed': 'true'}, None, {}),
        ('PUT', f'{V1}/metadata', {}, {'mine': ['x', {'y': -1}]}, {}),
        ('POST', f'{V1}/messages', {}, [{'body': {'a': ['b']}, 'ttl': 60}, {'body': 2, 'ttl': 60}], {}),
        ('GET', f'{V1}/messages', {'ids': f'{held},{free},{large}'}, None, {}),
        ('DELETE', f'{V1}/messages', {'ids': f'{held},{free}'}, None, {}),
        ('POST', f'{V1}/claims', {'limit': '2'}, {'ttl': 60, 'grace': 60}, {}),
        ('PATCH', f'{V1}/claims/{claim}', {}, {'ttl': 100}, {}),
    ]]


# -- hostile values --------------------------------------------------------------------------------

latin = st.text(st.characters(max_codepoint=255, exclude_characters='\n'), max_size=40)
texts = st.one_of(st.text(max_size=30), st.sampled_from([
    '', '\ud800', '\udfff\ud800', '\x00', '\r\nX-Evil: 1', '; mq=abc', '..', '/', '~2', '\ufeff', 'u\u0308', '\u0660',
    '../AUTH_other', 'AUTH_other', '\x00queue\x00jobs', 'x' * 5000, '2030-01-01', '.r:*', 'a,b', '${jndi}', '%s%n{0}']))

SEGMENTS = [
    '', '.', '..', '%2e%2e', '%252e%252e', '%00', 'jobs%00', '%0d%0aX-Evil:%201', '%0a', '%2F', '%5c', '%ff', '%C3%BC',
    'u%CC%88', '%EF%BD%8A', '%E2%80%A5', '%ED%A0%80', 'x' * 80, 'x' * 81, 'x' * 5000, '%', '%zz', '*', 'JOBS', ' jobs',
    '%20', '{queue_name}', '~', "'--", '\xff', '%00queue%00jobs', 'dead', '-', '--help', 'a,b', 'claims', 'messages',
    '%6a%6f%62%73', 'jobs;a=b', 'jobs%3Fa', 'jobs%23', '=', 'AAAA', '00000000-0000-0000-0000-000000000000']
segments = st.one_of(st.sampled_from(SEGMENTS), latin.map(lambda text: quote(text, safe='', encoding='latin-1')),
                     st.sampled_from(['held', 'free', 'claim', 'marker']).map(lambda name: known()[name]))

VALUES = ['', '0', '-1', '1', '20', '21', '1000', '9' * 19, '9' * 20, '9' * 5000, '-' + '9' * 30, 'NaN', 'inf', '1e3',
          '0x10', '1_0', '%D9%A1', '+1', ' 1', '1.0', 'true', 'maybe', '%00', '%0d%0a', '%ff', ',', ',,a', 'null',
          '%ud800']
values = st.one_of(st.sampled_from(VALUES), segments)
PARAMETERS = ['limit', 'marker', 'ids', 'claim_ids', 'claim_id', 'pop', 'wait', 'echo', 'detailed', 'name',
              'with_count', 'include_claimed', 'include_delayed', 'colour', '_read_acl', '%00', 'messages[]', '']

HEADERS = {
    'Client-ID': ['', CLIENT_ID.upper(), '{' + CLIENT_ID + '}', 'x' * 36, CLIENT_ID + '\r\nX-Evil: 1', '\x00' * 16,
                  'urn:uuid:' + CLIENT_ID, '\xd9\xa1' * 32, 'x' * 9000],
    'Accept': ['text/html', '*/*;q=0', 'application/json;q=nan', ',' * 4000, ';;=;', '\xff', '*/*,' * 2000],
    'Content-Type': ['application/x-www-form-urlencoded', 'APPLICATION/X-WWW-FORM-URLENCODED ;', 'text/plain',
                     'application/json; charset=utf-16', PATCH_TYPE, PATCH_TYPE + ';', '\x00', ''],
    'X-Project-Id': ['', 'test', 'AUTH_test', 'AUTH_other', 'other', '../AUTH_other', 'test/../AUTH_other', 'AUTH_',
                     'AUTH_other\x00', 'AUTH_test\r\nX-Evil: 1', 'x' * 256, '\xc3\xbc' * 130, '.', '\xff',
                     'other/jobs'],
    'Content-Length': ['-1', '0', '1', '+2', '2 ', ' 2', '1_0', '0x2', '2,2', '9' * 5000, '1' * 19, '\xb2', 'NaN'],
    'Transfer-Encoding': ['chunked', 'Chunked ', 'gzip, chunked', 'identity', 'xchunked', '\x0bchunked'],
    'URL-Signature': ['', 'x', '\xff', '0' * 64], 'URL-Expires': ['', '2030-01-01', '9999-12-31T23:59:59-23:59', 'NaN'],
    'URL-Paths': ['', '/', '/v2/queues/', ',', JOBS], 'URL-Methods': ['', 'GET', '*'],
    'URL-Project': ['AUTH_other', ''],
    'X-Timestamp': ['0', 'NaN'], 'X-Newest': ['true'], 'X-Backend-Allow-Reserved-Names': ['true'],
    'X-Trans-Id-Extra': ['\r\nX-Evil: 1', '\xff' * 40], 'If-None-Match': ['*'], 'Range': ['bytes=0-0'],
    'X-Container-Read': ['.r:*'], 'X-Auth-Token': ['', 'AUTH_tk' + '0' * 32],
}
header = st.sampled_from(sorted(HEADERS)).flatmap(lambda name: st.tuples(
    st.just(name), st.one_of(st.sampled_from(HEADERS[name]), latin if name != 'X-Auth-Token' else st.just(''))))

# JSON that Python's own writer would not write stands in the document as a text and is put in afterwards.
RAW = ['NaN', '-Infinity', '9' * 5000, '-' + '9' * 20, '9223372036854775808', '1e999', '-1e-999', '1E2', '01', '+1',
       '1.', '"\\ud800"', '"\\u0000"', '"\\x"',
       '"\t"', '{"a":1,"a":2}', '{"body":1,"body":2}', "{'a':1}", '[1,]', '//', '',
       '[' * 99 + ']' * 99, '[' * 101 + ']' * 101, '[' * 5000 + ']' * 5000, '{"a":' * 5000, '"' + 'x' * 70000 + '"',
       '[' + '[],' * 5000 + '0]']
_MARK = '@raw{}@'
hostile_json = st.one_of(
    st.sampled_from([_MARK.format(number) for number in range(len(RAW))]),
    st.sampled_from([0, -1, 1, 59, 60, 10 ** 9, 2 ** 63 - 1, -2 ** 63, 0.5, 1e300, True, None, [], {}, '60', [None]]),
    texts, st.integers(-2 ** 63, 2 ** 63 - 1), st.floats(allow_nan=False),
    st.deferred(lambda: st.lists(hostile_json, max_size=2)),
    st.deferred(lambda: st.dictionaries(texts, hostile_json, max_size=2)))


# -- one fault at a time ---------------------------------------------------------------------------

def with_other_parts(valid: Valid) -> Iterator[Sent]:
    """Each part of the path but the first replaced by each hostile one."""
    parts = valid.path.split('/')
    for at in range(2, len(parts)):
        for segment in SEGMENTS:
            path = '/'.join([*parts[:at], segment, *parts[at + 1:]])
            yield plain(valid.method, path, valid.query, valid.document, valid.headers)


def with_other_values(valid: Valid) -> Iterator[Sent]:
    """Each of its parameters, and some others, with each hostile value."""
    for name in {**valid.query, 'limit': '', 'ids': '', 'wait': '', 'mine': ''}:
        query = {key: value for key, value in valid.query.items() if key != name}
        sent = plain(valid.method, valid.path, query, valid.document, valid.headers)
        for value in VALUES:
            yield replace(sent, target=f'{sent.target}{"&" if query else "?"}{name}={value}')


def with_other_headers(valid: Valid) -> Iterator[Sent]:
    """Each header with each hostile value."""
    for name, hostile in HEADERS.items():
        for value in hostile:
            yield plain(valid.method, valid.path, valid.query, valid.document, valid.headers | {name: value})


def with_other_json(valid: Valid) -> Iterator[Sent]:
    """Each value of the document replaced by each piece of hostile JSON."""
    for place in _places(valid.document) if valid.document is not None else ():
        for number in range(len(RAW)):
            body = _write(_put(valid.document, place, _MARK.format(number)))
            yield replace(plain(valid.method, valid.path, valid.query, headers=valid.headers), body=body)


FAULTS = [with_other_parts, with_other_values, with_other_headers, with_other_json]


# -- spoiling a request ----------------------------------------------------------------------------

def _places(document: Any, path: tuple = ()) -> list[tuple]:
    """The paths of all values in a document."""
    children = document.items() if isinstance(document, dict) \
        else enumerate(document) if isinstance(document, list) else ()
    return [path, *(place for key, child in children for place in _places(child, (*path, key)))]


def _put(document: Any, path: tuple, value: Any) -> Any:
    if not path:
        return value
    document = deepcopy(document)
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return document


def _write(document: Any, ascii_only: bool = True) -> bytes:
    text = json.dumps(document, ensure_ascii=ascii_only)
    for number, raw in enumerate(RAW):
        text = text.replace(json.dumps(_MARK.format(number)), raw)
    return text.encode('utf-8', 'surrogatepass')


@st.composite
def bodies(draw: Callable, document: Any) -> bytes:
    """A document that is wrong in one or two places, or written in a wrong way."""
    document = {} if document is None else document
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.sampled_from(_places(document)))
        document = _put(document, place, draw(hostile_json))
        if isinstance(document, dict) and draw(st.booleans()):
            document = document | {draw(texts): draw(hostile_json)}
    body = _write(document, draw(st.booleans()))
    how = draw(st.sampled_from([
        *['plain'] * 4, 'bom', 'utf-16', 'utf-32', 'cut', 'spliced', 'twice', 'random', 'empty']))
    at = draw(st.integers(0, len(body)))
    return {
        'plain': lambda: body, 'bom': lambda: b'\xef\xbb\xbf' + body, 'cut': lambda: body[:at],
        'utf-16': lambda: body.decode('latin-1').encode('utf-16'),
        'utf-32': lambda: body.decode('latin-1').encode('utf-32'),
        'spliced': lambda: body[:at] + draw(st.binary(max_size=4)) + body[at:], 'twice': lambda: body + body,
        'random': lambda: draw(st.binary(max_size=100)), 'empty': lambda: b''}[how]()


METHODS = ['GET', 'HEAD', 'PUT', 'POST', 'PATCH', 'DELETE', 'OPTIONS', 'get', 'X' * 100]
PARTS = ['method', *['path', 'query', 'header', 'body'] * 3]


@st.composite
def requests(draw: Callable) -> Sent:
    """A request of the table with one to three of its parts spoiled."""
    valid = draw(st.sampled_from(valid_requests()))
    method, path, document = valid.method, valid.path, valid.document
    pairs = list(valid.query.items())
    user: str | None = draw(st.sampled_from(['tester'] * 6 + ['guest', 'stranger', None]))
    headers = {'Client-ID': CLIENT_ID} | valid.headers | ({} if user else signed_headers())
    body = b'' if document is None else json.dumps(document).encode()
    for part in draw(st.lists(st.sampled_from(PARTS), min_size=1, max_size=3, unique=True)):
        if part == 'method':
            method = draw(st.sampled_from(METHODS))
        elif part == 'path':
            path = _spoil_path(path, draw)
        elif part == 'query':
            pairs = _spoil_query(pairs, draw)
        elif part == 'header':
            headers |= dict(draw(st.lists(header, min_size=1, max_size=3)))
        else:
            body = draw(bodies(document))
    target = path + ('?' + '&'.join(f'{name}={value}' for name, value in pairs) if pairs else '')
    return Sent(method, target.replace('\n', ''), headers, body, user)


def _spoil_path(path: str, draw: Callable) -> str:
    parts = path.split('/')[1:]
    at = draw(st.integers(1, len(parts)))
    how = draw(st.sampled_from(['replace', 'insert', 'drop', 'slash', 'encode', 'known']))
    if how == 'known':
        parts = ['v2', 'queues', 'jobs', draw(st.sampled_from(['messages', 'claims'])), draw(segments)]
    elif how == 'slash':
        parts.append('')
    elif how == 'insert':
        parts.insert(at, draw(segments))
    elif at < len(parts):
        parts[at:at + 1] = {'replace': lambda: [draw(segments)], 'drop': lambda: [],
                            'encode': lambda: [''.join(f'%{ord(each):02X}' for each in parts[at])]}[how]()
    return '/' + '/'.join(parts)


def _spoil_query(pairs: list[tuple[str, str]], draw: Callable) -> list[tuple[str, str]]:
    pairs = list(pairs)
    name = draw(st.sampled_from([name for name, _ in pairs] * 3 + PARAMETERS))
    how = draw(st.sampled_from(['set', 'repeat', 'many', 'drop']))
    if how == 'set':
        pairs = [pair for pair in pairs if pair[0] != name]
    if how == 'drop':
        return [pair for pair in pairs if pair[0] != name]
    count = draw(st.integers(15, 25)) if how == 'many' else 1
    return pairs + [(name, draw(values)) for _ in range(count)]


def plain(method: str, path: str, query: dict[str, str] | None = None, document: Any = None,
          headers: dict[str, str] | None = None, user: str | None = 'tester') -> Sent:
    """A request as a client of good will sends it."""
    return Sent(method, path + ('?' + urlencode(query, safe=',', errors='surrogatepass') if query else ''),
                {'Client-ID': CLIENT_ID} | (headers or {}), b'' if document is None else json.dumps(document).encode(),
                user)

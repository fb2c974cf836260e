"""The proxy's account and container requests."""

import json
from collections.abc import Collection, Mapping

from swift.common.constraints import ACCOUNT_LISTING_LIMIT, check_metadata
from swift.common.request_helpers import (
    constrain_req_limit,
    get_param,
    is_sys_or_user_meta,
    validate_container_params,
)
from swift.common.swob import HTTPBadRequest, HTTPNotFound, Request, Response
from swift.common.utils import Timestamp, config_true_value

from .answers import UNAVAILABLE, Answer, best_response
from .containers import names_between
from .routing import Target, authorize, has_long_line, respond

# Only swift_owner requests may see or set these.
OWNER_HEADERS = ('X-Container-Read', 'X-Container-Write', 'X-Container-Sync-Key',
                 'X-Container-Sync-To', 'X-Container-Meta-Temp-Url-Key',
                 'X-Container-Meta-Temp-Url-Key-2')
KEPT_HEADERS = ('x-container-read', 'x-container-write', 'x-container-sync-key',
                'x-container-sync-to')
NEVER = Timestamp.zero().internal
DATABASE_MISSING = Answer(404, {
    'X-Backend-Timestamp': NEVER, 'X-Backend-Put-Timestamp': NEVER,
    'X-Backend-Delete-Timestamp': NEVER, 'X-Backend-Storage-Policy-Index': '0'})


def account_exists(model, account: str) -> bool:
    """Whether the account is there and says so; one that is only pretended is not."""
    return _read_account(model, account, newest=False).good


def container_info(model, target: Target) -> Answer:
    """What the proxy knows of a container before it handles a request to an object.

    404 also if the account cannot be looked up: the proxy makes no difference there.
    """
    if not account_exists(model, target.account):
        return Answer(404)
    return _read_container(model, target, newest=False)


def read_account(model, req: Request, target: Target, call) -> Response:
    limit = constrain_req_limit(req, ACCOUNT_LISTING_LIMIT)
    listing = None
    if req.method == 'GET':
        def listing(containers: dict) -> list[dict]:
            names = names_between(list(containers), *_listing_params(req), limit,
                                  config_true_value(get_param(req, 'reverse')),
                                  req.allow_reserved_names)
            return [{'name': name, 'count': containers[name].object_count,
                     'bytes': containers[name].bytes_used,
                     'last_modified': containers[name].put_timestamp.isoformat,
                     'storage_policy': model.policies[containers[name].policy]}
                    for name in names]
    answer = _read_account(model, target.account, _wants_newest(req), listing)
    if answer.status == 404 and model.account_autocreate:
        # It will be created when something is written to it; until then it seems empty.
        answer = _as_json({**_account_totals([]), 'X-Backend-Fake-Account-Listing': 'yes'},
                          [])
    return respond(req, answer)


def read_container(model, req: Request, target: Target, call) -> Response:
    params = validate_container_params(req)
    if not account_exists(model, target.account):
        return authorize(req) or HTTPNotFound(request=req)
    listing = None
    if req.method == 'GET':
        def listing(replica):
            names = replica.names(*_listing_params(req), params['limit'],
                                  config_true_value(params.get('reverse')),
                                  req.allow_reserved_names)
            return [replica.row(name) for name in names]
    answer = _read_container(model, target, _wants_newest(req), listing)
    refusal = authorize(req, answer.headers.get('X-Container-Read'))
    if refusal:
        return refusal
    hidden = () if req.environ.get('swift_owner') else OWNER_HEADERS
    headers = {key: value for key, value in answer.headers.items() if key not in hidden}
    if answer.good:
        policy = int(headers['X-Backend-Storage-Policy-Index'])
        headers['X-Storage-Policy'] = model.policies[policy]
    response = respond(req, Answer(answer.status, headers, answer.body))
    if answer.good:
        response.last_modified = Timestamp(headers['X-Backend-Put-Timestamp'])
    return response


def put_container(model, req: Request, target: Target, call) -> Response:
    refusal = authorize(req) or _clean_acls(req) or check_metadata(req, 'container')
    if refusal:
        return refusal
    if has_long_line(req):
        return HTTPBadRequest(request=req)
    policy = None
    if req.headers.get('X-Storage-Policy'):
        if req.headers['X-Storage-Policy'] not in model.policies:
            return HTTPBadRequest(request=req, body='Invalid X-Storage-Policy')
        policy = model.policies.index(req.headers['X-Storage-Policy'])
    if len(target.container) > 256:
        return HTTPBadRequest(request=req, body='Container name is too long')
    if not account_exists(model, target.account):
        if not model.account_autocreate:
            return HTTPNotFound(request=req)
        if len(model.silent('accounts')) > model.replicas // 2:
            return respond(req, UNAVAILABLE)
        model.account_names.add(target.account)
    timestamp, metadata = req.timestamp, _metadata(req)

    def put(index: int, replica) -> Answer:
        if replica is not None:
            return replica.put(timestamp, metadata, policy, default_policy=0)
        created = model.create_container(index, target.account, target.container,
                                         timestamp, policy or 0)
        created.update_metadata(metadata, timestamp)
        return Answer(201, {'X-Backend-Storage-Policy-Index': str(created.policy)})
    return respond(req, _write(model, target, put))


def post_container(model, req: Request, target: Target, call) -> Response:
    refusal = authorize(req) or _clean_acls(req) or check_metadata(req, 'container')
    if refusal:
        return refusal
    if has_long_line(req):
        return HTTPBadRequest(request=req)
    metadata = _metadata(req)
    return _write_existing(model, req, target,
                           lambda replica: replica.post(req.timestamp, metadata))


def delete_container(model, req: Request, target: Target, call) -> Response:
    return authorize(req) or _write_existing(
        model, req, target, lambda replica: replica.delete(req.timestamp))


def _write_existing(model, req: Request, target: Target, work) -> Response:
    if not account_exists(model, target.account):
        return HTTPNotFound(request=req)

    def write(index: int, replica) -> Answer:
        return work(replica) if replica is not None else Answer(404)
    return respond(req, _write(model, target, write))


def _write(model, target: Target, work) -> Answer:
    """Have all replicas do something; those that are silent count as 503."""
    silent = model.silent('containers')
    replicas = model.container_replicas(target.account, target.container)
    return best_response([
        UNAVAILABLE if index in silent else work(index, replica)
        for index, replica in enumerate(replicas)])


def _read_container(model, target: Target, newest: bool, listing=None) -> Answer:
    replicas = model.container_replicas(target.account, target.container)

    def ask(index: int) -> Answer:
        replica = replicas[index]
        if replica is None:
            return DATABASE_MISSING
        answer = replica.head()
        if answer.good and listing is not None:
            return _as_json(answer.headers, listing(replica))
        return answer
    return model.read('containers', ask, newest)


def _read_account(model, account: str, newest: bool, listing=None) -> Answer:
    def ask(index: int) -> Answer:
        if account not in model.account_names:
            return Answer(404)
        containers = model.containers_on(index, account)
        headers = _account_totals(containers.values())
        return Answer(204, headers) if listing is None else _as_json(
            headers, listing(containers))
    return model.read('accounts', ask, newest)


def _account_totals(containers: Collection) -> dict[str, str]:
    return {'X-Account-Container-Count': str(len(containers)),
            'X-Account-Object-Count': str(sum(one.object_count for one in containers)),
            'X-Account-Bytes-Used': str(sum(one.bytes_used for one in containers))}


def _metadata(req: Request) -> Mapping[str, str]:
    """The headers of a PUT or POST that a container keeps; an empty one removes its key."""
    hidden = () if req.environ.get('swift_owner') else OWNER_HEADERS
    metadata = {}
    for key, value in req.headers.items():
        if key.lower().startswith('x-remove-container-'):
            key, value = key.replace('-Remove', '', 1), ''
        if key not in hidden and (key.lower() in KEPT_HEADERS
                                  or is_sys_or_user_meta('container', key)):
            metadata[key] = value
    return metadata


def _clean_acls(req: Request) -> Response | None:
    clean = req.environ.get('swift.clean_acl')
    for header in ('X-Container-Read', 'X-Container-Write'):
        if clean is not None and header in req.headers:
            try:
                req.headers[header] = clean(header, req.headers[header])
            except ValueError as error:
                return HTTPBadRequest(request=req, body=str(error))
    return None


def _listing_params(req: Request) -> list[str]:
    return [get_param(req, name) or '' for name in ('marker', 'end_marker', 'prefix')]


def _wants_newest(req: Request) -> bool:
    return config_true_value(req.headers.get('X-Newest', 'f'))


def _as_json(headers: Mapping, listing: list) -> Answer:
    return Answer(200, {**headers, 'Content-Type': 'application/json; charset=utf-8'},
                  json.dumps(listing).encode('ascii'))

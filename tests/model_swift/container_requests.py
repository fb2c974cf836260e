"""The proxy's account and container requests."""

from collections.abc import Mapping

from swift.common.constraints import ACCOUNT_LISTING_LIMIT, check_metadata
from swift.common.request_helpers import (
    constrain_req_limit,
    get_param,
    is_sys_or_user_meta,
    validate_container_params,
)
from swift.common.swob import HTTPBadRequest, HTTPNotFound, Request, Response
from swift.common.utils import Timestamp, config_true_value

from . import container_servers
from .answers import Answer
from .container_servers import account_exists, account_totals, as_json
from .containers import names_between
from .routing import Target, authorize, has_long_line, respond
from .stamps import stamp
from .storage import Visit

# Only swift_owner requests may see or set these.
OWNER_HEADERS = ('X-Container-Read', 'X-Container-Write', 'X-Container-Sync-Key',
                 'X-Container-Sync-To', 'X-Container-Meta-Temp-Url-Key',
                 'X-Container-Meta-Temp-Url-Key-2')
KEPT_HEADERS = ('x-container-read', 'x-container-write', 'x-container-sync-key',
                'x-container-sync-to')


def read_account(model, req: Request, target: Target, visit: Visit) -> Response:
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
    answer = container_servers.read_account(model, target.account, visit, listing, newest=_wants_newest(req))
    if answer.status == 404 and model.account_autocreate:
        # It will be created when something is written to it; until then it seems empty.
        answer = as_json({**account_totals([]), 'X-Backend-Fake-Account-Listing': 'yes'}, [])
    return respond(req, answer)


def read_container(model, req: Request, target: Target, visit: Visit) -> Response:
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
    answer = container_servers.read_container(model, target, visit, listing, newest=_wants_newest(req))
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


def put_container(model, req: Request, target: Target, visit: Visit) -> Response:
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
    return respond(req, container_servers.put_container(
        model, target, _stamp(req), visit, _metadata(req), policy))


def post_container(model, req: Request, target: Target, visit: Visit) -> Response:
    refusal = authorize(req) or _clean_acls(req) or check_metadata(req, 'container')
    if refusal:
        return refusal
    if has_long_line(req):
        return HTTPBadRequest(request=req)
    return respond(req, container_servers.post_container(model, target, _stamp(req), visit, _metadata(req)))


def delete_container(model, req: Request, target: Target, visit: Visit) -> Response:
    return authorize(req) or respond(req, container_servers.delete_container(model, target, _stamp(req), visit))


def _stamp(req: Request) -> Timestamp:
    return stamp(req.timestamp.internal)


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

"""The proxy's object requests."""

import mimetypes

from swift.common.constraints import check_delete_headers, check_metadata, check_object_creation
from swift.common.request_helpers import is_backend_open_expired
from swift.common.swob import (
    HTTPBadRequest,
    HTTPClientDisconnect,
    HTTPNotFound,
    HTTPServiceUnavailable,
    HTTPUnprocessableEntity,
    Request,
    Response,
    normalize_etag,
)
from swift.common.utils import Timestamp, clean_content_type, config_true_value

from . import object_servers
from .answers import UNAVAILABLE, Answer
from .container_servers import container_info
from .objects import DataFile, make_data_file, put_row
from .routing import Target, authorize, has_long_line, respond
from .stamps import stamp
from .storage import Visit


def read_object(model, req: Request, target: Target, visit: Visit) -> Response:
    info = container_info(model, target)
    refusal = _unavailable(req, info) or authorize(req, info.headers.get('X-Container-Read'))
    if refusal:
        return refusal
    answer = object_servers.read(
        model, target, _stamp(req), visit, open_expired=is_backend_open_expired(req),
        newest=config_true_value(req.headers.get('X-Newest', 'f')))
    response = respond(req, answer)
    if 'Content-Type' in answer.headers:
        response.content_type = clean_content_type(answer.headers['Content-Type'])
        response.charset = None
        response.last_modified = Timestamp(answer.headers['X-Timestamp'])
        response.accept_ranges = 'bytes'
        if req.method == 'HEAD':
            response.content_length = int(answer.headers['Content-Length'])
    return response


def put_object(model, req: Request, target: Target, visit: Visit) -> Response:
    if req.if_none_match is not None and '*' not in req.if_none_match:
        return HTTPBadRequest(request=req, body='If-None-Match only supports *')
    refusal = _refuse_write(model, req, target)
    if refusal:
        return refusal
    if not req.headers.get('Content-Type'):
        guessed, _ = mimetypes.guess_type(req.path_info)
        req.headers['Content-Type'] = guessed or 'application/octet-stream'
    refusal = check_object_creation(req, target.obj) or _check_content_type(req)
    if refusal:
        return refusal
    if has_long_line(req):
        return respond(req, UNAVAILABLE)

    written: list[DataFile] = []

    def make() -> tuple[DataFile, dict]:
        body = b''.join(iter(lambda: req.environ['wsgi.input'].read(65536), b''))
        if len(body) < (req.message_length() or 0):
            raise HTTPClientDisconnect(request=req)
        data = make_data_file(_stamp(req), body, dict(req.headers))
        expected = normalize_etag(req.headers.get('ETag'))
        if expected and expected != data.metadata['Etag']:
            raise HTTPUnprocessableEntity(request=req)
        written.append(data)
        return data, put_row(target.obj, data, dict(req.headers))
    response = respond(req, object_servers.put(
        model, target, _stamp(req), visit, make, only_if_absent=req.if_none_match is not None))
    if written:
        response.last_modified = req.timestamp
    return response


def post_object(model, req: Request, target: Target, visit: Visit) -> Response:
    refusal = _refuse_write(model, req, target) or check_metadata(req, 'object')
    if refusal:
        return refusal
    check_delete_headers(req)
    if has_long_line(req):
        return HTTPBadRequest(request=req)
    return respond(req, object_servers.post(
        model, target, _stamp(req), visit, dict(req.headers), open_expired=is_backend_open_expired(req)))


def delete_object(model, req: Request, target: Target, visit: Visit) -> Response:
    refusal = _refuse_write(model, req, target)
    if refusal:
        return refusal
    try:
        if_delete_at = Timestamp(req.headers['X-If-Delete-At']) \
            if 'X-If-Delete-At' in req.headers else None
    except ValueError:
        return HTTPBadRequest(request=req, body='Bad X-If-Delete-At header value')
    return respond(req, object_servers.delete(model, target, _stamp(req), visit, if_delete_at=if_delete_at))


def _stamp(req: Request) -> Timestamp:
    return stamp(req.timestamp.internal)


def _refuse_write(model, req: Request, target: Target) -> Response | None:
    info = container_info(model, target)
    refusal = _unavailable(req, info) or authorize(req, info.headers.get('X-Container-Write'))
    if refusal:
        return refusal
    return None if info.good else HTTPNotFound(request=req)


def _unavailable(req: Request, info: Answer) -> Response | None:
    return HTTPServiceUnavailable(request=req) if info.status >= 500 else None


def _check_content_type(req: Request) -> Response | None:
    params = req.headers['Content-Type'].split(';')[1:]
    if any(param.lstrip().startswith('swift_') for param in params):
        return HTTPBadRequest(request=req, body='Invalid Content-Type')
    return None

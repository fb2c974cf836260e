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

from .answers import UNAVAILABLE, Answer, best_response, quorum_size
from .container_requests import container_info
from .objects import deleted_row, make_data_file, put_row
from .routing import Target, authorize, has_long_line, respond


def read_object(model, req: Request, target: Target, call) -> Response:
    info = container_info(model, target)
    refusal = _unavailable(req, info) or authorize(req, info.headers.get('X-Container-Read'))
    if refusal:
        return refusal
    replicas = model.object_replicas(target.account, target.container, target.obj)
    answer = model.read(
        'objects',
        lambda index: replicas[index].read(req.timestamp, is_backend_open_expired(req)),
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


def put_object(model, req: Request, target: Target, call) -> Response:
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
    replicas = model.object_replicas(target.account, target.container, target.obj)
    only_if_absent = req.if_none_match is not None
    writers = model.writers()
    refusals = {answer.status for _, index in writers
                if (answer := replicas[index].refuse_put(req.timestamp, only_if_absent))}
    if 412 in refusals:
        return respond(req, Answer(412))
    if 409 in refusals:
        # Some replica has something at least as new. Nothing has been stored.
        return respond(req, Answer(202))
    if len(writers) < quorum_size(model.replicas):
        return respond(req, UNAVAILABLE)
    body = b''.join(iter(lambda: req.environ['wsgi.input'].read(65536), b''))
    if len(body) < (req.message_length() or 0):
        return HTTPClientDisconnect(request=req)
    data = make_data_file(req.timestamp, body, req.headers)
    expected = normalize_etag(req.headers.get('ETag'))
    if expected and expected != data.metadata['ETag']:
        return HTTPUnprocessableEntity(request=req)
    row = put_row(target.obj, data, req.headers)

    def commit(index: int) -> tuple[Answer, dict]:
        replicas[index].put(data)
        return Answer(201, {'Etag': data.metadata['ETag']}), row
    response = respond(req, _commit(model, target, call, writers, commit))
    response.last_modified = req.timestamp
    return response


def post_object(model, req: Request, target: Target, call) -> Response:
    refusal = _refuse_write(model, req, target) or check_metadata(req, 'object')
    if refusal:
        return refusal
    check_delete_headers(req)
    if has_long_line(req):
        return HTTPBadRequest(request=req)
    replicas = model.object_replicas(target.account, target.container, target.obj)
    writers = model.writers()
    checked = {index: replicas[index].check_post(
                   req.timestamp, is_backend_open_expired(req), req.headers.get('Content-Type'))
               for _, index in writers}

    def commit(index: int) -> tuple[Answer, dict | None]:
        if checked[index].status != 202 or replicas[index].data is None:
            return checked[index], None
        replicas[index].post(req.timestamp, req.headers)
        return checked[index], replicas[index].row(target.obj)
    answer = _commit(model, target, call, writers, commit)
    if answer.status == 404 and any(done.status == 202 for done in checked.values()):
        # Some replica had it, so that it cannot be said not to be there.
        answer = UNAVAILABLE
    return respond(req, answer)


def delete_object(model, req: Request, target: Target, call) -> Response:
    refusal = _refuse_write(model, req, target)
    if refusal:
        return refusal
    try:
        if_delete_at = Timestamp(req.headers['X-If-Delete-At']) \
            if 'X-If-Delete-At' in req.headers else None
    except ValueError:
        return HTTPBadRequest(request=req, body='Bad X-If-Delete-At header value')
    replicas = model.object_replicas(target.account, target.container, target.obj)
    writers = model.writers()
    checked = {index: replicas[index].check_delete(req.timestamp, if_delete_at)
               for _, index in writers}

    def commit(index: int) -> tuple[Answer, dict | None]:
        answer, writes = checked[index]
        if not writes:
            return answer, None
        replicas[index].delete(req.timestamp)
        return answer, deleted_row(target.obj, req.timestamp)
    return respond(req, _commit(model, target, call, writers, commit, overrides={404: 204}))


def _commit(model, target: Target, call, writers: list[tuple[int, int]], commit,
            overrides: dict | None = None) -> Answer:
    """Do on every replica what has been checked, after the gap between the two.

    A replica that has fallen silent in the gap does nothing.
    """
    if model.on_commit is not None:
        model.on_commit(call)
    silent = model.silent('objects')
    answers = []
    for row_replica, index in writers:
        if index in silent:
            continue
        answer, row = commit(index)
        answers.append(answer)
        if row is not None:
            model.send_row(row_replica, target.account, target.container, row)
    answers += [UNAVAILABLE] * (model.replicas - len(answers))
    return best_response(answers, overrides)


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

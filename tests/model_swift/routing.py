"""Which path is what, who may, and how an answer becomes a response."""

from dataclasses import dataclass

from swift.common.constraints import check_utf8, valid_api_version
from swift.common.request_helpers import validate_internal_container, validate_internal_obj
from swift.common.swob import (
    HTTPBadRequest,
    HTTPException,
    HTTPNotFound,
    HTTPPreconditionFailed,
    Request,
    Response,
    wsgi_to_str,
)
from swift.common.utils import split_path

from .answers import Answer

# The storage servers' WSGI server reads no longer line (CRLF and all) and answers 400.
MAX_HEADER_LINE = 8191


@dataclass(frozen=True)
class Target:
    """The account, container or object that a request is for, as native strings."""

    account: str
    container: str | None
    obj: str | None

    @property
    def kind(self) -> str:
        return 'object' if self.obj else 'container' if self.container else 'account'


def find_target(req: Request) -> Target:
    """Take the request's path apart.

    :raises HTTPException: the path names nothing, or a name that the request may not use
    """
    path = wsgi_to_str(req.path_info)
    if not check_utf8(path, internal=req.allow_reserved_names):
        raise HTTPPreconditionFailed(request=req, body='Invalid UTF8 or contains NULL')
    try:
        version, account, container, obj = split_path(path, 1, 4, True)
    except ValueError:
        raise HTTPNotFound(request=req) from None
    if not account:
        raise HTTPPreconditionFailed(request=req, body='Bad URL')
    if not valid_api_version(version):
        raise HTTPBadRequest(request=req)
    if obj:
        validate_internal_obj(account, container, obj)
    else:
        validate_internal_container(account, container)
    return Target(account, container, obj)


def authorize(req: Request, acl: str | None = None) -> Response | None:
    """The refusal of whoever has put `swift.authorize` in the environment, if any."""
    if 'swift.authorize' not in req.environ:
        return None
    req.acl = acl
    return req.environ['swift.authorize'](req)


def has_long_line(req: Request) -> bool:
    """Whether a header is too long for the servers behind, whatever the proxy thinks of it."""
    return any(len(f'{key}: {value}\r\n') > MAX_HEADER_LINE
               for key, value in req.headers.items())


def respond(req: Request, answer: Answer) -> Response:
    """A response that says what the answer says; without a body it gets Swift's own words."""
    headers = {key: value for key, value in answer.headers.items()
               if key.lower() not in ('content-length', 'content-type')}
    if not answer.good or answer.status == 202:
        return HTTPException(status=answer.status, request=req, headers=headers)
    response = Response(status=answer.status, request=req, headers=headers,
                        body=answer.body, conditional_response=req.method in ('GET', 'HEAD'))
    if 'Content-Type' in answer.headers:
        response.headers['Content-Type'] = answer.headers['Content-Type']
    return response

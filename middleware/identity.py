"""Whose account a request is about, from what the auth filters left in its environ."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from swiftqueue.errors import Forbidden, Invalid, Unauthorized
from swiftqueue.limits import Options

MAX_PROJECT = 256  # characters, as in Messaging v2
_LONGEST = 200  # bytes of an account's name that an anonymous project may have
_MAX_ACCOUNT = 256  # bytes, Swift's own limit

Environ = dict[str, Any]


def project_of(environ: Environ, named: str | None, options: Options) -> str:
    """The project that a request is about: the one it names, else the one of its credentials.

    Raises Unauthorized for a request without credentials, and Invalid where they are not needed and it names no
    project. Whether the credentials are good for the named project is Swift's to say, later.
    """
    own = _own_project(environ)
    if own:
        return named or own
    if not is_anonymous(environ, options):
        raise Unauthorized('Authentication is required.')
    if named is None:
        raise Invalid('The header X-Project-ID is missing.')
    if not named:
        raise Invalid('The header X-Project-ID must not be empty.')
    return named


def is_anonymous(environ: Environ, options: Options) -> bool:
    """Whether the operator has chosen to serve whoever can reach the proxy."""
    return options.allow_anonymous and 'swift.authorize' not in environ


def _own_project(environ: Environ) -> str | None:
    identity = environ.get('keystone.identity')
    if identity:
        return identity['tenant'][0]
    # tempauth: account,account:user,group,... and swauth: account:user,account,...
    user = environ.get('REMOTE_USER')
    return user.split(',', 1)[0].partition(':')[0] if isinstance(user, str) else None


def account_of(environ: Environ, project: str, options: Options) -> str:
    """The Swift account of a project. Raises Invalid for what can be none."""
    prefix = options.reseller_prefix
    if prefix and not prefix.endswith('_'):
        prefix += '_'
    if len(project) > MAX_PROJECT:
        raise Invalid(f'Project ids have at most {MAX_PROJECT} characters.')
    if is_anonymous(environ, options):
        project = quote(project.encode('utf-8', 'surrogateescape'), safe='')
        if len(project) > _LONGEST - len(prefix):
            project = hashlib.sha256(project.encode('ascii')).hexdigest()
    elif not project.isprintable() or '/' in project:
        raise Invalid('Project ids are printable characters without a slash.')
    account = project if project.startswith(prefix) else prefix + project
    if len(account.encode('utf-8')) > _MAX_ACCOUNT:
        raise Invalid('The project id is too long.')
    return account


def check_operator(environ: Environ, options: Options) -> None:
    """Raises Forbidden unless the request is that of who runs the cluster, as Swift's auth filters say.

    Who has the role that they call reseller admin, that is, or the option's; everybody where no credentials are needed.
    """
    roles = (environ.get('keystone.identity') or {}).get('roles', [])
    if not (environ.get('reseller_request') or is_anonymous(environ, options)
            or options.admin_role and options.admin_role.lower() in (role.lower() for role in roles)):
        raise Forbidden('This is for operators.')


def allow_everything(environ: Environ) -> None:
    """From here on a signature speaks for the request, not its token."""
    grant: Callable[[Any], None] = lambda request: None  # noqa: E731
    environ['swift.authorize'] = grant

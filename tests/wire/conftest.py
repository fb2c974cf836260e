"""The filter in a pipeline of Swift's own filters, over a Swift in memory."""

from __future__ import annotations

import copy
import logging
import random
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from model_swift import ModelCache, ModelMajorities, ModelSwift
from swift.common.middleware.catch_errors import CatchErrorMiddleware
from swift.common.middleware.gatekeeper import GatekeeperMiddleware
from swift.common.middleware.tempauth import TempAuth
from wire.transcript import Answer, no_syslog, send

from swiftqueue.limits import Options
from swiftqueue.middleware.queue import QueueFilter
from swiftqueue.queues import Engine

USERS = {
    'tester': ('test:tester', '.admin'),  # may do everything in AUTH_test
    'guest': ('test:guest', ''),  # is of the same account, without any right
    'stranger': ('other:stranger', '.admin'),  # may do everything in AUTH_other
    'operator': ('admin:operator', '.admin .reseller_admin'),
}
CLIENT_ID = '3381af92-2b9e-11e3-b191-71861300734c'


@cache
def filters() -> list[Callable]:
    """Swift's filters on our left, from right to left."""
    users = {f'user_{name.replace(":", "_")}': f'secret {groups}' for name, groups in USERS.values()}
    with no_syslog():
        return [TempAuth(None, users), GatekeeperMiddleware(None, {}), CatchErrorMiddleware(None, {})]


class Wire:
    """``options`` are those of the filter. Without ``auth``, whoever asks is served."""

    def __init__(self, *, auth: bool = True, **options: Any):
        self.swift = ModelSwift()
        self.clock = self.swift.clock
        self.cache = ModelCache(self.clock)
        self.options = Options(**options)
        chance = random.Random(0)
        self.engine = Engine(self.options, b'key of the cluster', clock=self.clock, monotonic=self.clock,
                             sleep=self.sleep, random_bits=chance.getrandbits, token_bytes=chance.randbytes,
                             majorities=ModelMajorities(self.swift))
        self.filter = QueueFilter(self.swift, self.engine, logging.getLogger('swiftqueue'))
        self.app = self.filter
        for filter_ in filters() if auth else filters()[1:]:
            filter_ = copy.copy(filter_)
            filter_.app, self.app = self.app, filter_
        self.tokens: dict[str, str] = {}
        self.auth = auth

    def request(self, line: str, sent: Any = None, *, user: str | None = 'tester',
                headers: dict[str, str | None] | None = None, **environ: Any) -> Answer:
        """One request in a user's name; a header of None is left out."""
        self.clock.advance(0.001)  # no two requests at one instant, as in life
        sending = {'Client-ID': CLIENT_ID}
        if self.auth and user:
            sending['X-Auth-Token'] = self.token(user)
        sending |= headers or {}
        answer = send(self.app, line, sent, {name: value for name, value in sending.items() if value is not None},
                      **{'swift.cache': self.cache, **environ})
        self.swift.assert_no_leaks()
        return answer

    def sleep(self, seconds: float) -> None:
        """That time passes, and others run."""
        import eventlet  # which warns whoever imports it before Swift, as the top of a conftest would
        self.clock.advance(seconds)
        eventlet.sleep(0)

    def token(self, user: str) -> str:
        if user not in self.tokens:
            answer = send(self.app, 'GET /auth/v1.0', headers={'X-Auth-User': USERS[user][0], 'X-Auth-Key': 'secret'},
                          **{'swift.cache': self.cache})
            self.tokens[user] = answer.headers['X-Auth-Token']
        return self.tokens[user]

    def accounts_touched(self) -> set[str]:
        """The accounts of all requests that the filter has made."""
        return {call.account for call in self.swift.calls if call.swift_source == 'MQ'}


@pytest.fixture
def make_wire():
    return Wire


@pytest.fixture
def wire():
    return Wire(signed_url_key='secret')

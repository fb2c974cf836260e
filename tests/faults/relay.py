"""A relay between a client and a server, which can be slow and can lose answers."""

from __future__ import annotations

import random
import socket
import threading
import time
from contextlib import suppress

LOOPBACK = '127.0.0.1'
WRITES = (b'PUT', b'POST', b'DELETE', b'PATCH')
VERBS = (*WRITES, b'GET', b'HEAD', b'OPTIONS', b'REPLICATE', b'SSYNC', b'UPDATE')
INTERIM = b'HTTP/1.1 100'


class Relay:
    """Listens on ``port`` (0: any) and passes connections on to ``target``, a port. A context manager.

    ``delay``: seconds by which answers are held back. ``loss``: the share of writes whose answer is thrown away, with
    the connection, after the server has given it.
    """

    def __init__(self, target: int, port: int = 0, seed: int = 0):
        self.target = target
        self.delay = 0.0
        self.loss = 0.0
        self.answers = 0  # to writes
        self.lost = 0
        self._chance = random.Random(seed)
        self._listener = socket.create_server((LOOPBACK, port), backlog=256)
        self.port = self._listener.getsockname()[1]

    def __enter__(self) -> Relay:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        # Closing alone would leave the thread in accept, with the port.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                server = socket.create_connection((LOOPBACK, self.target))
            except OSError:
                return
            with server:
                _Conversation(self, client, server).carry()


class _Conversation:
    """One connection. Requests on it come one after the other."""

    def __init__(self, relay: Relay, client: socket.socket, server: socket.socket):
        self.relay, self.client, self.server = relay, client, server
        self.verb = b''
        self.unanswered = False

    def carry(self) -> None:
        there = threading.Thread(target=self._requests, daemon=True)
        there.start()
        with suppress(OSError):
            self._answers()
        for end in (self.client, self.server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        there.join()

    def _requests(self) -> None:
        with suppress(OSError):
            while data := self.client.recv(65536):
                verb = data.partition(b' ')[0]
                if verb in VERBS:
                    self.verb, self.unanswered = verb, True
                self.server.sendall(data)
        with suppress(OSError):
            self.server.shutdown(socket.SHUT_WR)

    def _answers(self) -> None:
        relay = self.relay
        while data := self.server.recv(65536):
            if self.unanswered and not data.startswith(INTERIM):
                self.unanswered = False
                time.sleep(relay.delay)
                if self.verb in WRITES:
                    relay.answers += 1
                    if relay._chance.random() < relay.loss:
                        relay.lost += 1
                        return
            self.client.sendall(data)

"""A real HTTP server that stands for webhooks. Each path is one, and what it answers is in its name."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver:
    """What each path was sent is in ``got``, and in ``taken`` what it said 200 to. ``down``: paths that answer 503."""

    def __init__(self, address='127.0.0.1'):
        self.got, self.taken, self.down = {}, {}, set()
        self.ended = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
                receiver.got.setdefault(self.path, []).append(body)
                receiver.answer(self, body)

            def do_GET(self):  # what a redirect that is followed may come to
                receiver.got.setdefault(self.path, []).append(None)

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer((address, 0), Handler)
        self.url = f'http://{address}:{self.server.server_port}'
        threading.Thread(target=self.server.serve_forever, kwargs={'poll_interval': 0.05}, daemon=True).start()

    def answer(self, handler, body):
        path = handler.path
        if path.startswith('/slow'):
            self.ended.wait(60)
        status = 503 if path in self.down else 302 if path.startswith('/redirect') else 200
        if status == 200:
            self.taken.setdefault(path, []).append(body.get('body'))
        handler.send_response(status)
        if path.startswith('/redirect'):
            handler.send_header('Location', f'{self.url}/target')
        handler.end_headers()
        try:
            while path.startswith('/huge') and not self.ended.is_set():
                handler.wfile.write(b'x' * 2 ** 16)
        except OSError:
            pass

    def notifications(self, path):
        """The bodies of messages that the path was sent."""
        return [body['body'] for body in self.got.get(path, []) if body['Message_Type'] == 'Notification']

    def question(self, path):
        """What the path is asked first, if it has come."""
        return next((body for body in self.got.get(path, []) if body['Message_Type'] != 'Notification'), None)

    def close(self):
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()


def confirmation(question):
    """Headers and body of the request that confirms."""
    return ({name: value for name, value in question.items() if name.startswith(('URL-', 'X-'))},
            question['SubscribeBody'])


def wait_until(condition, seconds=60):
    """The condition's value as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return value

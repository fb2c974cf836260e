"""Ask a real Swift what only filters right of gatekeeper may ask.

As a program, ``python real_swift.py /path/to/etc`` is one more proxy of the cluster with that
configuration, without gatekeeper and without a cache: X-Backend-*, X-Timestamp and reserved
names get through. Each line of standard input is a request, each line of standard output its
response, both as JSON with bodies in base64. It ends with its input. `RealSwift` runs it.
"""

import json
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode

CONFIGURATION = """
[DEFAULT]
swift_dir = {etc}
[pipeline:main]
pipeline = catch_errors proxy-server
[filter:catch_errors]
use = egg:swift#catch_errors
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
error_suppression_limit = 1000000
"""


class RealSwift:
    """The program of this file as a child process. A context manager."""

    def __init__(self, etc: Path) -> None:
        self._etc = etc

    def __enter__(self) -> 'RealSwift':
        self._child = subprocess.Popen(
            [sys.executable, __file__, str(self._etc)], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._child.stdin.close()
        self._child.wait()
        self._child.stdout.close()

    def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None,
             query: Mapping[str, object] | None) -> tuple[int, dict[str, str], bytes]:
        """Make a request for an unquoted path and give status, headers and body."""
        json.dump({'method': method, 'path': path, 'headers': dict(headers),
                   'query': urlencode(query or {}),
                   'body': body if body is None else b64encode(body).decode()},
                  self._child.stdin)
        self._child.stdin.write('\n')
        self._child.stdin.flush()
        answer = json.loads(self._child.stdout.readline())
        return answer['status'], answer['headers'], b64decode(answer['body'])


def main(etc: str) -> None:
    from swift.common import utils
    utils.monkey_patch()
    utils.set_swift_dir(etc)
    from swift.common.storage_policy import reload_storage_policies
    reload_storage_policies()
    from swift.common.swob import Request, str_to_wsgi, wsgi_quote
    from swift.common.wsgi import ConfigString, loadapp
    app = loadapp(ConfigString(CONFIGURATION.format(etc=etc)), allow_modify_pipeline=False)
    for line in sys.stdin:
        asked = json.loads(line)
        req = Request.blank(
            wsgi_quote(str_to_wsgi(asked['path'])), headers=asked['headers'],
            body=None if asked['body'] is None else b64decode(asked['body']),
            environ={'REQUEST_METHOD': asked['method'], 'QUERY_STRING': asked['query']})
        response = req.get_response(app)
        print(json.dumps({'status': response.status_int, 'headers': dict(response.headers),
                          'body': b64encode(response.body).decode()}), flush=True)


if __name__ == '__main__':
    main(sys.argv[1])

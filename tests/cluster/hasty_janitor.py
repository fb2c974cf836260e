"""One pass of a janitor that waits for nothing: ``python hasty_janitor.py CONF``. Prints what it did, as JSON.

With ``LATER ACCOUNT`` behind, it cleans that account alone, by a clock that many seconds ahead.

No operator can have it so; and Swift wants a process in which everything is green from the start.
"""

import json
import sys
import time
from dataclasses import asdict

from swift.common import constraints, storage_policy, utils

utils.monkey_patch()

from swiftqueue.janitor import Ages  # noqa: E402
from swiftqueue.janitor_daemon import SECTION, JanitorDaemon  # noqa: E402


def main(path, later='0', *accounts):
    conf = utils.readconf(path, SECTION)
    utils.set_swift_dir(conf['swift_dir'])
    constraints.reload_constraints()
    storage_policy.reload_storage_policies()
    janitor = JanitorDaemon(conf, ages=Ages(retention=0, settled=0))
    make = janitor._janitor.swift

    def swift(account):
        made = make(account)
        made.clock = lambda: time.time() + float(later)
        return made
    janitor._janitor.swift = swift
    print(json.dumps(asdict(janitor.run_once(accounts, thorough=True))))


if __name__ == '__main__':
    main(*sys.argv[1:])

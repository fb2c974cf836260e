"""One pass of a janitor that waits for nothing: ``python hasty_janitor.py CONF``. Prints what it did, as JSON.

No operator can have it so; and Swift wants a process in which everything is green from the start.
"""

import json
import sys
from dataclasses import asdict

from swift.common import constraints, storage_policy, utils

utils.monkey_patch()

from swiftqueue.janitor import Ages  # noqa: E402
from swiftqueue.janitor_daemon import SECTION, JanitorDaemon  # noqa: E402


def main(path):
    conf = utils.readconf(path, SECTION)
    utils.set_swift_dir(conf['swift_dir'])
    constraints.reload_constraints()
    storage_policy.reload_storage_policies()
    janitor = JanitorDaemon(conf, ages=Ages(retention=0, settled=0))
    print(json.dumps(asdict(janitor.run_once(thorough=True))))


if __name__ == '__main__':
    main(sys.argv[1])

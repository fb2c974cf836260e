"""Swift's own object auditor on an embedded cluster: ``python run_auditor.py /path/to/etc ARGUMENT...``.

Its program reads storage policies and the hash path from /etc/swift only; everything else is as it comes.
"""

import sys

from swift.common import utils

utils.set_swift_dir(sys.argv.pop(1))

from swift.common.storage_policy import reload_storage_policies  # noqa: E402

reload_storage_policies()

from swift.obj.auditor import main  # noqa: E402

if __name__ == '__main__':
    main()

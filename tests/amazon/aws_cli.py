"""Run with the AWS CLI on the path: commands without its start, which takes longer than most of what it does.

Each line of standard input is a command's words as JSON, each line of standard output its exit status and what it
printed there and on standard error.
"""

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout

from awscli.clidriver import create_clidriver

driver = create_clidriver()
for line in sys.stdin:
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        status = driver.main(json.loads(line))
    print(json.dumps([status, out.getvalue(), err.getvalue()]), flush=True)

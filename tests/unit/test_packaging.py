"""What an installation brings: one package, and nothing else at the top."""

import ast
import shutil
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILT_FROM = ('swiftqueue', 'middleware', 'setup.cfg', 'setup.py', 'pyproject.toml', 'README.rst')


def run(*command, cwd):
    done = subprocess.run([sys.executable, *command], cwd=cwd, capture_output=True, text=True,
                          timeout=120)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """A wheel built from a copy of the tree, so that building leaves nothing in it."""
    tree, target = tmp_path_factory.mktemp('tree'), tmp_path_factory.mktemp('wheel')
    for name in BUILT_FROM:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name,
                            ignore=shutil.ignore_patterns('__pycache__', '*.pyc'))
        else:
            shutil.copy(ROOT / name, tree)
    status, said = run(
        '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--no-build-isolation', '--no-index',
        '--disable-pip-version-check', '--wheel-dir', str(target), '.', cwd=tree)
    assert status == 0, said
    path, = target.glob('*.whl')
    with zipfile.ZipFile(path) as opened:
        yield opened


@pytest.fixture(scope='module')
def site(wheel, tmp_path_factory):
    """A folder with nothing but the wheel's content."""
    site = tmp_path_factory.mktemp('site')
    wheel.extractall(site)
    return site


def sources(folder):
    return {path.relative_to(ROOT / folder).as_posix() for path in (ROOT / folder).rglob('*.py')}


def test_the_wheel_holds_every_module_and_nothing_else(wheel):
    files = {name for name in wheel.namelist() if '.dist-info/' not in name}
    assert files == {f'swiftqueue/{name}' for name in sources('swiftqueue')} | {
        f'swiftqueue/middleware/{name}' for name in sources('middleware')}


def test_the_wheel_has_one_name_at_the_top(wheel):
    metadata, = (name for name in wheel.namelist() if name.endswith('top_level.txt'))
    assert wheel.read(metadata).decode().split() == ['swiftqueue']


def test_every_entry_point_leads_to_something_in_the_wheel(wheel):
    metadata, = (name for name in wheel.namelist() if name.endswith('entry_points.txt'))
    groups = ConfigParser()
    groups.read_string(wheel.read(metadata).decode())
    assert 'swiftqueue' in groups['console_scripts'] and 'queue' in groups['paste.filter_factory']
    for group in groups.values():
        for target in group.values():
            module, _, function = target.partition(':')
            source = wheel.read(module.replace('.', '/') + '.py').decode()
            defined = {node.name for node in ast.parse(source).body
                       if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
            assert function in defined, target


IMPORT = 'import sys; sys.path.insert(0, {path!r}); import {name}; print({name}.__file__)'


def test_the_doors_are_inside_the_package(site):
    status, said = run('-I', '-S', '-c', IMPORT.format(
        path=str(site), name='swiftqueue.middleware'), cwd='/')
    assert status == 0 and said.strip().startswith(str(site)), said


def test_there_is_no_package_named_middleware(site):
    status, said = run('-I', '-S', '-c', IMPORT.format(path=str(site), name='middleware'), cwd='/')
    assert status != 0 and 'ModuleNotFoundError' in said


def test_the_installation_that_runs_these_tests_brings_none_either(tmp_path):
    assert run('-c', 'import swiftqueue.middleware', cwd=tmp_path) == (0, '')
    status, said = run('-c', 'import middleware', cwd=tmp_path)
    assert status != 0 and 'ModuleNotFoundError' in said

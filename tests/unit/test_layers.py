"""Who may import what: doors translate, the engine decides, one file talks to Swift."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = {  # module name: its file
    **{'.'.join(path.relative_to(ROOT).with_suffix('').parts): path
       for path in (ROOT / 'swiftqueue').rglob('*.py')},
    **{'swiftqueue.' + '.'.join(path.relative_to(ROOT).with_suffix('').parts): path
       for path in (ROOT / 'middleware').rglob('*.py')}}
DOORS = {name for name in SOURCES if name.startswith('swiftqueue.middleware')}
CLUSTER = {name for name in SOURCES if name.startswith('swiftqueue.cluster')}
ENGINE = set(SOURCES) - DOORS - CLUSTER

# Plain values and codecs: nothing in them needs Swift, a green thread or a request.
PURE = {'swiftqueue.' + name for name in (
    'attributes', 'history', 'errors', 'ids', 'limits', 'markers', 'model', 'names', 'receipts')}
# The janitor and fsck ask storage servers one by one, and so does who reads a claim. Policies are in swift.conf.
SPEAK_SWIFT = {'swiftqueue.swift', 'swiftqueue.cache', 'swiftqueue.direct', 'swiftqueue.object_servers',
               'swiftqueue.rows', 'swiftqueue.fsck', 'swiftqueue.audit_watcher', 'swiftqueue.container_servers',
               'swiftqueue.notifier_daemon', 'swiftqueue.policies', 'swiftqueue.majorities',
               *(name for name in ENGINE if name.startswith('swiftqueue.janitor'))}


def imports(name):
    """Full names of the modules, or of what is in them, that a module imports anywhere in it."""
    tree = ast.parse(SOURCES[name].read_text('utf-8'))
    package = name if SOURCES[name].name == '__init__.py' else name.rpartition('.')[0]
    package = package.removesuffix('.__init__')
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ''
            if node.level:
                parts = package.split('.')
                source = '.'.join([*parts[:len(parts) - node.level + 1], *filter(None, [source])])
            yield from (f'{source}.{alias.name}' for alias in node.names)


def imported(name, *tops):
    return [each for each in imports(name)
            if any(each == top or each.startswith(top + '.') for top in tops)]


def test_there_is_something_to_look_at():
    assert PURE | SPEAK_SWIFT | {'swiftqueue.queues', 'swiftqueue.claims'} <= ENGINE
    assert 'swiftqueue.middleware.__init__' in DOORS and CLUSTER
    assert imported('swiftqueue.swift', 'swift') and imported('swiftqueue.queues', 'swiftqueue')


@pytest.mark.parametrize('name', sorted(PURE))
def test_plain_modules_import_the_standard_library_and_each_other(name):
    ours = imported(name, *PURE)
    assert not [each for each in imports(name)
                if each not in ours and each.partition('.')[0] not in sys.stdlib_module_names]


@pytest.mark.parametrize('name', sorted(ENGINE - SPEAK_SWIFT))
def test_the_engine_talks_to_swift_in_one_place(name):
    assert not imported(name, 'swift')


@pytest.mark.parametrize('name', sorted(ENGINE | CLUSTER))
def test_the_engine_knows_no_door(name):
    assert not imported(name, 'swiftqueue.middleware', 'middleware')


@pytest.mark.parametrize('name', sorted(ENGINE - {'swiftqueue.cli'}))
def test_the_engine_knows_nothing_of_the_embedded_cluster(name):
    assert not imported(name, 'swiftqueue.cluster')


@pytest.mark.parametrize('name', sorted(DOORS))
def test_doors_know_nothing_of_the_embedded_cluster_nor_of_the_tests(name):
    assert not imported(name, 'swiftqueue.cluster', 'middleware', 'world', 'model_swift', 'pytest')


@pytest.mark.parametrize('name', sorted(SOURCES))
def test_what_is_installed_needs_nothing_of_the_tests(name):
    assert not imported(name, 'tests', 'world', 'model_swift', 'pytest', 'mock')

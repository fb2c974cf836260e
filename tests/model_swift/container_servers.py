"""What the proxy does with its account and container servers, whoever has asked it to."""

import json
from collections.abc import Callable, Collection, Mapping

from swift.common.utils import Timestamp

from .answers import UNAVAILABLE, Answer, best_response
from .containers import ContainerReplica
from .routing import Target
from .storage import Visit, answers_at_once

NEVER = Timestamp.zero().internal
DATABASE_MISSING = Answer(404, {
    'X-Backend-Timestamp': NEVER, 'X-Backend-Put-Timestamp': NEVER,
    'X-Backend-Delete-Timestamp': NEVER, 'X-Backend-Storage-Policy-Index': '0'})

Listing = Callable[[ContainerReplica], list[dict]]
AccountListing = Callable[[dict[str, ContainerReplica]], list[dict]]


def account_exists(model, account: str) -> bool:
    """Whether the account is there and says so; one that is only pretended is not."""
    return model.read('accounts', lambda index: _account(model, account), answers_at_once).good


def _account(model, account: str) -> Answer:
    return Answer(204) if account in model.account_names else Answer(404)


def read_account(model, account: str, visit: Visit, listing: AccountListing | None = None, *,
                 newest: bool = False) -> Answer:
    def ask(index: int) -> Answer:
        if not _account(model, account).good:
            return Answer(404)
        containers = model.containers_on(index, account)
        headers = account_totals(containers.values())
        return Answer(204, headers) if listing is None else as_json(headers, listing(containers))
    return model.read('accounts', ask, visit, newest=newest)


def account_totals(containers: Collection[ContainerReplica]) -> dict[str, str]:
    return {'X-Account-Container-Count': str(len(containers)),
            'X-Account-Object-Count': str(sum(one.object_count for one in containers)),
            'X-Account-Bytes-Used': str(sum(one.bytes_used for one in containers))}


def container_info(model, target: Target) -> Answer:
    """What the proxy knows of a container before it handles a request to an object.

    404 also if the account cannot be looked up: the proxy makes no difference there.
    """
    if not account_exists(model, target.account):
        return Answer(404)
    return read_container(model, target, answers_at_once)


def exists(model, target: Target) -> Answer:
    """:func:`container_info` for those who want nothing but the status."""
    if not account_exists(model, target.account):
        return Answer(404)
    replicas = model.container_replicas(target.account, target.container)
    return model.read('containers', lambda index: replicas[index].exists() if replicas[index] else DATABASE_MISSING,
                      answers_at_once)


def read_container(model, target: Target, visit: Visit, listing: Listing | None = None, *,
                   newest: bool = False) -> Answer:
    replicas = model.container_replicas(target.account, target.container)

    def ask(index: int) -> Answer:
        replica = replicas[index]
        if replica is None:
            return DATABASE_MISSING
        answer = replica.head()
        if answer.good and listing is not None:
            return as_json(answer.headers, listing(replica))
        return answer
    return model.read('containers', ask, visit, newest=newest)


def put_container(model, target: Target, timestamp: Timestamp, visit: Visit, metadata: Mapping[str, str],
                  policy: int | None = None) -> Answer:
    """Create the container, and the account too if that may be."""
    if not account_exists(model, target.account):
        if not model.account_autocreate:
            return Answer(404)
        if len(model.silent('accounts')) > model.replicas // 2:
            return UNAVAILABLE
        model.account_names.add(target.account)

    def put(index: int, replica: ContainerReplica | None) -> Answer:
        if replica is not None:
            return replica.put(timestamp, metadata, policy, default_policy=0)
        created = model.create_container(index, target.account, target.container, timestamp, policy or 0)
        created.update_metadata(metadata, timestamp)
        return Answer(201, {'X-Backend-Storage-Policy-Index': str(created.policy)})
    return _write(model, target, visit, put)


def post_container(model, target: Target, timestamp: Timestamp, visit: Visit,
                   metadata: Mapping[str, str]) -> Answer:
    return _write_existing(model, target, visit, lambda replica: replica.post(timestamp, metadata))


def delete_container(model, target: Target, timestamp: Timestamp, visit: Visit) -> Answer:
    return _write_existing(model, target, visit, lambda replica: replica.delete(timestamp))


def _write_existing(model, target: Target, visit: Visit, work: Callable[[ContainerReplica], Answer]) -> Answer:
    if not account_exists(model, target.account):
        return Answer(404)
    return _write(model, target, visit,
                  lambda index, replica: Answer(404) if replica is None else work(replica))


def _write(model, target: Target, visit: Visit,
           work: Callable[[int, ContainerReplica | None], Answer]) -> Answer:
    """Have all replicas do something; those that are silent count as 503."""
    def write(index: int) -> Answer:
        if index in model.silent('containers'):
            return UNAVAILABLE
        return work(index, model.container_replicas(target.account, target.container)[index])

    answers = []
    for index in range(model.replicas):
        if late := visit('write', index):
            model.postpone(late, lambda index=index: write(index))
            answers.append(UNAVAILABLE)
        else:
            answers.append(write(index))
    return best_response(answers)


def as_json(headers: Mapping, listing: list) -> Answer:
    return Answer(200, {**headers, 'Content-Type': 'application/json; charset=utf-8'},
                  json.dumps(listing).encode('ascii'))

"""What the proxy does with its object servers, whoever has asked it to."""

from collections.abc import Callable
from functools import partial

from swift.common.utils import Timestamp

from .answers import UNAVAILABLE, Answer, best_response, quorum_size
from .objects import DataFile, Headers, deleted_row
from .routing import Target
from .storage import Visit

GAP = -1  # in place of a replica's number: between the check and the commit


def read(model, target: Target, at: Timestamp, visit: Visit, *, open_expired: bool = False,
         newest: bool = False) -> Answer:
    replicas = model.object_replicas(target.account, target.container, target.obj)
    return model.read('objects', lambda index: replicas[index].read(at, open_expired), visit, newest=newest)


def put(model, target: Target, timestamp: Timestamp, visit: Visit, make: Callable[[], tuple[DataFile, dict]], *,
        only_if_absent: bool = False) -> Answer:
    """``make`` is called when the servers want the body; it gives the file and its row."""
    replicas = model.object_replicas(target.account, target.container, target.obj)
    asked = _ask(model, visit, lambda index: replicas[index].refuse_put(timestamp, only_if_absent))
    refusals = {answer.status for _, _, answer in asked if answer}
    if 412 in refusals:
        return Answer(412)
    if 409 in refusals:
        # Some replica has something at least as new. Nothing has been stored.
        return Answer(202)
    if len(asked) < quorum_size(model.replicas):
        return UNAVAILABLE
    data, row = make()

    def commit(index: int, answer: None) -> tuple[Answer, dict]:
        replicas[index].put(data)
        return Answer(201, {'Etag': data.metadata['Etag']}), row
    return _commit(model, target, visit, asked, commit)


def post(model, target: Target, timestamp: Timestamp, visit: Visit, headers: Headers, *,
         open_expired: bool = False) -> Answer:
    replicas = model.object_replicas(target.account, target.container, target.obj)
    asked = _ask(model, visit, lambda index: replicas[index].check_post(
        timestamp, open_expired, headers.get('Content-Type')))

    def commit(index: int, answer: Answer) -> tuple[Answer, dict | None]:
        if answer.status != 202 or replicas[index].data is None:
            return answer, None
        replicas[index].post(timestamp, headers)
        return answer, replicas[index].row(target.obj)
    answer = _commit(model, target, visit, asked, commit)
    if answer.status == 404 and any(checked.status == 202 for _, _, checked in asked):
        # Some replica had it, so that it cannot be said not to be there.
        return UNAVAILABLE
    return answer


def delete(model, target: Target, timestamp: Timestamp, visit: Visit, *,
           if_delete_at: Timestamp | None = None) -> Answer:
    replicas = model.object_replicas(target.account, target.container, target.obj)
    asked = _ask(model, visit, lambda index: replicas[index].check_delete(timestamp, if_delete_at))

    def commit(index: int, checked: tuple[Answer, bool]) -> tuple[Answer, dict | None]:
        answer, writes = checked
        if not writes:
            return answer, None
        replicas[index].delete(timestamp)
        return answer, deleted_row(target.obj, timestamp)
    return _commit(model, target, visit, asked, commit, overrides={404: 204})


def _ask(model, visit: Visit, check: Callable) -> list[tuple[int, int, object]]:
    """(container replica, object replica, what it says) of every server that answers.

    Each object server updates one container replica. Which one is chance, so that a silent
    object server costs any one of the container replicas its row.
    """
    return [(row_replica, index, check(index)) for row_replica, index in enumerate(model.shuffled())
            if not visit('check', index) and index not in model.silent('objects')]


def _commit(model, target: Target, visit: Visit, asked: list[tuple[int, int, object]], commit: Callable,
            overrides: dict | None = None) -> Answer:
    """Do on every replica what has been checked, after the gap between the two.

    A replica that has fallen silent in the gap does nothing.
    """
    visit('gap', GAP)
    answers = []

    def work(row_replica: int, index: int, checked) -> Answer | None:
        if index in model.silent('objects'):
            return None
        answer, row = commit(index, checked)
        if row is not None:
            model.send_row(row_replica, target.account, target.container, row)
        return answer

    for each in asked:
        if late := visit('write', each[1]):
            model.postpone(late, partial(work, *each))
        elif answer := work(*each):
            answers.append(answer)
    answers += [UNAVAILABLE] * (model.replicas - len(answers))
    return best_response(answers, overrides)

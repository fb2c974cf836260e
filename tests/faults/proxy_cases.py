"""Faults of proxies, their clocks and their cache, and what operators and owners do under load."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

from faults.injections import databases, flush, frozen, killed, objects, start, unmerged
from faults.rig import require
from faults.trial import Case, Trial
from swiftqueue.history import Operation

ALL = ('post', 'claim', 'ack')


def lost_answers_of_proxies(trial: Trial) -> None:
    for relay in trial.relays:
        relay.loss = 0.2
    with trial.window(*ALL):
        trial.wait()
    for relay in trial.relays:
        relay.loss = 0
    lost, answers = sum(each.lost for each in trial.relays), sum(each.answers for each in trial.relays)
    require(lost, 'answers got lost')
    trial.saw(f'{lost} of {answers} answers got lost')


def kill_proxy_in_post(trial: Trial) -> None:
    proxy, size = trial.rig.proxies[0], 40
    require(trial.client().post(trial.values(2)).phase == 'ok', 'posts succeed before')
    trial.total()  # merges what there is
    database, *_ = databases(trial.cluster, trial.queue, 'messages')
    answers = _meanwhile(lambda: trial.client(proxy=1).post(trial.values(size)))
    trial.until(lambda: unmerged(database) > size // 8, 30, 'the post is under way')
    proxy.kill()
    status = answers().status
    start(proxy)
    stored = trial.total() - 2
    require(0 < stored < size, 'the proxy died in the middle')
    trial.holds(status not in (200, 201), 'a post in parts is not answered with success')
    trial.saw(f'{stored} of {size} messages were stored, the post was answered {status}')


def kill_proxy_in_claim(trial: Trial) -> Callable[[], None]:
    """What its claims took must come back when their ttl is over and not before; the rest at once."""
    size, lease = 20, trial.run.plan.claim_ttl
    client = trial.client(proxy=2)
    for _ in range(2):
        require(client.post(trial.values(size // 2)).phase == 'ok', 'posts succeed before')
    database, *_ = databases(trial.cluster, trial.queue, 'claims')
    asked_at = time.monotonic()
    answers = _meanwhile(lambda: trial.client(proxy=1).claim(size))
    trial.until(lambda: unmerged(database) > size // 5, 30, 'the claim is under way')
    trial.rig.proxies[0].kill()
    require(not answers(), 'the proxy died before it answered')
    start(trial.rig.proxies[0])
    free = {each['id'] for each in client.send('GET', '/messages', limit=20, echo='true').content['messages']}
    everything = client.send('GET', '/messages', limit=20, echo='true', include_claimed='true').content['messages']
    held = [each for each in everything if each['id'] not in free]
    require(0 < len(held) < size, 'some of the messages were claimed and some were not')

    def afterwards() -> None:
        came = {message['message_id']: claim.answered_at - asked_at for claim in reversed(trial.history())
                if claim.op == 'claim' for message in claim.messages}
        waits = sorted(came[each['id']] for each in held if each['id'] in came)
        trial.holds(len(waits) == len(held), 'what was held comes again')
        trial.holds(not waits or waits[0] >= lease, f'nothing comes while its claim runs (but after {waits[0]:.1f} s)')
        trial.saw(f'{len(held)} of {size} messages were held by claims of {lease} s that nobody knew; they came again '
                  f'{waits[0]:.0f} to {waits[-1]:.0f} s after they were asked for')
    return afterwards


def freeze_proxy_past_its_leases(trial: Trial) -> None:
    """Claims that were on their way get through when their time is over; somebody else has the messages by then."""
    size, lease = 12, trial.run.plan.claim_ttl
    other = trial.client('other', proxy=2)
    require(other.post(trial.values(size)).phase == 'ok', 'posts succeed before')
    holders = [trial.client(f'holder-{number}', proxy=1) for number in range(3)]
    database, *_ = databases(trial.cluster, trial.queue, 'claims')
    claims = [_meanwhile(partial(holder.claim, size // 3)) for holder in holders]
    trial.until(lambda: unmerged(database) >= size // 6, 30, 'claims are under way')
    with frozen(trial.rig.proxies[0]):
        trial.wait(lease + 1)
        taken = other.claim(size)
    late = [(holder, message) for holder, claim in zip(holders, claims, strict=True) for message in claim()]
    require(late, 'claims that hung for longer than a lease got messages')
    gone = {message['value'] for message in taken}
    acks = Counter((message['value'] in gone, holder.ack(message).status) for holder, message in late)
    said = ', '.join(f'{times} of messages that {"others had by then" if taken else "nobody else had"}: {status}'
                     for (taken, status), times in sorted(acks.items()))
    trial.saw(f'claims that hung for longer than a lease had {len(late)} messages; their acks were answered: {said}')
    for message in taken:
        other.ack(message)


def skewed(trial: Trial, offset: float) -> None:
    with trial.window(*ALL):
        trial.rig.set_clock(trial.rig.proxies[1], offset)
        trial.wait()


def step_back(trial: Trial) -> None:
    with trial.window(*ALL):
        trial.rig.set_clock(trial.rig.proxies[1], -10)
        trial.wait()


def cache_killed(trial: Trial) -> None:
    with killed(trial.cluster.cache), trial.window(*ALL):
        trial.wait()


def cache_restarted(trial: Trial) -> None:
    with trial.window(*ALL):
        for _ in range(3):
            with killed(trial.cluster.cache):
                pass
            trial.wait(trial.seconds / 3)


def cache_frozen(trial: Trial) -> None:
    """Everybody waits for it, again and again: slow, but it has to go on."""
    with frozen(trial.cluster.cache), trial.window(*ALL):
        trial.wait(3 * trial.seconds)


def cache_flushed(trial: Trial) -> None:
    with trial.window(*ALL):
        for _ in range(20):
            flush(trial.cluster.cache)
            trial.wait(trial.seconds / 20)


def expirer_never_runs(trial: Trial) -> None:
    """A day later by the proxies' clocks, and Swift has removed nothing."""
    client, gone, fresh = trial.client(message_ttl=60), trial.values(10), trial.values(5)
    require(client.post(gone).phase == 'ok', 'posts succeed before')
    stored = objects(trial.cluster)
    for proxy in trial.rig.proxies:
        trial.rig.set_clock(proxy, 86400)
    trial.holds(trial.total() == 0, 'what is expired is not counted')
    trial.holds(client.post(fresh).phase == 'ok', 'posts succeed a day later')
    trial.wait(2.5)  # until no proxy trusts what it listed before
    held = client.claim(20)
    trial.holds({each['value'] for each in held} == set(fresh), 'just what is not expired is delivered')
    for message in held:
        client.ack(message)
    require(objects(trial.cluster) >= stored > set(), 'the expired messages are still there')
    trial.saw(f'{len(gone)} messages that had expired a day ago were still stored')

    def amend(history: list[Operation]) -> None:
        for each in history:
            if each.op == 'post' and each.value in gone:
                each.ttl = 0  # by the clock of this program a minute is not over
    trial.amend = amend
    trial.run.owed.difference_update(gone)


def delete_and_create_again(trial: Trial) -> None:
    """Whatever was posted before the last creation may be gone with the queue, and must not come back."""
    one, two = trial.client('owner', proxy=1), trial.client('owner', proxy=2)
    for owner, other in ((one, two), (two, one)):
        deleted_at = time.monotonic()
        trial.holds(owner.send('DELETE', '').status == 204, 'the queue can be deleted')
        # 204: a post of the load has created it already.
        trial.holds(other.send('PUT', '').status in (201, 204), 'and created again at once')
        created_at = time.monotonic()
        trial.wait(trial.seconds / 2)

    def amend(history: list[Operation]) -> None:
        old = {each.value for each in history if each.op == 'post' and each.answered_at < deleted_at}
        back = {message['value'] for each in history if each.op == 'claim' and each.invoked_at > created_at
                for message in each.messages} & old
        trial.saw(f'{len(old)} messages were posted before the last deletion, {len(back)} of them came after it')
        for each in history:
            if each.op == 'post' and each.invoked_at < created_at:
                each.ttl = 0  # it had a right to vanish
    trial.amend = amend
    trial.run.owed.clear()


def restart_everything(trial: Trial) -> None:
    with trial.window(*ALL):
        for process in trial.cluster.processes:
            process.terminate()
            process.start()


def _meanwhile(work: Callable[[], object]) -> Callable[[], object]:
    """Do something in another thread; what is returned waits for its result."""
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(work()), daemon=True)
    thread.start()

    def result() -> object:
        thread.join(90)
        return results[0]
    return result


CASES = (
    Case('F14b', 'proxies do their work and 20 % of their answers get lost', 'I1-I6', lost_answers_of_proxies,
         relays=True),
    Case('F15', 'kill -9 of a proxy in the middle of a post', 'I1, I6', kill_proxy_in_post, quiet=True),
    Case('F16', 'kill -9 of a proxy in the middle of a claim', 'I1-I5', kill_proxy_in_claim, quiet=True,
         plan={'claim_ttl': 12, 'settle': 30}),
    Case('F17', 'SIGSTOP of a proxy for longer than a claim', 'I1-I5', freeze_proxy_past_its_leases, overlaps=True,
         quiet=True, plan={'claim_ttl': 5}),
    *(Case(f'F18{letter}', f'the clock of one proxy is {said}', 'I1-I5', partial(skewed, offset=offset),
           overlaps=True, lasting=True, plan={'message_ttl': 86400})
      for letter, said, offset in (
          ('a', '2 s ahead', 2), ('b', '2 s behind', -2), ('c', '30 s ahead', 30), ('d', '30 s behind', -30),
          ('e', '1 h ahead', 3600), ('f', '1 h behind', -3600))),
    Case('F19', 'the clock of one proxy steps back by 10 s', 'I1-I5', step_back, overlaps=True, lasting=True),
    Case('F20a', 'the cache is killed', 'I1, I2, I4', cache_killed, overlaps=True, cache=True),
    Case('F20b', 'the cache is restarted, and empty', 'I1, I2, I4', cache_restarted, overlaps=True, cache=True),
    Case('F20c', 'SIGSTOP of the cache', 'I1, I2, I4', cache_frozen, overlaps=True, cache=True),
    Case('F20d', 'the cache is flushed again and again', 'I1, I2, I4', cache_flushed, overlaps=True, cache=True),
    Case('F22', 'the object expirer does not run for a day', 'I1-I5', expirer_never_runs, quiet=True, lasting=True),
    Case('F26', 'the queue is deleted under load and created again at once, twice', 'I1-I5', delete_and_create_again,
         daemons=('swiftqueue-janitor',)),
    Case('F30', 'every server is restarted with SIGTERM', 'I1-I5', restart_everything, overlaps=True),
)

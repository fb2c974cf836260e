"""The model's stand-in for :class:`swiftqueue.majorities.Majorities`."""

from collections import Counter

from swiftqueue.majorities import Pages

from .storage import Visit, answers_at_once


class ModelMajorities:
    """Asks container servers of the model one by one; ``visit`` says how late they are."""

    def __init__(self, model, visit: Visit = answers_at_once) -> None:
        self.model = model
        self.visit = visit
        self.asked: Counter[str] = Counter()  # how often, each time a majority or more

    def listing(self, account: str, container: str, trans_id: str, *, limit: int, marker: str = '',
                end_marker: str = '', reverse: str = '') -> Pages:
        found, absent = [], 0
        self.asked['listing'] += 1
        for replica in self.model.shuffled():
            if 2 * len(found) > self.model.replicas:
                break
            if self.visit('list containers', replica) or replica in self.model.silent('containers'):
                continue
            self.model.catch_up()
            asked = self.model.container_replicas(account, container)[replica]
            if asked is None or not asked.exists().good:
                absent += 1
            else:
                found.append([asked.row(name) for name in asked.names(
                    marker, end_marker, limit=limit, reverse=bool(reverse))])
        return Pages(tuple(found), absent, self.model.replicas)

    def merge(self, policy: int, account: str, container: str, rows: list[dict], trans_id: str) -> bool:
        done = 0
        self.asked['merge'] += 1
        for replica in self.model.shuffled():
            def merge(replica: int = replica) -> bool:
                asked = self.model.container_replicas(account, container)[replica]
                for row in rows if asked else ():
                    asked.merge_row(row)
                return asked is not None
            late = self.visit('merge containers', replica)
            if replica in self.model.silent('containers'):
                continue
            self.model.catch_up()
            if late:
                self.model.postpone(late, merge)
            else:
                done += merge()
        return 2 * done > self.model.replicas

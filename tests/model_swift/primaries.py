"""The model's stand-in for :class:`swiftqueue.object_servers.Primaries`."""

from swiftqueue.object_servers import Replica, Replicas

from .storage import Visit, answers_at_once


class ModelPrimaries:
    """Asks each object server of the model; ``visit`` says how late they are."""

    def __init__(self, model, visit: Visit = answers_at_once) -> None:
        self.model = model
        self.visit = visit

    def __call__(self, policy: int, account: str, container: str, name: str, trans_id: str) -> Replicas:
        now = self.model.clock()
        answers = [self.model.ask_object_server(replica, 'HEAD', account, container, name, now, self.visit)
                   for replica in range(self.model.replicas)]
        return Replicas(tuple(
            Replica(answer.status, {key.lower(): value for key, value in answer.headers.items()})
            for answer in answers if answer and answer.status in (200, 404)), self.model.replicas)

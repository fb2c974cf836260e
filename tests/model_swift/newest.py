"""The model's stand-in for :class:`swiftqueue.object_servers.NewestHeaders`."""

from swiftqueue.object_servers import newest

from .storage import Visit, answers_at_once


class ModelNewestHeaders:
    """Asks each object server of the model; ``visit`` says how late they are."""

    def __init__(self, model, visit: Visit = answers_at_once) -> None:
        self.model = model
        self.visit = visit

    def __call__(self, policy: int, account: str, container: str, name: str, trans_id: str) -> dict[str, str] | None:
        found = []
        for replica in range(self.model.replicas):
            answer = self.model.ask_object_server(replica, 'HEAD', account, container, name, self.model.clock(),
                                                  self.visit)
            if answer is None or answer.status != 200:
                return None
            found.append({key.lower(): value for key, value in answer.headers.items()})
        return newest(found)

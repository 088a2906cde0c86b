"""As much of prime-rl 559b44772 and verifiers 0.4.0 as λ-GRPO touches: the graph of a trace and the registry."""

import sys
from types import ModuleType, SimpleNamespace


def node(token_ids, mask, **streams):
    return SimpleNamespace(token_ids=token_ids, mask=mask, loss_weights=streams or None)


class Branch:
    def __init__(self, nodes):
        self.nodes = nodes

    @property
    def token_ids(self):
        return [token for node in self.nodes for token in node.token_ids]


def iter_trainable_traces(episodes):
    return ((episode, trace) for episode in episodes for trace in episode.traces if trace.trains)


def iter_trainable_branches(trace):
    """Each branch with its mask: a message that an earlier branch holds too is context."""
    seen = []
    for branch in trace.branches:
        mask = [flag and not any(node is other for other in seen) for node in branch.nodes for flag in node.mask]
        seen += branch.nodes
        if any(mask):
            yield branch, mask


class GRPOAlgorithm:
    def __init__(self, config, policy_pool):
        self.config, self.policy_pool = config, policy_pool

    async def score_group(self, episodes):
        for _, trace in iter_trainable_traces(episodes):
            trace.scored = True


def install(monkeypatch):
    """Put the modules where imports find them, and return `prime_rl.orchestrator.algo`."""
    made = {
        "prime_rl": {},
        "prime_rl.orchestrator": {},
        "prime_rl.orchestrator.algo": {"ALGORITHM_CLASSES": dict.fromkeys(("grpo", "max_rl", "echo"), GRPOAlgorithm)},
        "prime_rl.orchestrator.algo.base": {"iter_trainable_traces": iter_trainable_traces},
        "prime_rl.orchestrator.trajectories": {"iter_trainable_branches": iter_trainable_branches},
        "prime_rl.utils": {},
        "prime_rl.utils.logger": {"get_logger": lambda: SimpleNamespace(info=lambda _: None)},
    }
    for name, members in made.items():
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    return sys.modules["prime_rl.orchestrator.algo"]

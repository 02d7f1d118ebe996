"""Networks that serve either side, and weights that come from the run's own noise."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeVar, get_args
from weakref import WeakKeyDictionary
from zlib import crc32

import torch
from torch import Tensor, nn

from interplay.agents.loops import scorer
from interplay.agents.loops.flat import call, can_move, in_one_piece, usable
from interplay.agents.parts.layers import StackedLinear, StackedNorm, norm_layer
from interplay.agents.parts.layers import linear_layer as linear_layer
from interplay.agents.parts.layers import undrawn as undrawn
from interplay.agents.parts.layers import undrawn_parameter as undrawn_parameter
from interplay.envs.messages import choice
from interplay.envs.noise import Stream, uniform, world_key
from interplay.envs.stacking import is_stacked
from interplay.envs.types import InterplayError, Observation, SideSpec

Sharing = Literal["shared", "embedding", "independent"]
Network = TypeVar("Network", bound=nn.Module)
_places: WeakKeyDictionary[nn.Module, list[tuple[dict[str, Any], str]]] = WeakKeyDictionary()  # of parameters
_AT_ONCE = 1 << 20  # options that are scored at once where nothing is learnt, so that hidden layers stay small
_EMBEDDING = 8  # numbers that distinguish agents of a side, where they share the rest


class OptionScorer(nn.Module):
    """Values of all actions: each option is scored with the same weights in every place.

    An option's hidden vector sums a layer of the agent's features, one of the option's, and one of the mean option,
    so that an option is judged against what else is there. Doing nothing is scored from the rest alone.

    Args:
        spec: the side's shapes.
        hidden: width.
        device: where they live.
        num_outputs: Z, numbers for each action: 1 for a value, more for quantiles of it.
        dueling: whether values are a state's value plus advantages (Wang et al. 2016, equation 9).
        layer_norm: whether hidden layers are normalised.
        sharing: ``"shared"`` = one network for all agents of the side; ``"embedding"`` = one, which reads a learnt
            vector for each agent; ``"independent"`` = one for each, with nothing in common, all evaluated in one
            batched product.
    """

    def __init__(self, spec: SideSpec, hidden: int, device: torch.device, *, num_outputs: int = 1,
                 dueling: bool = False, layer_norm: bool = False, sharing: Sharing = "shared") -> None:
        super().__init__()
        own, option, levels = len(spec.own_features), len(spec.option_features), spec.num_levels
        copies = spec.num_agents if sharing == "independent" else 0
        self._num_outputs, self._num_levels, self._copies = num_outputs, levels, copies
        self._agent_embedding = (undrawn(nn.Embedding, spec.num_agents, _EMBEDDING, device=device)
                                 if sharing == "embedding" else None)
        self._own = linear_layer(own + _EMBEDDING * (sharing == "embedding"), hidden, device, copies)
        self._option = linear_layer(option, hidden, device, copies)
        self._around = linear_layer(option, hidden, device, copies)

        def head(outputs: int) -> nn.Sequential:
            norms = [[norm_layer(hidden, device, copies)] if layer_norm else [] for _ in range(2)]
            return nn.Sequential(*norms[0], nn.ReLU(), linear_layer(hidden, hidden, device, copies), *norms[1],
                                 nn.ReLU(), linear_layer(hidden, outputs * num_outputs, device, copies))

        # Items of some markets can only rest: then there is no option to score.
        self._option_head = head(levels) if levels > 0 else None
        self._nothing_head = head(1)
        self._value_head = head(1) if dueling else None
        plain = self._option_head is not None and not dueling and sharing == "shared"
        self._form = scorer.Form(hidden, levels, num_outputs, layer_norm) if plain else None

    def of(self, agent_ids: Tensor) -> OptionScorer:
        """The network of the agents int64 ``[N']``: itself, unless each has one of its own and some are left out."""
        if self._copies in (0, len(agent_ids)):
            return self
        chosen = copy.deepcopy(self)
        for layer in chosen.modules():
            if isinstance(layer, StackedLinear | StackedNorm):
                layer.weight, layer.bias = nn.Parameter(layer.weight[agent_ids]), nn.Parameter(layer.bias[agent_ids])
        return chosen

    def forward(self, own: Tensor, options: Tensor, agent: Tensor | None = None) -> Tensor:
        """Score all actions.

        Args:
            own: ``[..., F_own]``, where independent networks need ``[..., N, F_own]``.
            options: ``[..., M, F_option]``.
            agent: int64 ``[...]`` or ``[N]``, the agent's id; needed by ``"embedding"`` alone.

        Returns:
            ``[..., 1 + M * L, Z]``.
        """
        if self._form is not None and scorer.can_score(self._form, own, options, weights := parameters_of(self)):
            return scorer.scores(self._form, weights, own, options)
        if (parts := -(-options.shape[:-1].numel() // _AT_ONCE)) <= 1 or self._copies > 0 or torch.is_grad_enabled():
            return self._all(own, options, agent)
        agents = [None] * parts if agent is None else agent.chunk(parts, -1)
        rows = zip(own.chunk(parts, -2), options.chunk(parts, -3), agents, strict=False)
        return torch.cat([self._all(*part) for part in rows], dim=-3)

    def form(self, own: Tensor, options: Tensor) -> scorer.Form | None:
        """What loops know of it, if they can work on it and on these, with one value for each action."""
        form = self._form if self._num_outputs == 1 else None
        return form if form is not None and usable(form.hidden, parameters_of(self), own, options) else None

    def _all(self, own: Tensor, options: Tensor, agent: Tensor | None) -> Tensor:
        """``forward``, of all rows at once."""
        context = self._context(own, options, agent)
        scores: Tensor = self._nothing_head(context)
        if self._option_head is not None:
            each = self._option_head(context + self._option(options))
            each = each.unflatten(-1, (-1, self._num_outputs)).flatten(-3, -2)
            scores = torch.cat([scores, each], dim=-2)
        if self._value_head is not None:
            scores = self._value_head(context) + scores - scores.mean(-2, keepdim=True)
        return scores

    def taken(self, own: Tensor, options: Tensor, action: Tensor, agent: Tensor | None = None) -> Tensor:
        """The values of one action of each row, ``[..., Z]``: what ``forward`` gives there, up to rounding.

        Of other options only the mean is seen, which leaves out most of the work for them and for gradients of 0.

        Args:
            own: as for ``forward``.
            options: as for ``forward``.
            action: int64 ``[...]``.
            agent: as for ``forward``.
        """
        if self._option_head is None or self._value_head is not None:
            return values_of(self(own, options, agent), action)
        if self._form is not None and scorer.usable(self._form, own, options, weights := parameters_of(self)):
            return scorer.taken(self._form, weights, own, options, action)
        context = self._context(own, options, agent)
        place, levels = (action - 1).clamp(min=0)[..., None, None], self._num_levels
        option = options.gather(-2, (place // levels).expand(*action.shape, 1, options.shape[-1]))
        each = self._option_head(context + self._option(option)).unflatten(-1, (-1, self._num_outputs)).squeeze(-3)
        if levels > 1:
            each = each.gather(-2, (place % levels).expand(*action.shape, 1, self._num_outputs))
        return torch.where(action.unsqueeze(-1) > 0, each.squeeze(-2), self._nothing_head(context).squeeze(-2))

    def _context(self, own: Tensor, options: Tensor, agent: Tensor | None) -> Tensor:
        """What is the same for all options of a row, ``[..., 1, hidden]``."""
        if self._agent_embedding is not None:
            which = self._agent_embedding(agent)
            own = torch.cat([own, which.expand(*own.shape[:-1], which.shape[-1])], dim=-1)
        # All agents as if they were one option, so that the agents' axis is always the third last.
        context: Tensor = self._own(own.unsqueeze(-2)) + self._around(options.mean(-2, keepdim=True))
        return context


def values_of(values: Tensor, action: Tensor) -> Tensor:
    """Values ``[..., A, Z]`` of the actions ``[...]``: ``[..., Z]``."""
    return values.gather(-2, action[..., None, None].expand(*action.shape, 1, values.shape[-1])).squeeze(-2)


class Scorer(nn.Module):
    """``OptionScorer`` for agents of one's own: an observation to a value for each action.

    Like any module of torch it is made on torch's default device and takes its weights from torch's generator, which in
    ``build`` are the agent's own.

    Args:
        spec: the side's shapes.
        hidden: width.
    """

    def __init__(self, spec: SideSpec, hidden: int = 64) -> None:
        super().__init__()
        self._network = OptionScorer(spec, hidden, torch.get_default_device())
        draw_weights(self, int(torch.randint(1 << 31, (), device="cpu")), "scorer")

    def forward(self, seen: Observation) -> Tensor:
        """Score all actions: ``[..., 1 + M * L]``."""
        scores: Tensor = self._network(seen.own, seen.options)
        return scores.squeeze(-1)


@torch.no_grad()
def draw_weights(network: Network, seed: int, owner: str) -> Network:
    """Initialise in place: uniform weights of variance 2 / inputs (He et al. 2015), biases 0, norms 1.

    The draws of a parameter depend on ``seed``, ``owner`` and the parameter's full name alone. So no two networks share
    them, and they are the same on every device. Weights from state to state of a recurrent layer have variance
    1 / (3 inputs), so that its states do not explode.

    Args:
        network: a whole network.
        seed: of the run.
        owner: the player and the network, such as ``"users.value"``: different for different networks of one run.

    Returns:
        ``network``.
    """
    layers = {id(p): layer for layer in network.modules() for p in layer.parameters(recurse=False)}
    for name, parameter in network.named_parameters():
        if "bias" in name.rpartition(".")[2]:  # the parameter's own name: a layer may be called _first_bias
            parameter.zero_()
        elif isinstance(layers[id(parameter)], nn.LayerNorm | StackedNorm):
            parameter.fill_(1.0)
        else:
            inputs = parameter[0].numel() if isinstance(layers[id(parameter)], nn.Conv1d) else parameter.shape[-1]
            bound = ((1.0 if "weight_hh" in name else 6.0) / inputs) ** 0.5
            key = world_key(seed, torch.zeros(1, dtype=torch.int64, device=parameter.device))
            draws = uniform(key, _number(f"{owner}.{name}"), Stream.WEIGHTS, tuple(parameter.shape))[0]
            parameter.copy_((2.0 * draws - 1.0) * bound)
    return network


def _number(name: str) -> int:
    """A name as a 32-bit integer with sign, which is what noise counts steps by."""
    return (crc32(name.encode()) + (1 << 31)) % (1 << 32) - (1 << 31)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Make ``device`` torch's default and start its generators from ``seed``; afterwards they are as before."""
    index = torch.cuda.current_device() if device.type == "cuda" and device.index is None else device.index
    cuda = [index] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda), device:
        for generator in (torch.default_generator, *(torch.cuda.default_generators[number] for number in cuda)):
            generator.manual_seed(seed % (1 << 63))
        yield


@torch.no_grad()
def follow(target: nn.Module, online: nn.Module, rate: float) -> None:
    """Move a target network towards the online one (Polyak averaging; Lillicrap et al. 2016)."""
    slow, fast = (parameters_of(network) for network in (target, online))
    if is_stacked(slow[0]):
        for one, other in zip(slow, fast, strict=True):
            one.copy_(one.lerp(other, rate))  # vmap has no rule for lerp_
    elif can_move(slow[0]):
        call("adam_loop", "follow", in_one_piece(slow), in_one_piece(fast), rate)
    else:
        torch._foreach_lerp_(slow, fast, rate)


def parameters_of(network: nn.Module) -> list[Tensor]:
    """What ``network.parameters()`` gives, of a network whose layers stay, in a tenth of its time."""
    if network not in _places:
        places = {id(weight): (layer._parameters, name) for layer in network.modules()
                  for name, weight in layer._parameters.items() if weight is not None}
        _places[network] = list(places.values())
    return [slots[name] for slots, name in _places[network]]


def check_sharing(sharing: str) -> None:
    """Raise InterplayError unless it is one of ``Sharing``."""
    if sharing not in get_args(Sharing):
        raise InterplayError(f"sharing={sharing!r} is unknown: {choice(get_args(Sharing), sharing)}")

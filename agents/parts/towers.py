"""The article's two towers, for both sides: users' behaviour and items' features meet in one space.

    u = f1(behaviour history),  i = f2(item features),  r_ui = sigmoid(W . (u * i) + b)      (section 4.1)

The product is elementwise, as the article's symbol says; its text calls it a dot product. Where the article scores
responses, an agent scores actions with heads of its own on the same towers: ``W_Q . (u * i) + b_Q`` and no sigmoid.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from interplay.agents.encoders import NONE, HistoryEncoder, Pretrained, find_encoder
from interplay.agents.parts.networks import linear_layer, undrawn
from interplay.envs.types import InterplayError, Observation, Side, SideSpec

Scoring = Literal["hadamard", "concatenation"]


class Embedded(NamedTuple):
    """Agents and their options in the towers' space: ``agent [..., E]`` and ``options [..., M, E]``."""

    agent: Tensor
    options: Tensor


class Towers(nn.Module):
    """Embeds what either side sees, and scores its actions.

    A user is ``f1`` of its own features and its encoded history; an item is ``f2`` of the columns it is seen by,
    which users and items name alike; a segment, which an item targets as if it were a user, has a tower of its own.

    Args:
        specs: the sides to serve.
        hidden: E and the width of all layers.
        device: where they live.
        encoder: of users' histories; ``"none"`` = they are not read.
        embed_ids: whether items have learnt vectors too, by their ids: for logs and fixed catalogues.
        scorer: ``"hadamard"`` = ``W . (u * i) + b``; ``"concatenation"`` = a layer over both.
    """

    def __init__(self, specs: Mapping[Side, SideSpec], hidden: int, device: torch.device, *,
                 encoder: str = NONE, embed_ids: bool = False, scorer: Scoring = "hadamard") -> None:
        super().__init__()
        columns = _item_columns(specs)
        self._item = _tower(len(columns), hidden, device)
        self._hidden = hidden
        self._encoder: HistoryEncoder | None = None
        self._id: nn.Module | None = None
        self._remembered: tuple[str, ...] = ()
        self._places: dict[Side, NDArray[np.int64]] = {}
        if "users" in specs:
            users = specs["users"]
            self._see("users", users.option_features, columns, device)
            ids = users.num_ids if embed_ids else 0
            self._remembered = users.history_features
            if encoder != NONE and users.history_length > 0:
                self._encoder = find_encoder(encoder)(len(users.history_features), users.history_length,
                                                      ids, hidden, device)
            self._user = _tower(len(users.own_features) + hidden * (self._encoder is not None), hidden, device)
            self._response = _Scorer(scorer, hidden, 1, device)
            self._id = undrawn(nn.Embedding, ids, hidden, device=device) if ids > 0 else None
        if "items" in specs:
            self._see("items", specs["items"].own_features, columns, device)
            self._segment = _tower(len(specs["items"].option_features), hidden, device)
        # Items of some markets can only rest: then there is no option to score.
        self._levels = nn.ModuleDict({_of(side): _Scorer(scorer, hidden, spec.num_levels, device)
                                      for side, spec in specs.items() if spec.num_levels > 0})
        self._nothing = nn.ModuleDict({_of(side): linear_layer(hidden, 1, device) for side in specs})
        self._plain = self._encoder is None and self._id is None and scorer == "hadamard"

    def layers(self, side: Side) -> list[nn.Module] | None:
        """The agents' tower, the options' tower, what scores levels and doing nothing, of which ``scores`` is made.

        None if it is made of more.
        """
        if not self._plain or _of(side) not in self._levels:
            return None
        towers = (self._user, self._item) if side == "users" else (self._item, self._segment)
        return [*towers, self._levels[_of(side)], self._nothing[_of(side)]]

    def places(self, side: Side, spec: SideSpec) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The columns that towers read of a side's agents and of their options; -1 = zeros."""
        items = self._places[side]
        if side == "users":
            return np.arange(len(spec.own_features)), items
        return items, np.arange(len(spec.option_features))

    def warm_start(self, pretrained: Pretrained) -> str:
        """Take what fits of what was learnt from a log: items' vectors, and the encoder of histories.

        Features of histories that the encoder did not know count for nothing at first, and a response is to it what
        being liked was.

        Returns:
            What was taken and what was not, with the fix.
        """
        missing = {"item vectors": self._no_vectors(pretrained), "history encoder": self._no_encoder(pretrained)}
        if not missing["item vectors"]:
            self.load_state_dict({"_id.weight": pretrained.item_vector}, strict=False)
        if not missing["history encoder"]:
            assert self._encoder is not None
            assert pretrained.encoder is not None
            columns = [self._remembered.index(name) for name in ("taken", "response")]
            self._encoder.warm_start(pretrained.encoder, columns)
        return "; ".join(f"its {name}: {f'not taken, {why}' if why else 'taken'}" for name, why in missing.items())

    def _no_vectors(self, pretrained: Pretrained) -> str:
        """Why the vectors of items do not fit, "" if they do."""
        size = pretrained.item_vector.shape[1]
        if self._id is not None and self._hidden == size:
            return ""
        return f"which takes embed_ids=true and hidden={size}"

    def _no_encoder(self, pretrained: Pretrained) -> str:
        """Why the encoder does not fit, "" if it does."""
        theirs, own = pretrained.encoder, self._encoder
        if theirs is None:
            return "since it adds up what was met in no order: pretrain with --encoder gru, cnn or transformer"
        if not self._remembered:
            return f"since the market keeps no histories: --market history_length={theirs.length}"
        if own is None or own.name != theirs.name or self._no_vectors(pretrained):
            return f"which takes encoder={theirs.name}, embed_ids=true and hidden={pretrained.item_vector.shape[1]}"
        if theirs.has_places and own.length > theirs.length:
            return f"which takes --market history_length={theirs.length} at most"
        return ""

    def embed(self, side: Side, observation: Observation) -> Embedded:
        """The acting agents and what each may choose from."""
        agent = self.embed_agent(side, observation)
        if side == "items":
            return Embedded(agent, self._segment(observation.options))
        options = self._items("users", observation.options)
        return Embedded(agent, options if self._id is None else options + self._id(observation.ids))

    def embed_agent(self, side: Side, observation: Observation) -> Tensor:
        """The acting agents alone."""
        own = observation.own
        if side == "items":
            return self._items("items", own)
        if self._encoder is not None:
            own = torch.cat([own, self._encoder(observation.history, observation.history_ids)], dim=-1)
        agent: Tensor = self._user(own)
        return agent

    def scores(self, side: Side, embedded: Embedded) -> Tensor:
        """A number for each action, ``[..., 1 + M * L]``."""
        nothing: Tensor = self._nothing[_of(side)](embedded.agent)
        if _of(side) not in self._levels:
            return nothing
        return torch.cat([nothing, self._levels[_of(side)](*embedded).flatten(-2)], dim=-1)

    def response(self, embedded: Embedded) -> Tensor:
        """Logit of a user's response to each option, ``[..., M]``: the article's model as it stands."""
        logit: Tensor = self._response(*embedded)
        return logit.squeeze(-1)

    def _see(self, side: Side, names: tuple[str, ...], columns: tuple[str, ...], device: torch.device) -> None:
        """Where each of the item tower's columns is among a side's features; -1 = that side does not see it."""
        place = [names.index(column) if column in names else -1 for column in columns]
        self._places[side] = np.array(place)
        self.register_buffer(f"_place_{side}", torch.tensor(place, device=device), persistent=False)

    def _items(self, side: Side, features: Tensor) -> Tensor:
        padded = torch.cat([features, torch.zeros_like(features[..., :1])], dim=-1)
        embedded: Tensor = self._item(padded[..., getattr(self, f"_place_{side}")])
        return embedded


class Situation(nn.Module):
    """Agents in view of all their options: ``u + g(u, mean option)``, with a tower ``g`` for each side.

    ``W . (u * i)`` scores an option by itself. But what follows an action also depends on the other options, for
    example on whether another item lives that the user will want later. Their mean is the same in every order.

    Args:
        sides: whose agents.
        hidden: E.
        device: where it lives.
    """

    def __init__(self, sides: Iterable[Side], hidden: int, device: torch.device) -> None:
        super().__init__()
        self._around = nn.ModuleDict({_of(side): _tower(2 * hidden, hidden, device) for side in sides})

    def forward(self, side: Side, embedded: Embedded) -> Embedded:
        """The same options, and agents that know what else they may choose."""
        agent, options = embedded
        around: Tensor = self._around[_of(side)](torch.cat([agent, options.mean(-2)], dim=-1))
        return Embedded(agent + around, options)


class _Scorer(nn.Module):
    """``outputs`` numbers for each pair of an agent and an option."""

    def __init__(self, kind: Scoring, size: int, outputs: int, device: torch.device) -> None:
        super().__init__()
        self._kind = kind
        width = size if kind == "hadamard" else 2 * size
        self._hidden = None if kind == "hadamard" else linear_layer(width, size, device)
        self._out = linear_layer(size, outputs, device)

    def forward(self, agent: Tensor, options: Tensor) -> Tensor:
        """``[..., E]`` and ``[..., M, E]`` to ``[..., M, outputs]``."""
        pair = agent.unsqueeze(-2).expand_as(options)
        if self._hidden is None:
            score: Tensor = self._out(pair * options)
            return score
        joined: Tensor = self._out(torch.relu(self._hidden(torch.cat([pair, options], dim=-1))))
        return joined


def _of(side: Side) -> str:
    """A module's name; a bare ``items`` would hide the method of ``ModuleDict``."""
    return f"of_{side}"


def _item_columns(specs: Mapping[Side, SideSpec]) -> tuple[str, ...]:
    """All columns by which either side sees items, each once."""
    names: list[str] = []
    if "users" in specs:
        names += specs["users"].option_features
    if "items" in specs:
        names += specs["items"].own_features
    return tuple(dict.fromkeys(names))


def _tower(inputs: int, hidden: int, device: torch.device) -> nn.Sequential:
    first, second, third = (linear_layer(width, hidden, device) for width in (inputs, hidden, hidden))
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third)


def check_scoring(scorer: str) -> None:
    """Raise InterplayError unless there is such a scorer."""
    if scorer not in ("hadamard", "concatenation"):
        raise InterplayError(f"scorer={scorer!r} is unknown: choose hadamard or concatenation")

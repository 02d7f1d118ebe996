"""Does a mechanism keep the contract of ``envs/mechanisms/base.py``?

A test of one's own needs one line, ``check_mechanism(MyMechanism)``. It plays small markets with random actions, in
every combination of features that hooks can meet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from interplay.envs import kernels
from interplay.envs.counting import columns_of
from interplay.envs.market import Market
from interplay.envs.mechanisms import Mechanism, Start
from interplay.envs.mechanisms.built_in import KINDS
from interplay.envs.messages import place_of, shortened
from interplay.envs.presets import find_preset
from interplay.envs.testing.making import MechanismError, made, watched
from interplay.envs.testing.traces import (
    STEPS,
    Trace,
    alike,
    any_actions,
    every_side,
    global_state,
    look_at,
    named,
    replayed,
    second_world,
    trace,
    with_tables_of,
)
from interplay.envs.types import FEATURE_BOUND, SIDES, InterplayError
from interplay.envs.world import State, Step

__all__ = ["MechanismError", "check_mechanism"]

_WORLDS = [3, 8, 11]
_SIZES: dict[str, Any] = {"num_users": 5, "num_items": 7, "slate_size": 3, "embedding_size": 4, "num_topics": 3,
                          "num_segments": 2}
_STILL: dict[str, Any] = {kind.name: False for kind in KINDS} | {"response_mode": "mean"}
"""Nothing that users do matters later."""
_CASES: dict[str, dict[str, Any]] = {
    "sampled responses": {}, "mean responses": {"response_mode": "mean", "boosts": False, "num_candidates": 5},
    "fixed slates": {"slate_size": 7, "slate_order": "fixed", "mood.return_rate": 0.0, "team": 0.3},
    "users with a history": {"user_sees": "history", "history_length": 2}}


def check_mechanism(mechanism: Mechanism | type[Mechanism], *, off: Mechanism | None = None) -> None:
    """Raise unless a mechanism keeps the contract.

    Args:
        mechanism: its class, which is checked with default parameters, or an instance.
        off: an instance whose parameters switch it off, if there are such: worlds must then be as without it.

    Raises:
        MechanismError: the first fault.
    """
    try:
        _check_all(made(mechanism), off)
    except (InterplayError, MechanismError) as error:  # a market may find a fault first
        raise MechanismError(str(error)) from error
    except Exception as error:
        kind = mechanism if isinstance(mechanism, type) else type(mechanism)
        raise MechanismError(shortened(f"{kind.__name__} raised {type(error).__name__}"
                                       f"{place_of(error, Path(__file__).parent)}: {error}")) from error


def _check_all(mechanism: Mechanism, off: Mechanism | None) -> None:
    for case, changes in _CASES.items():
        check = _Check(mechanism, case, _SIZES | changes)
        check.shapes(check.market().reset(_WORLDS))
        check.tables()
        check.shapes(check.later()[1])
        check.rewards()
        fast = check.generators()
        check.writes_nothing()
        check.resumes()
        check.some_users()
        check.alone_as_in_a_batch()
        check.kernels(fast)
        check.device()
        check.graphs()
    _Check(mechanism, "still worlds", _SIZES | _STILL).carries_over()
    if off is not None:
        _Check(off, "switched off", _SIZES | _STILL).is_off()


@dataclass(frozen=True)
class _Check:
    """One market with the mechanism; ``case`` says what it is like, ``changes`` are those of the preset ``town``."""

    mechanism: Mechanism
    case: str
    changes: dict[str, Any]

    def require(self, fine: bool, fault: str) -> None:
        """Raise MechanismError unless all is fine."""
        if not fine:
            raise MechanismError(f"{self.mechanism.name}, {self.case}: {fault}")

    def market(self, device: str = "cpu", **more: Any) -> Market:
        """The market with the mechanism, unless ``more`` says otherwise."""
        return find_preset("town").market(device, **(self.changes | {"mechanisms": (self.mechanism,)} | more))

    def later(self) -> tuple[Market, State, Step]:
        """A market some steps later, and its last step; what hooks write into is a copy."""
        return self._later[0], self._later[1].map(Tensor.clone), self._later[2].map(Tensor.clone)

    @cached_property
    def _later(self) -> tuple[Market, State, Step]:
        market = self.market()
        state = market.reset(_WORLDS)
        for number in range(4):
            state, step = market.step(state, *any_actions(market, state, number))
        return market, state, step

    def tables(self) -> None:
        """Tables have a row for each user or item, and numbers in them; so have measures."""
        m, (market, state, _) = self.mechanism, self.later()
        for name, table in m.measures(state).items():
            self.require(bool(table.isfinite().all()), f"measure {name!r} is {table.tolist()}, which is not finite: "
                                                       "give a number")
        start = Start(state.key, state.population, market.config)
        for side, found, count in (("user_tables", m.user_tables(start), market.config.num_users),
                                   ("item_tables", m.item_tables(start), market.config.num_items)):
            for name, table in found.items():
                shape = list(table.shape)
                self.require(shape[:2] == [len(_WORLDS), count], f"{side} gave {name!r} of shape {shape}: begin with "
                                                                 f"{[len(_WORLDS), count]}")
                self.require(bool((state[name] == state[name]).all()), f"update made table {name!r} nan: give numbers")

    def shapes(self, state: State) -> None:
        """Shapes, types and values of what hooks give."""
        m, c, items = self.mechanism, self.market().config, state.slate.items
        (worlds, users, slots), levels = items.shape, 0 if m.item_actions is None else len(m.item_actions.values)
        every = torch.arange(c.num_items).expand(worlds, users, -1)
        segments = torch.arange(c.num_segments).expand(worlds, c.num_items, -1)
        self._given("shift", (state, items), (worlds, users, slots))
        self._given("slate_score", (state, every), (worlds, users, c.num_items))
        self._given("expected_user_reward", (state, items, 0.1 * items), (worlds, users, 1 + slots))
        self._given("leaves", (state,), (worlds, users))
        self._given("allowed_slots", (state, items), (worlds, users, slots))
        self._given("allowed_levels", (state,), (worlds, c.num_items, levels))
        shown = {"see_users": ((worlds, users), ()), "see_items": ((worlds, c.num_items), ()),
                 "see_options": (items.shape, (items,)), "see_segments": (segments.shape, (segments,))}
        for hook, (places, more) in shown.items():
            count = len(columns_of(m, hook, c))
            self._given(hook, (state, *more), (*places, count), FEATURE_BOUND)
            self.require(_overrides(m, hook) or count == 0, f"{count} columns have names, but there is no {hook}")

    def rewards(self) -> None:
        """The same of rewards."""
        m, market = self.mechanism, self.market()
        before = market.reset(_WORLDS)
        for number in range(4):
            after, step = market.step(before, *any_actions(market, before, number))
            for name, table in (("user_reward", step.user_own), ("item_reward", step.item_own)):
                self.require(bool(table.isfinite().all()), f"{name} gave a number that is not finite: give one")
            before = after
        self.require(_overrides(m, "user_reward") or not m.replaces_user_reward, "replaces_user_reward is True, but "
                                                                                  "there is no user_reward: add it")

    def _given(self, hook: str, arguments: tuple[Any, ...], shape: tuple[int, ...], bound: float | None = None) -> None:
        if not _overrides(self.mechanism, hook):
            return
        given = getattr(self.mechanism, hook)(*arguments)
        kind = torch.bool if hook.startswith(("allowed", "leaves")) else torch.float32
        self.require(isinstance(given, Tensor) and given.dtype == kind, f"{hook} must give a tensor of {kind}")
        self.require(given.shape == shape, f"{hook} gave shape {list(given.shape)}, must give {list(shape)}")
        fine = given == given if hook == "slate_score" else given.isfinite()
        self.require(bool(fine.all()), f"{hook} gave a number that is not finite: give one")
        if bound is not None and given.numel():
            self.require(float(given.abs().max()) <= bound, f"{hook} gave {float(given.abs().max()):.4g}: scale it to "
                                                            f"[-{bound:g}, {bound:g}]")

    def some_users(self) -> None:
        """Hooks that may be asked about some users give their rows."""
        _, state, _ = self.later()
        users = torch.tensor([3, 1])
        items = (state.slate.items,)
        for hook, arguments in (("see_users", ()), ("see_options", items), ("slate_score", items),
                                ("allowed_slots", items)):
            if _overrides(self.mechanism, hook):
                call = getattr(self.mechanism, hook)
                some = call(state.of_users(users), *(table[:, users] for table in arguments))
                self.require(alike(some, call(state, *arguments)[:, users]), f"{hook} gave users 3 and 1 other rows "
                             "when asked about them alone: keep what it needs of others in a table, by update")

    def writes_nothing(self) -> None:
        """States and outcomes stay as they were."""
        market = self.market(mechanisms=(watched(self.mechanism, lambda fault: self.require(False, fault)),))
        state = market.reset(_WORLDS)
        for number in range(4):
            state, step = market.step(state, *any_actions(market, state, number))
            look_at(market, state, step)

    def alone_as_in_a_batch(self) -> None:
        """Worlds do not mix."""
        market = self.market()
        together, alone = market.reset(_WORLDS), market.reset(_WORLDS[1:2])
        for number in range(STEPS):
            actions = any_actions(market, together, number)
            together, step = market.step(together, *actions)
            alone, single = market.step(alone, *(action[1:2] for action in actions))
            self._same(named(together.map(second_world)) + named(step.map(second_world)), named(alone) + named(single),
                       "a world went another way in a batch than alone: mix no worlds, and draw by self.uniform", alike)

    def resumes(self) -> None:
        """All that the future depends on is in the tables."""
        market, state, _ = self.later()
        again = self.market()
        restored = again.reset(_WORLDS).loaded(state.state_dict())
        self._same(trace(market, state), trace(again, restored), "a saved state went on another way: keep all that "
                                                                   "changes in tables, and draw by self.uniform")

    def kernels(self, fast: Trace) -> None:
        """Both paths give the same bits."""
        with kernels.switched_off():
            slow = trace(self.market(), self.market().reset(_WORLDS))
        self._same(slow, fast, "worlds went another way with kernels: let hooks depend on their arguments alone")

    def graphs(self) -> None:
        """A step that a GPU replays goes the same way."""
        self._same(*replayed(self.market(), self.market().reset(_WORLDS)), "worlds went another way when a step was "
                   "replayed as a graph: keep no numbers outside of tables")

    def generators(self) -> Trace:
        """Global random state is neither read nor changed; gives what happened."""
        before = global_state()
        found = trace(self.market(), self.market().reset(_WORLDS))
        self.require(before == global_state(), "a hook drew from a global generator: draw by self.uniform")
        return found

    def device(self) -> None:
        """No value is read by the host, and no tensor that was made there meets one of the device."""
        try:
            market = self.market("meta")
            state = market.reset(_WORLDS)
            idle = [torch.zeros(len(_WORLDS), market.specs[side].num_agents, dtype=torch.int64, device="meta")
                    for side in SIDES]
            state, step = market.step(state, *idle)  # one: there, each takes as long as twenty
            seen = [market.observe(state, side, expected=True) for side in every_side(market)]
        except (RuntimeError, NotImplementedError) as error:
            raise MechanismError(f"{self.mechanism.name}, {self.case}: on the meta device, whose tensors have no "
                                 f"values: {str(error).splitlines()[0][:100]}"
                                 f"{place_of(error, Path(__file__).parent)}; make tensors on the device of the "
                                 "state, and do without .item(), float() and `if` on tensors") from error
        devices = {tensor.device.type for record in (state, step, *seen) for tensor in record.tensors()}
        self.require(devices == {"meta"}, "a tensor stayed on the CPU: make tensors on the device of the state")

    def carries_over(self) -> None:
        """Where it says that nothing carries over, what users did at first makes no difference later."""
        if self.mechanism.carries_over:
            return
        market = self.market()
        states = [market.reset(_WORLDS), market.reset(_WORLDS)]
        for number in range(STEPS):
            actions = any_actions(market, states[0], number)
            idle = [torch.zeros_like(actions[0]), actions[1]] if number < 3 else actions
            (one, first), (other, second) = (market.step(state, *chosen) for state, chosen in
                                             zip(states, (actions, idle), strict=True))
            states = [one, other]
            fine = number < 3 or (torch.equal(first.user_own, second.user_own)
                                  and torch.equal(first.item_own, second.item_own))
            self.require(fine, "what users did before changed what was earned later, but carries_over is False: leave "
                               "that out")

    def is_off(self) -> None:
        """Without its effect, worlds are those of the market without it, while items rest."""
        markets = [self.market(), self.market(mechanisms=())]
        states = [market.reset(_WORLDS) for market in markets]
        for number in range(STEPS):
            users, items = any_actions(markets[1], states[1], number)
            played = [market.step(state, users, torch.zeros_like(items)) for market, state in
                      zip(markets, states, strict=True)]
            states = [state for state, _ in played]
            found, expected = (named(with_tables_of(state, states[1])) + named(step) for state, step in played)
            self._same(expected, found, "worlds are not those without it: let hooks give 0, and forbid nothing")

    def _same(self, expected: Trace, found: Trace, fault: str,
              equal: Callable[[Tensor, Tensor], bool] = torch.equal) -> None:
        for (name, one), (_, other) in zip(expected, found, strict=True):
            self.require(equal(one, other), f"{fault} (first in {name})")


def _overrides(mechanism: Mechanism, hook: str) -> bool:
    return getattr(type(mechanism), hook) is not getattr(Mechanism, hook)

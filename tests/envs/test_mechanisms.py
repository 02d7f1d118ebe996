"""Mechanisms from outside the package: what they can do, and what ``check_mechanism`` finds wrong."""

import runpy
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import polars
import pytest
import torch
from torch import Tensor

from interplay.agents import Agent
from interplay.agents.parts.player import Setting
from interplay.envs import kernels
from interplay.envs.behaviour.logged import LoggedBehaviour, logged_market_config
from interplay.envs.data import InteractionLog, make_log
from interplay.envs.drawing.picture import Picture
from interplay.envs.market import Market
from interplay.envs.mechanisms import Levels, Mechanism, Outcome, Start, find_mechanism
from interplay.envs.presets import find_preset
from interplay.envs.sizes import MarketSizes
from interplay.envs.testing import MechanismError, check_mechanism
from interplay.envs.types import SIDES, Observation
from interplay.envs.world import State
from refusals import refused

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
Price = runpy.run_path(str(EXAMPLES / "price.py"))["Price"]
Knowledge = runpy.run_path(str(EXAMPLES / "students.py"))["Knowledge"]


@dataclass(frozen=True)
class Friends(Mechanism):
    """What a user's neighbour took last attracts it."""

    weight: float = 1.0

    def user_tables(self, start: Start) -> dict[str, Tensor]:
        return {"last": start.full_users(0).long()}

    def shift(self, state: State, items: Tensor) -> Tensor:
        return self.weight * (state["last"].roll(1, 1).unsqueeze(2) == items + 1)

    def update(self, state: State, outcome: Outcome) -> dict[str, Tensor]:
        return {"last": torch.where(outcome.position > 0, outcome.item + 1, state["last"])}


@dataclass(frozen=True)
class Sold(Mechanism):
    """An item that was taken is neither shown nor taken again; it may tell how likely it breaks by itself."""

    hidden: bool = True
    breaks: float = 0.0

    def item_tables(self, start: Start) -> dict[str, Tensor]:
        return {"sold": self.uniform(start, start.sizes.num_items) < self.breaks}

    def update(self, state: State, outcome: Outcome) -> dict[str, Tensor]:
        broken = self.uniform(state, *state["sold"].shape[1:]) < self.breaks
        taken = torch.zeros_like(state["energy"]).scatter_add(1, outcome.item, (outcome.position > 0).float()) > 0.0
        return {"sold": state["sold"] | broken | taken}

    def allowed_slots(self, state: State, items: Tensor) -> Tensor:
        return ~state.of_items("sold", items)

    def slate_score(self, state: State, items: Tensor) -> Tensor:
        return torch.where(state.of_items("sold", items) & self.hidden, -torch.inf, 0.0)


def town(*mechanisms: Mechanism, **changes: Any) -> Market:
    small = {"num_users": 6, "num_items": 9, "num_segments": 2, "mechanisms": mechanisms}
    return find_preset("town").market(**small | changes)


def idle(market: Market, worlds: int = 1) -> list[Tensor]:
    return [torch.zeros(worlds, spec.num_agents, dtype=torch.int64) for spec in market.specs.values()]


@pytest.mark.parametrize(("mechanism", "off"), [
    (Price, None), (Knowledge, None), (Friends, Friends(0.0)), (Sold(breaks=0.2), None),
    *(pytest.param(each, None, marks=pytest.mark.slow) for each in (Sold, Sold(hidden=False)))])
def test_examples_and_others_keep_the_contract(mechanism: Any, off: Mechanism | None) -> None:
    check_mechanism(mechanism, off=off)


def test_examples_are_as_short_as_they_should_be() -> None:
    for file in ("price.py", "students.py"):
        code = [line for line in (EXAMPLES / file).read_text().splitlines() if line.strip() and '"""' not in line]
        assert len(code) <= 25, file


def test_an_item_sets_a_price_that_holds_from_the_next_step_on() -> None:
    market = town(Price(sensitivity=0.0), boosts={"levels": (2.0,)})
    state = market.reset([0])
    users, items = idle(market)
    items[0, :3] = torch.tensor([2, 3, 4])  # of rest, one boost and three prices: .5, 1 and 2
    users[:] = 1
    state, step = market.step(state, users, items)
    torch.testing.assert_close(step.item_own, 1.5 * step.item_response)  # margin 1, and the first price
    assert state["price"][0].tolist() == [0.5, 1.0, 2.0, *[0.5] * 6]
    assert state["boost_level"].sum() == 0
    items[0, :3] = torch.tensor([1, 0, 5])  # a boost keeps the price; the first level of the second segment is a boost
    state, step = market.step(state, users, items)
    torch.testing.assert_close(step.item_own, step.item_response * (1.0 + torch.tensor([[0.5, 1, 2, *[0.5] * 6]])))
    assert state["price"][0, :3].tolist() == [0.5, 1.0, 2.0]
    assert state["boost_segment"][0, :3].tolist() == [0, 0, 1]
    assert state["boost_level"][0, :3].tolist() == [1, 0, 1]


def test_prices_lower_responses_and_are_seen_by_both_sides() -> None:
    market = town(Price(prices=(4.0, 1.0)), response_mode="mean")
    state = market.reset([0])
    users = torch.ones(1, 6, dtype=torch.int64)
    dear = market.step(state, users, idle(market)[1])[1].response
    cheap = market.step(state.with_tables({"price": torch.ones_like(state["price"])}), users, idle(market)[1])[1]
    torch.testing.assert_close(torch.logit(cheap.response / 1.0) - torch.logit(dear), torch.full((1, 6), 3.0))
    state = state.with_tables({"price": torch.arange(9.0).unsqueeze(0) / 2.0})
    seen = market.observe(state, "users")
    place = market.specs["users"].option_features.index("price")
    assert (seen.options[..., place] == (seen.ids / 8.0) * state.slate.valid).all()
    seen = market.observe(state, "items")
    assert seen.own[0, :, market.specs["items"].own_features.index("price")].tolist() == [i / 8.0 for i in range(9)]


@dataclass(frozen=True)
class Loyalty(Mechanism):
    """Users come back to items; items see who does."""

    def user_tables(self, start: Start) -> dict[str, Tensor]:
        return {"bought": start.full_users(0, start.sizes.num_items)}

    def update(self, state: State, outcome: Outcome) -> dict[str, Tensor]:
        taken = torch.zeros_like(state["bought"]).scatter_(2, outcome.item.unsqueeze(2), 1.0)
        return {"bought": (state["bought"] + taken * (outcome.position > 0).unsqueeze(2)).clamp(max=4.0)}

    def option_columns(self, sizes: MarketSizes) -> list[str]:
        return ["bought before"]

    def see_options(self, state: State, items: Tensor) -> Tensor:
        return state["bought"].gather(2, items).unsqueeze(3)

    def segment_columns(self, sizes: MarketSizes) -> list[str]:
        return ["buyers", "segment"]

    def see_segments(self, state: State, segments: Tensor) -> Tensor:
        member = state.population.segments(segments.shape[2]).member                      # [B, C, U]
        buyers = (member @ (state["bought"] > 0.0).float()).transpose(1, 2) / member.shape[2]
        return torch.stack([buyers, segments / 4.0], dim=3)


class Returning(Agent):
    """Takes what its user has bought most often."""

    name = "returning"

    def scores(self, observation: Observation, agent_ids: Tensor | None = None) -> Tensor:
        bought = observation.options[..., self.spec.option_features.index("bought before")]
        return torch.cat([torch.full_like(bought[..., :1], 0.5), bought], dim=2)


@pytest.mark.parametrize("with_kernels", [False, True])
def test_agents_see_what_a_mechanism_shows_of_options(with_kernels: bool) -> None:
    if with_kernels:
        check_mechanism(Loyalty)
    market = town(Loyalty())
    state, (users, items) = market.reset([0]), idle(market)
    users[0, :2] = 2
    liked = state.slate.items[0, :2, 1]
    with nullcontext() if with_kernels else kernels.switched_off():
        after, _ = market.step(state, users, items)
        after = replace(after, slate=state.slate)
        seen = [market.observe(after, side) for side in SIDES]
    assert [spec.option_features[-1] for spec in market.specs.values()] == ["bought before", "segment"]
    assert [o.options.shape[3] for o in seen] == [len(s.option_features) for s in market.specs.values()]
    assert seen[0].options[0, :, :, -1].tolist() == [[0, 1, 0, 0], [0, 1, 0, 0], *[[0] * 4] * 4]
    buyers = torch.zeros(9, 2)
    for item, segment in zip(liked.tolist(), state.population.segment[0, :2].tolist(), strict=True):
        buyers[item, segment] += 1 / 6
    torch.testing.assert_close(seen[1].options[0, :, :, -2], buyers)
    assert (seen[1].options[0, :, :, -1] == torch.tensor([0.0, 0.25])).all()
    agent = Returning(market.specs["users"], Setting(1))
    assert agent.act(seen[0], explore=False)[0].tolist() == [2, 2, 0, 0, 0, 0]


def test_levels_that_are_not_by_segment_are_offered_once() -> None:
    market = town(Price(), boosts={"levels": (2.0,)})
    spec, mask = market.specs["items"], market.observe(market.reset([0]), "items").mask
    assert (spec.num_levels, mask.shape[2]) == (4, 9)
    assert mask[0, 0].tolist() == [True, True, True, True, True, True, False, False, False]
    users, items = idle(market)
    items[:] = 6  # the first price with the second segment
    after, step = market.step(market.reset([0]), users, items)
    assert step.illegal_items.tolist() == [9]
    assert (after["boost_level"] == 0).all()


def test_levels_by_segment_and_forbidden_ones() -> None:
    @dataclass(frozen=True)
    class Post(Mechanism):
        """Items post for one segment; those with an even number may not."""

        item_actions: ClassVar[Levels] = Levels((1.0,), by_segment=True)  # type: ignore[assignment]

        def item_tables(self, start: Start) -> dict[str, Tensor]:
            return {"posted": start.full_items(-1)}

        def allowed_levels(self, state: State) -> Tensor:
            return (torch.arange(state["posted"].shape[1]) % 2 == 1).expand(state["posted"].shape).unsqueeze(2)

        def update(self, state: State, outcome: Outcome) -> dict[str, Tensor]:
            posts = outcome.chosen_level(self, keep=torch.zeros_like(state["posted"]))
            return {"posted": torch.where(posts > 0.0, outcome.segment.float(), -1.0)}

    market = town(Post(), boosts={"levels": ()})
    state, (users, items) = market.reset([0]), idle(market)
    assert market.observe(state, "items").mask[0, :2].tolist() == [[True, False, False], [True, True, True]]
    items[:] = 2
    after, step = market.step(state, users, items)
    assert after["posted"][0].tolist() == [-1, 1] * 4 + [-1]
    assert step.illegal_items.tolist() == [5]


def test_two_mechanisms_with_actions_have_levels_of_their_own() -> None:
    class Fee(Price):  # type: ignore[misc,valid-type]
        item_tables = lambda self, start: {"fee": start.full_items(9.0)}  # noqa: E731
        item_columns = Mechanism.item_columns
        see_items = Mechanism.see_items
        update = lambda self, state, outcome: {"fee": outcome.chosen_level(self, keep=state["fee"])}  # noqa: E731
        shift = Mechanism.shift
        item_reward = Mechanism.item_reward

    market = town(Price((1.0, 2.0)), Fee((3.0, 4.0)), boosts={"levels": ()})
    users, items = idle(market)
    items[0, :5] = torch.arange(5)
    after, _ = market.step(market.reset([0]), users, items)
    assert after["price"][0, :5].tolist() == [1.0, 1.0, 2.0, 1.0, 1.0]
    assert after["fee"][0, :5].tolist() == [9.0, 9.0, 9.0, 3.0, 4.0]


def test_an_item_that_dies_sets_no_price() -> None:
    market = town(Price(), boosts={"levels": ()}, budgets={"start": 0.1, "max": 0.1, "upkeep": 0.2})
    users, items = idle(market)
    items[:] = 3
    after, step = market.step(market.reset([0]), users, items)
    assert step.item_terminated.all()
    assert (after["price"] == 0.5).all()


def test_learning_replaces_the_response_as_reward() -> None:
    market = town(Knowledge(gain=0.5, forgetting=0.1), team=0.0)
    state, (users, items) = market.reset([0]), idle(market)
    users[0, 0] = 1
    after, step = market.step(state, users, items)
    topics = state.population.topics[0, int(state.slate.items[0, 0, 0])]
    torch.testing.assert_close(after["known"][0, 0], 0.09 + 0.5 * topics * 0.09 * 0.91)
    torch.testing.assert_close(after["known"][0, 1], torch.full((4,), 0.09))
    torch.testing.assert_close(step.user_own, (after["known"] - state["known"]).sum(2))
    assert step.user_reward is step.user_own
    assert step.response[0, 1] == 0.0
    left = replace(state, active=torch.zeros_like(state.active))
    assert (market.step(left, users, items)[1].user_own == 0.0).all()  # users that have left earn and lose nothing


def test_what_is_added_to_a_reward_is_added_to_the_response() -> None:
    class Bonus(Mechanism):
        def user_reward(self, before: State, after: State, outcome: Outcome) -> Tensor:
            return torch.full_like(outcome.response, 2.0)

    market = town(Bonus())
    users, items = idle(market)
    _, step = market.step(market.reset([0]), users + 1, items)
    assert torch.equal(step.user_own, step.response + 2.0)


@pytest.mark.parametrize("with_kernels", [True, False])
def test_scores_and_masks_keep_items_from_users(with_kernels: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not with_kernels:
        monkeypatch.setattr(kernels, "available", lambda: False)
    market = town(Sold(), num_users=1)
    state, shown = market.reset([0]), []
    for _ in range(11):
        shown += state.slate.items[0, 0, :1][state.slate.valid[0, 0, :1]].tolist()
        state, step = market.step(state, torch.ones(1, 1, dtype=torch.int64), idle(market)[1])
    assert sorted(shown) == list(range(9))  # each once
    assert step.illegal_users.tolist() == [1]
    seen = town(Sold(hidden=False), num_users=1).observe(state, "users")
    assert not seen.mask[..., 1:].any()


def test_a_forbidden_slot_becomes_a_skip() -> None:
    market = town(Sold(hidden=False))
    state = market.reset([0])
    state = state.with_tables({"sold": torch.ones_like(state["sold"])})
    _, step = market.step(state, torch.ones(1, 6, dtype=torch.int64), idle(market)[1])
    assert step.illegal_users.tolist() == [6]
    assert step.position.sum() == 0


def test_draws_of_one_mechanism_move_no_other() -> None:
    class Other(Sold):
        """The same with noise of its own."""

    start = Start(town().reset([0, 1]).key, town().reset([0, 1]).population, town().config)
    assert not torch.equal(Sold().uniform(start, 5), Other().uniform(start, 5))
    state = town().reset([0, 1])
    assert not torch.equal(Sold().uniform(state, 5), Sold().uniform(start, 5))
    assert torch.equal(Sold().uniform(state, 5, offset=2)[:, :3], Sold().uniform(state, 5)[:, 2:])


def test_exact_states_are_not_claimed_where_something_else_carries_over() -> None:
    kale = find_preset("kale")
    assert kale.market().specs["users"].num_states is not None
    assert kale.market(mechanisms=(Knowledge(),)).specs["users"].num_states is None
    assert kale.market(mechanisms=(Knowledge(),)).observe(kale.market(mechanisms=(Knowledge(),)).reset([0]),
                                                          "users").state is None


@pytest.mark.parametrize(("changes", "expected"), [
    ({"price.sensitivity": 2.0}, 2.0), ({"price": {"sensitivity": 3.0}}, 3.0), ({"price": {}}, 1.0)])
def test_parameters_are_set_by_dotted_name(changes: dict[str, Any], expected: float) -> None:
    market = find_preset("town").market(mechanisms=[Price()], **changes)
    assert market.config.further == (Price(sensitivity=expected),)


def test_parameters_of_built_in_mechanisms_have_dotted_names_too() -> None:
    config = find_preset("town").config.changed("market", {"satiation.gain": 2.0, "mood": {"decay": 0.5}})
    assert (config.built_in.satiation.gain, config.built_in.mood.decay) == (2.0, 0.5)


@pytest.mark.parametrize(("changes", "named", "fix"), [
    ({"price.sensitivity": "x"}, ["price.sensitivity", "x"], "number"),
    ({"price.cost": 1.0}, ["price()", "cost"], "sensitivity"), ({"wine.cost": 1.0}, ["market()", "wine"], ()),
    ({"mechanisms": (Price(), Price())}, ["price", 2], ()), ({"mechanisms": ("no-such",)}, ["no-such"], "module:name"),
    ({"mechanisms": 3}, ["mechanisms", 3], "tuple"), ({"mechanisms": (Price,)}, ["mechanisms", Price], ())])
def test_wrong_parameters_are_refused(changes: dict[str, Any], named: list[Any], fix: Any) -> None:
    with refused(*named, fix=fix):
        find_preset("town").market(**({"mechanisms": (Price(),)} | changes))


def test_two_mechanisms_do_not_share_a_table() -> None:
    class Rent(Price):  # type: ignore[misc,valid-type]
        """Another price."""

    with refused("mechanisms", "price"):
        town(Price(), Rent()).reset([0])


def test_a_table_has_no_name_of_the_states_own() -> None:
    class Memory(Price):  # type: ignore[misc,valid-type]
        """A price whose table has a name that every state gives to what users took last."""

        def item_tables(self, start: Start) -> Mapping[str, Tensor]:
            return {"taken": super().item_tables(start)["price"]}

    with refused("mechanism", "taken"):
        town(Memory()).reset([0])


def test_a_table_that_no_mechanism_made_is_an_error() -> None:
    with refused("table", "prize", fix="price"):
        town(Price()).reset([0])["prize"]


def test_names_are_made_of_the_class_unless_given() -> None:
    class LearningCurve(Mechanism):
        pass

    class Named(Mechanism):
        name = "another"

    assert (LearningCurve.name, Named.name, Price.name) == ("learning_curve", "another", "price")


@pytest.mark.parametrize(("name", "named", "fix"), [
    ("pathlib:Path", [], "interplay.envs.mechanisms.Mechanism"),
    ("interplay.envs.types:nobody", ["interplay.envs.types", "nobody"], "spelling"), ("nobody", [], "module:name")])
def test_what_is_no_mechanism_is_refused(name: str, named: list[str], fix: str) -> None:
    with refused("mechanism", name, *named, fix=fix):
        find_mechanism(name)


def small_log() -> InteractionLog:
    rows = {"user": [0, 0, 1, 1], "item": [0, 1, 1, 2], "reward": [1.0, 0.0, 1.0, 0.0]}
    return make_log(polars.DataFrame(rows), source="four rows")


def test_targets_of_a_log_know_nothing_of_other_rewards() -> None:
    log = small_log()
    config = logged_market_config(log, slate_size=2, mechanisms=(Knowledge(),))
    behaviour = LoggedBehaviour(log, log, config, "impute", targets="replay")
    with refused("logged", "mechanism", fix="targets='actual'"):
        Market(config, behaviour)
    Market(logged_market_config(log, slate_size=2, mechanisms=(Price(),)), behaviour)


class Writes(Knowledge):  # type: ignore[misc,valid-type]
    def update(self, state: State, outcome: Outcome) -> dict[str, Tensor]:
        return {"known": state["known"].mul_(0.9)}


class Reads(Knowledge):  # type: ignore[misc,valid-type]
    def see_users(self, state: State) -> Tensor:
        return state["known"] if state["known"].mean() < 2.0 else 2.0 * state["known"]


class Mixes(Knowledge):  # type: ignore[misc,valid-type]
    def see_users(self, state: State) -> Tensor:
        return state["known"]

    def update(self, state: State, outcome: Outcome) -> dict[str, Tensor]:
        return {"known": state["known"] + outcome.topics_taken.mean(0, keepdim=True)}


class Draws(Knowledge):  # type: ignore[misc,valid-type]
    def update(self, state: State, outcome: Outcome) -> dict[str, Tensor]:
        return {"known": state["known"] * torch.rand(1, device=state["known"].device)}


class Unscaled(Knowledge):  # type: ignore[misc,valid-type]
    def see_users(self, state: State) -> Tensor:
        return 1000.0 * state["known"]


class Unnamed(Knowledge):  # type: ignore[misc,valid-type]
    def user_columns(self, sizes: MarketSizes) -> list[str]:
        return ["knowledge"]


class Narrow(Friends):
    def shift(self, state: State, items: Tensor) -> Tensor:
        return torch.zeros_like(state["mood"])


class Neighbours(Friends):
    def slate_score(self, state: State, items: Tensor) -> Tensor:
        return (state["last"].roll(1, 1).unsqueeze(2) == items).float()


class Settled(Knowledge):  # type: ignore[misc,valid-type]
    carries_over = False


class Forgets(Knowledge):  # type: ignore[misc,valid-type]
    def update(self, state: State, outcome: Outcome) -> dict[str, Tensor]:
        past = vars(type(self)).get("past", 0.0)
        type(self).past = past + 0.01
        return {"known": state["known"] + past}


class Switches(Friends):
    def shift(self, state: State, items: Tensor) -> Tensor:
        return torch.full(items.shape, 3.0 if kernels.usable(torch.zeros(1)) else 0.0, device=items.device)


class Widens(Knowledge):  # type: ignore[misc,valid-type]
    def update(self, state: State, outcome: Outcome) -> dict[str, Tensor]:
        return {"known": state["known"].double()}


class Unpaid(Friends):
    replaces_user_reward = True


class Scribbles(Friends):
    def draw(self, picture: Picture, state: State) -> None:
        state["mood"].add_(1.0)


class Spends(Friends):
    def user_reward(self, before: State, after: State, outcome: Outcome) -> Tensor:
        return outcome.response.mul_(2.0)


class Misspelt(Friends):
    def user_rewards(self, before: State, after: State, outcome: Outcome) -> Tensor:
        return outcome.response


class Blurred(Friends):
    def user_tables(self, start: Start) -> dict[str, Tensor]:
        return {**super().user_tables(start), "known": start.full_users(0.0)}

    def update(self, state: State, outcome: Outcome) -> dict[str, Tensor]:
        return {"known": torch.nan * state["known"]}


class Uncounted(Friends):
    def measures(self, state: State) -> dict[str, Tensor]:
        return {"lost": torch.nan * state["mood"].mean(1)}


class Raises(Friends):
    def update(self, state: State, outcome: Outcome) -> dict[str, Tensor]:
        return {"last": state["last"] * (1 // 0)}


class Short(Knowledge):  # type: ignore[misc,valid-type]
    def user_columns(self, sizes: MarketSizes) -> str:
        return "knowledge"


class Listed(Friends):
    item_actions = property(lambda self: [1.0])


class Named(Friends):
    name = "satiation"


class Undecorated(Mechanism):
    gain: float = 1.0


@pytest.mark.parametrize(("kind", "named", "fix"), [
    (Writes, ["update", "known"], "new tensors"), (Reads, ["meta device"], (".item()", "float()")),
    (Mixes, ["batch"], "self.uniform"), (Unscaled, [], "[-4, 4]"), (Unnamed, ["see_users", "[3, 5, 3]"], "[3, 5, 1]"),
    (Narrow, ["shift", "[3, 5]"], "[3, 5, 3]"), (Neighbours, ["slate_score", "users 3 and 1"], "update"),
    (Settled, ["carries_over", False], ()), (Forgets, ["saved state"], "tables"),
    (Switches, ["kernels"], "arguments"), (Widens, ["known", "torch.float64 [3, 5, 3]"], ()),
    (Unpaid, ["replaces_user_reward", True, "user_reward"], ()),
    (Undecorated, ["Undecorated.gain"], "@dataclass(frozen=True)"), (Draws, ["global generator"], "self.uniform"),
    (Scribbles, ["draw", "mood"], "new tensors"), (Spends, ["user_reward", "response"], "new tensors"),
    (Misspelt, ["Misspelt.user_rewards"], "user_reward"), (Blurred, ["known", "nan"], ()),
    (Uncounted, ["lost", "nan"], ()), (Raises, ["Raises", "ZeroDivisionError", "test_mechanisms.py", "1 // 0"], ()),
    (Short, ["user_columns", "knowledge"], "['knowledge']"), (Listed, ["item_actions", "[1.0]"], "Levels((0.5, 1.0))"),
    (Named, ["satiation", 2], "name")])
def test_every_fault_is_found(kind: type[Mechanism], named: list[Any], fix: Any) -> None:
    with refused(*named, fix=fix, kind=MechanismError):
        check_mechanism(kind)


def test_an_instance_that_is_not_off_is_found() -> None:
    with refused("switched off", "worlds", fix="hooks", kind=MechanismError):
        check_mechanism(Friends, off=Friends(2.0))


def test_checks_are_of_no_market_alone() -> None:
    """Kernels are as before after a check that failed."""
    check: Callable[[], None] = lambda: check_mechanism(Switches)  # noqa: E731
    with pytest.raises(MechanismError):
        check()
    assert kernels.usable(torch.zeros(1)) == kernels.available()


@dataclass(frozen=True)
class Ban(Mechanism):
    """Item 0 is not shown."""

    def slate_score(self, state: State, items: Tensor) -> Tensor:
        return torch.zeros(items.shape).masked_fill(items == 0, -torch.inf)


def test_a_platform_cannot_show_what_a_mechanism_forbids() -> None:
    market = find_preset("feed").market(mechanisms=(Ban(),))
    state = market.reset([0])
    mask = market.observe(state, "platform").mask
    shown = market.offer(state, torch.arange(1, 5).expand(1, market.config.num_users, 4)).slate
    assert not mask[:, :, 1].any()
    assert not ((shown.items == 0) & shown.valid).any()


@pytest.mark.parametrize(("hook", "value", "named"), [
    ("user_reward", torch.zeros(()), ["user_reward", "torch.float32 []", "torch.float32 [1, 4]"]),
    ("shift", torch.zeros(1, 4), ["shift", "torch.float32 [1, 4]", "torch.float32 [1, 4, 1]"]),
    ("user_tables", {"t": torch.zeros(4)}, ["t", "torch.float32 [4]", "torch.float32 [1, 4]"]),
    ("update", {"known": torch.zeros(1, 2)}, ["known", "torch.float32 [1, 2]"]),
    ("allowed_slots", torch.ones(1, 4, 2), ["allowed_slots", "torch.float32"]), ("shift", 1.0, ["shift", 1.0])])
def test_a_market_names_the_mechanism_that_gives_something_wrong(hook: str, value: Any, named: list[Any]) -> None:
    kind = type("Odd", (Knowledge,), {hook: lambda self, *arguments: value})
    market = find_preset("viability").market(mechanisms=(kind(),))
    with refused("odd", *named, fix="interplay.envs.testing.check_mechanism"):
        market.step(market.reset([0]), torch.zeros(1, 4).long(), torch.zeros(1, 2).long())


@pytest.mark.parametrize("hook", ["user_tables", "item_tables", "update", "measures"])
def test_a_market_wants_tables_by_name(hook: str) -> None:
    kind = type("Odd", (Friends,), {hook: lambda self, *arguments: None})
    with refused("odd", hook, None, fix="{}"):
        market = find_preset("viability").market(mechanisms=(kind(),))
        state, _ = market.step(market.reset([0]), torch.zeros(1, 4).long(), torch.zeros(1, 2).long())
        market.constants.mechanisms.measures(state)


@pytest.mark.parametrize("column", ["appeal", "popularity"])
def test_no_two_columns_have_one_name(column: str) -> None:
    """By which a memory of ``dqn`` finds what follows from an item."""
    kind = type("Odd", (Price,), {"item_columns": lambda self, sizes: [column]})
    with refused("mechanisms", "users", 2, column):
        find_preset("town").market(mechanisms=(kind(),))


def test_parameters_are_fields_that_a_run_can_repeat() -> None:
    with refused("Odd", "__init__", fix="@dataclass(frozen=True)"):
        type("Odd", (Mechanism,), {"__init__": lambda self, rate=0.5: None})

    @dataclass(frozen=True, slots=True)
    class Slotted(Mechanism):
        rate: float = 0.5

    assert Slotted(0.7).rate == 0.7


def test_parameters_are_checked_where_a_mechanism_forgets_to() -> None:
    kind = type("Odd", (Price,), {"__post_init__": lambda self: None})
    with refused("sensitivity", "much"):
        find_preset("town").market(mechanisms=(kind(sensitivity="much"),))

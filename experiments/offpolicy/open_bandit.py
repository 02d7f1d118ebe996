"""Open Bandit as a case for off-policy evaluation."""

from __future__ import annotations

from interplay.envs.data.open_bandit import OpenBanditLog
from interplay.experiments.offpolicy.feedback import BanditFeedback


def open_bandit_feedback(log: OpenBanditLog) -> BanditFeedback:
    """The log's impressions as rounds; the reward is the click."""
    return BanditFeedback(log.context, log.item, log.click, log.propensity, log.num_items, log.position,
                          log.item_features)

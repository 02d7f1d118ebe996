"""Off-policy evaluation: estimates of a policy's value from a log of another policy.

A log (``BanditFeedback``) and a target policy's probabilities give a ``Case``; estimators (``ESTIMATORS``) turn that
into ``Terms``; ``evaluate_policy`` adds intervals, effective sizes and warnings.
"""

from interplay.experiments.offpolicy.estimators import ESTIMATORS, WEIGHTING, Case, Estimator, Terms, make_case
from interplay.experiments.offpolicy.evaluation import Evaluation, evaluate_case, evaluate_policy, evaluation_table
from interplay.experiments.offpolicy.feedback import BanditFeedback
from interplay.experiments.offpolicy.reward_models import cross_fitted

__all__ = ["ESTIMATORS", "WEIGHTING", "BanditFeedback", "Case", "Estimator", "Evaluation", "Terms", "cross_fitted",
           "evaluate_case", "evaluate_policy", "evaluation_table", "make_case"]

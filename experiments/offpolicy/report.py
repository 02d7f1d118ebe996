"""What ``ope`` found, as rows and as the report that follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from interplay.experiments.common.reports import made_line
from interplay.experiments.common.statistics import Estimate
from interplay.experiments.offpolicy.accuracy import Accuracy, accuracy_table
from interplay.experiments.offpolicy.evaluation import Evaluation, evaluation_table


class Section(NamedTuple):
    """One table and the lines before it.

    Attributes:
        text: what was asked.
        evaluations: what each estimator says of one log; empty where estimators are judged.
        accuracies: how each estimator does over many logs; empty where one log is evaluated.
    """

    text: str
    evaluations: Sequence[Evaluation] = ()
    accuracies: Sequence[Accuracy] = ()

    def __str__(self) -> str:
        parts = [self.text]
        if self.evaluations:
            parts.append(evaluation_table(list(self.evaluations)))
        if self.accuracies:
            parts.append(accuracy_table(list(self.accuracies)))
        return "\n\n".join(parts)

    def as_dict(self) -> dict[str, Any]:
        """Nested, ready for JSON."""
        evaluations = [e._asdict() | {"estimate": e.estimate._asdict()} for e in self.evaluations]
        return {"text": self.text, "evaluations": evaluations, "accuracies": [a._asdict() for a in self.accuracies]}


def ope_text(folder: Path, source: Mapping[str, Any]) -> str:
    """The text of the report, from the rows of its sections."""
    sections = [Section(one["text"], [_evaluation(row) for row in one["evaluations"]],
                        [Accuracy(**row) for row in one["accuracies"]]) for one in source["data"]["sections"]]
    return "\n\n".join([made_line(source["made"]), *map(str, sections)]) + "\n"


def _evaluation(row: Mapping[str, Any]) -> Evaluation:
    return Evaluation(**{**row, "estimate": Estimate(**row["estimate"])})

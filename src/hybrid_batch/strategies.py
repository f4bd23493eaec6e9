"""Strategies as values: a mixture of kinds of batch.

A *kind* says how the languages of the pairs of a batch are drawn and which task they come from, a *strategy* is a
mixture of kinds. Named strategies are functions from their parameters to a mixture.
"""

import re
from dataclasses import dataclass

PAIRINGS = ("mixed", "mono", "cross")
TASKS = ("qa", "extra", "reasoning", "parallel")  # extra: more question-passage pairs, as a control


@dataclass(frozen=True)
class Kind:
    """One kind of batch.

    pairing: "mixed", each pair within one language, languages mixed in the batch (X-X); "mono", the whole batch
        in one language (X-X-mono); "cross", each pair across two languages (X-Y).
    task: whose rows it draws, one of TASKS; "parallel", a text and its translation, is "cross" only.
    languages: None, or only these.
    """

    pairing: str
    task: str = "qa"
    languages: tuple | None = None

    def __post_init__(self):
        for what, value, allowed in (("pairing", self.pairing, PAIRINGS), ("task", self.task, TASKS)):
            if value not in allowed:
                raise ValueError(f"{what} {value!r} is unknown; choose from {', '.join(allowed)}")
        if self.task == "parallel" and self.pairing != "cross":
            raise ValueError(f"parallel batches pair a text with its translation: their pairing must be 'cross', not "
                             f"{self.pairing!r}")

    def __str__(self):
        where = f" [{' '.join(self.languages)}]" if self.languages else ""
        return f"{self.task} {self.pairing}{where}"

    @classmethod
    def parse(cls, text):
        """The kind that ``str`` writes so: "qa mono", "reasoning cross", "qa mono [en]"; "mono" is "qa mono"."""
        match = re.fullmatch(r"(?:(\w+) )?(\w+)(?: \[([\w -]+)\])?", str(text).strip())
        if not match:
            raise ValueError(f"{text!r} is no kind of batch; write TASK PAIRING, such as 'qa mono', 'reasoning cross' or "
                             f"'qa mono [en]'")
        task, pairing, languages = match.groups()
        return cls(pairing, task or "qa", tuple(languages.split()) if languages else None)


class Mixture(dict):
    """A strategy: {Kind: share}, shares made to sum to 1, kinds without a share left out, in an order of their own, so
    that two ways of writing one strategy are one. Kinds may be written as texts:
    ``Mixture({"qa mono": .5, "qa cross": .5})`` is the paper's hybrid."""

    def __init__(self, shares):
        shares = {kind if isinstance(kind, Kind) else Kind.parse(kind): share for kind, share in shares.items()}
        for kind, share in shares.items():
            if not isinstance(share, (int, float)) or isinstance(share, bool) or not 0 <= share < float("inf"):
                raise ValueError(f"the share of {kind} batches must be a number of 0 or more, not {share!r}")
        if not (total := sum(shares.values())):
            raise ValueError("a strategy needs a kind of batch with a share above 0, such as {qa mono: 1}")
        order = sorted(shares, key=lambda kind: (TASKS.index(kind.task), PAIRINGS.index(kind.pairing), kind.languages or ()))
        super().__init__({kind: shares[kind] / total for kind in order if shares[kind]})

    @property
    def tasks(self):
        """The tasks that it draws from, in the order of TASKS."""
        return [task for task in TASKS if any(kind.task == task for kind in self)]

    def __str__(self):
        return " + ".join(f"{share:.4g} {kind}" for kind, share in self.items())

    def written(self):
        """{text of a kind: share}, for files; the order of the kinds does not count."""
        return {str(kind): round(share, 9) for kind, share in sorted(self.items(), key=lambda item: str(item[0]))}


STRATEGIES = {  # name: shares of kinds of question-passage batch, given alpha
    "X-X": lambda alpha: {"mixed": 1},
    "X-X-mono": lambda alpha: {"mono": 1},
    "X-Y": lambda alpha: {"cross": 1},
    "Hybrid": lambda alpha: {"mono": alpha, "cross": 1 - alpha},
    "En-En": lambda alpha: {"mono [en]": 1},
}
ADDED_PAIRINGS = {"mixed": {"mixed": 1}, "mono": {"mono": 1}, "cross": {"cross": 1}, "hybrid": {"mono": 0.5, "cross": 0.5}}


def mixture(strategy, alpha=0.5, rho=0.0, added="reasoning", pairing="hybrid"):
    """A strategy as a Mixture.

    strategy: a name (a key of STRATEGIES), or a mixture already, which the other parameters do not change.
    alpha: Hybrid's share of monolingual batches, the rest is cross-lingual.
    rho: share of batches of the task ``added``, paired as ``pairing`` says (a key of ADDED_PAIRINGS); batches of
        translations are cross-lingual whatever the pairing.
    """
    if not isinstance(strategy, str):
        return Mixture(strategy)
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy {strategy!r} is unknown; choose from {', '.join(STRATEGIES)}, or give a mixture such "
                         f"as {{qa mono: .4, qa cross: .4, reasoning cross: .2}}")
    for name, share in (("alpha", alpha), ("rho", rho)):
        if not 0 <= share <= 1:
            raise ValueError(f"{name} = {share}: it must be from 0 to 1")
    shares = {Kind.parse(kind): (1 - rho) * share for kind, share in STRATEGIES[strategy](alpha).items()}
    pairs = {"cross": 1} if added == "parallel" else ADDED_PAIRINGS[pairing]
    return Mixture(shares | {Kind(name, added): rho * share for name, share in pairs.items()})

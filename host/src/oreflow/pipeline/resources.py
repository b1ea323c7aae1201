"""What a pipeline depends on, by name: its sources, its tables and its lake; and what is done when they fail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from oreflow.contract import CommitConflict, DeclarationError, Problem
from oreflow.resilience import Policy
from oreflow.resilience.declared import declared_policy, policy_document
from oreflow.validation import did_you_mean

LAKE = "lake"
"""The name of the resource that all tables lie in: their commits, and what is written down of them."""

SHARE = ("resilience", "share")
"""Where a declaration says by which board its breakers are shared."""


@dataclass(frozen=True)
class Resource:
    """One of them: `kind` is source, table or lake.

    A source is listed, and its files are read; a table is made, batch by batch, which is its step; the lake is read and
    committed to. `stale` tells that a table stays as it is while the resource is away.
    """

    name: str
    kind: str
    policy: Policy
    stale: bool = False

    def to_dict(self) -> dict[str, Any]:
        """What `oreflow plan --json` prints for it."""
        return {"resource": self.name, "kind": self.kind, **policy_document(self.policy, stale=self.stale)}


def declared_resources(data: Mapping[str, Any], problems: list[Problem]) -> dict[str, Resource]:
    """The resources of a declaration whose form is right; what is wrong is added to `problems`."""
    kinds = {**dict.fromkeys(data.get("sources", {}), "source"), **dict.fromkeys(data["tables"], "table"), LAKE: "lake"}
    said = data.get("resilience", {})
    problems += _name_problems(data, said, kinds)
    found = {}
    for name, kind in kinds.items():
        try:
            # A table that has failed is not asked again within a run, so that its breaker would have nothing to do.
            policy, stale = declared_policy(said, name, breaker=kind != "table")
        except DeclarationError as error:
            problems += [problem for problem in error.problems if problem not in problems]
            continue
        found[name] = Resource(name, kind, _for_commits(policy) if kind == "lake" else policy, stale)
    return found


def _for_commits(policy: Policy) -> Policy:
    """What makes a commit safe to try again: another writer's is nothing that waiting mends, and no fault of the lake.

    The step is made again then, on the table as it has become.
    """
    breaker = policy.breaker and replace(policy.breaker, ignore=(CommitConflict,))
    return replace(policy, retry=replace(policy.retry, never_on=(CommitConflict,)), breaker=breaker)


def _name_problems(data: Mapping[str, Any], said: Mapping[str, Any], kinds: Mapping[str, str]) -> Iterator[Problem]:
    for name in data.get("sources", {}):
        if kinds[name] != "source":
            message = f"a source cannot be called '{name}', which is the name of another resource"
            yield Problem(message, ("sources", name), "give it another name")
    for name in said.get("resources", {}):
        if name not in kinds:
            mend = did_you_mean(name, kinds)
            yield Problem(f"there is no resource '{name}'", ("resilience", "resources", name), mend)
    if "fallback" in said.get("resources", {}).get(LAKE, {}):
        at = ("resilience", "resources", LAKE, "fallback")
        yield Problem("without its lake, no table can stay as it is", at, "take the key away")

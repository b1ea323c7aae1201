"""What a person sees of configurations."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oreflow.cli import columns
from oreflow.contract import DeclarationError, Problem
from oreflow.secrets import redacted

if TYPE_CHECKING:
    from oreflow.api.checking import Finding
    from oreflow.api.configuring import Pushed, Rollback
    from oreflow.config import Difference, Snapshot, Spoken
    from oreflow.contract import StoredConfig
    from oreflow.pipeline.versions import ConfigVersion

_PULLED = "# version {} of '{}' in the shared store"


def configuration(found: Snapshot) -> None:
    """A line for each value, with who said it."""
    rows = [[key, said.place, said.layer, _text(value)] for key, value, said in found.entries]
    columns.draw(["key", "from", "layer", "value"], rows)
    click.echo(f"\nconfiguration {found.name} in {found.environment}: {found.version}")


def as_yaml(data: Mapping[str, Any]) -> None:
    """The whole as YAML."""
    import yaml

    click.echo(yaml.safe_dump(redacted(dict(data)), sort_keys=False, allow_unicode=True), nl=False)


def explanation(key: str, found: Iterable[tuple[str, Sequence[Spoken]]]) -> None:
    """Each layer's word on a key, or on the keys of a section."""
    for number, (each, said) in enumerate(found):
        if number:
            click.echo()
        if each != key:
            click.echo(each)
        rows = [[_text(s.value), s.place, f"({s.layer} layer)" if s.status == "effective" else s.status] for s in said]
        for line in (line for block in columns.aligned(rows) for line in block):
            click.echo(f"    {line}")
        if not said:
            click.echo("    nobody says it")


def findings(found: Sequence[Finding], strangers: Sequence[str]) -> None:
    """Each problem, as the commands that refuse to run say it; and the variables that look as if they were ours."""
    from oreflow.config import Environment

    for finding in found:
        only = 0 < len(finding.environments) < len(Environment)
        where = f" ({', '.join(finding.environments)})" if only else ""
        click.echo(f"error: {finding.problem}{where}", err=True)
    for variable in strangers:
        click.echo(f"note: the variable {variable} names no key, and is taken to be somebody else's")
    if not found:
        click.echo("all is well")


def history(found: Sequence[ConfigVersion]) -> None:
    """A line for each version."""
    rows = [[str(v.version), v.hash, v.at, v.user, v.environment, ", ".join(v.layers)] for v in found]
    columns.draw(["version", "content", "since", "by", "environment", "layers"], rows, {"version"})


def differences(found: Sequence[Difference]) -> None:
    """A line for each key that differs."""
    if not found:
        click.echo("they are the same")
        return
    columns.draw(["key", "before", "after"], [[d.key, _text(d.before), _text(d.after)] for d in found])


def rolled_back(version: int, done: Rollback) -> None:
    """What was written, and what is not as it was for all that."""
    holds = "holds, but for keys that lie above the local layer or are secrets" if done.differences else "holds"
    click.echo(f"wrote config/{done.file.name}: version {version} {holds}")
    if done.kept:
        click.echo(f"the local layer before it is {done.kept.name}")
    if done.differences:
        differences(done.differences)


def pushed(done: Pushed) -> None:
    """What was published, and what of it does not hold on this machine."""
    click.echo(f"published version {done.version} of '{done.name}'")
    for key, said in done.overridden:
        click.echo(f"note: {key} is another one here, by {said.place} ({said.layer} layer)")


def stored(found: StoredConfig) -> None:
    """What a store says, as a file that can be pushed again."""
    click.echo(_PULLED.format(found.version, found.name))
    if found.data:
        as_yaml(found.data)


def pulled(file: str, version: int | None, name: str | None) -> tuple[int, str]:
    """On which version a file was made, and of which configuration, by what was said and by its first line.

    Raises:
        DeclarationError: nobody says on which version, or it was pulled of another configuration.
    """
    pattern = re.escape(_PULLED).replace(r"\{\}", "(.+)", 1).replace(r"\{\}", "([^']+)")
    found = re.match(pattern, Path(file).read_text(encoding="utf-8-sig", errors="replace"))
    if found and name and found[2] != name:
        mend = f"say --name {found[2]}, or take its first line away and say --on VERSION"
        raise DeclarationError([Problem(f"was pulled of '{found[2]}', not of '{name}'", mend=mend, file=file)])
    if version is None and not (found and found[1].isdecimal()):
        mend = "begin with `oreflow config pull`, or say --on VERSION (0: the store has none)"
        raise DeclarationError([Problem("does not say on which version it was made", mend=mend, file=file)])
    made_on = version if version is not None else int(found[1] if found else 0)
    return made_on, name or (found[2] if found else "pipeline")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(redacted(value), default=str, ensure_ascii=False)

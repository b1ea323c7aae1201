"""Reading a declaration: its layers, what plugins and names have against it, and the typed pipeline that it becomes."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from types import MappingProxyType
from typing import Any

from oreflow.alerting.declared import declared_alerting
from oreflow.config.documents import Document, KeyPath, Layer, Mark, split_mark
from oreflow.config.files import is_there, read_file
from oreflow.config.layers import (
    apply_options,
    apply_variables,
    choose_environment,
    layer_files,
    names_in,
    prefix_of,
    read_layers,
)
from oreflow.config.settings import NAME as SETTINGS
from oreflow.config.settings import read_settings
from oreflow.config.shapes import settle
from oreflow.config.snapshot import Snapshot, discreet
from oreflow.config.stored import stored_layer
from oreflow.contract import Check, DeclarationError, Problem, ProcessingStage
from oreflow.factory import RESERVED_OPTIONS, ProcessorFactory, get_processor_factory
from oreflow.monitoring.declared import declared_monitoring
from oreflow.pipeline.health import Health, declared_health
from oreflow.pipeline.missing import explain_missing
from oreflow.pipeline.model import Pipeline, Source, TableSpec
from oreflow.pipeline.report import READABLE
from oreflow.pipeline.resources import SHARE, declared_resources
from oreflow.pipeline.schema import CHECK_KEYS, PLUGINS_SCHEMA, declaration_schema
from oreflow.quantities import bytes_of
from oreflow.secrets import reference_fault, refers, resembles_reference
from oreflow.validation import did_you_mean, validate

_OF_RESOURCES = {("sources",), ("tables",), ("resilience",)}
_WITH_SECRETS: set[KeyPath] = {
    ("engines",),
    ("monitoring", "metrics"),
    ("monitoring", "tracing"),
    ("alerts", "channels"),
}
_OF_ALERTS: set[KeyPath] = {
    ("alerts",),
    ("tables",),
    ("monitoring", "alert_thresholds"),
    ("monitoring", "metrics", "aggregations"),
}
"""What alerts are made of: that the form of something else is wrong holds up none of their own mistakes."""
_ORDER = {stage.value: position for position, stage in enumerate(ProcessingStage)}


def load_pipeline(
    project: Path,
    name: str,
    environment: str | None = None,
    options: Sequence[str] = (),
    layer: Document | None = None,
    sections: Mapping[str, Path] = MappingProxyType({}),
) -> tuple[Pipeline, ProcessorFactory]:
    """Read and check `config/NAME.yaml` with its layers; gives it with the factory of the plugins that it allows.

    `options` are `KEY=VALUE`, the last layer; `layer` takes the place of what the shared store says; `sections` are
    files, each of which takes the place of the section whose content it is.

    Raises:
        DeclarationError: everything that is wrong, at once, each with its file and line.
    """
    project = project.resolve()
    config, factory, problems = read_pipeline(project, name, environment, options, layer, sections)
    document, data = config.document, config.document.data
    specs = _specs(data, problems, factory)
    formed = not any(problem.path[:1] in _OF_RESOURCES or not problem.path for problem in problems)
    resources = declared_resources(data, problems) if formed else {}
    problems += _reference_problems(data)
    taking = {(name,) for name, (metadata, _) in factory.sections.items() if metadata.takes_secrets}
    problems += _secret_problems(data, (), _WITH_SECRETS | taking)
    if "://" in str(data.get("lake", "")):
        problems.append(Problem("a lake is a folder of this machine", ("lake",), "give a path such as ./lake"))
    problems += [problem for spec in specs.values() for problem in _option_problems(spec, factory)]
    monitoring = None
    if not any(problem.path[:1] in {(), ("monitoring",)} for problem in problems):
        monitoring, wrong = declared_monitoring(data, factory)
        problems += wrong
    alerting = None
    if not any(_touches(problem.path, part) for problem in problems for part in _OF_ALERTS):
        alerting, wrong = declared_alerting(data, factory)
        problems += wrong
    health = Health()
    if not any(problem.path[:1] in {(), ("health",), ("tables",)} for problem in problems):
        health = declared_health(data.get("health", {}), specs, problems)
    if problems:
        problems += [
            Problem(f"{plugin} is broken, and what it brings is missing: {plugin.reason}", mend=plugin.mend)
            for plugin in factory.missing
        ] + [
            Problem(f"{plugin} is not loaded, and what it brings is missing: {plugin.reason}", mend="let it in")
            for plugin in factory.plugins
            if plugin.status == "disabled" and any(_may_be_missing(problem) for problem in problems)
        ]
        shown = [discreet(problem, config.schema) for problem in problems]
        found = {problem if problem.file else document.locate(problem) for problem in shown}
        raise DeclarationError(sorted(found, key=lambda problem: (problem.file, problem.line, problem.key)))
    lake = (project / str(data.get("lake", "./lake"))).resolve()
    engines = dict(data.get("engines", {}))
    limit = engines.pop("auto", {}).get("in_process_up_to")
    sections = {name: data[name] for name in factory.sections if name in data}
    pipeline = Pipeline(
        name=data["name"],
        description=data.get("description", ""),
        project=project,
        lake=lake,
        tables=_in_order(specs),
        engines=engines,
        resources=resources,
        sections=sections,
        in_process_up_to=None if limit is None else bytes_of(limit),
        config=config,
        share=data.get("resilience", {}).get("share", ""),
        monitoring=monitoring,
        health=health,
        alerting=alerting,
    )
    return pipeline, factory


def _touches(path: KeyPath, part: KeyPath) -> bool:
    """Whether a problem at a path is of a part of the declaration, or of what the part is in."""
    shorter = min(len(path), len(part))
    return path[:shorter] == part[:shorter]


def _may_be_missing(problem: Problem) -> bool:
    """Whether a problem may come of a plugin that is not there."""
    starts = ("unknown key", "there is no processor", "nothing that is installed")
    return problem.message.startswith(starts) or problem.message.endswith("which is not installed")


def read_pipeline(
    project: Path,
    name: str,
    environment: str | None,
    options: Sequence[str] = (),
    layer: Document | None = None,
    sections: Mapping[str, Path] = MappingProxyType({}),
) -> tuple[Snapshot, ProcessorFactory, list[Problem]]:
    """All layers of a declaration, with what its form has against it.

    Raises:
        DeclarationError: a layer cannot be read.
    """
    document, factory = read_declaration(project, name, environment, options)
    chosen = choose_environment(environment, os.environ)
    address = read_settings(project, chosen, os.environ).store
    if address and layer is None:
        layer = stored_layer(address, name, factory)
    if layer:
        if any(split_mark(key)[0] == "plugins" for key in layer.data):
            mend = "say it in a file: it decides who may read the store"
            raise DeclarationError([layer.locate(Problem("a store cannot say this", ("plugins",), mend))])
        document.merge(layer)
    for section, file in sections.items():
        factory.require("section", section)
        _put_section(document, section, file)
    schema = declaration_schema(factory)
    apply_variables(document, name, os.environ, schema, names_in(project / "config"))
    apply_options(document, options, schema)
    problems = settle(document, schema)
    problems += explain_missing(validate(document.data, schema), document.data, factory, project, name)
    return Snapshot.of(name, document, schema, chosen.value, problems), factory, problems


def _put_section(document: Document, section: str, file: Path) -> None:
    """Let a file be a section of a document.

    Raises:
        DeclarationError: there is no such file, or it cannot be read.
    """
    if not is_there(file, str(file)):
        raise DeclarationError([Problem("there is no such file", file=str(file))])
    read = read_file(file, str(file), Layer.OPTION)
    key = f"{section}@{Mark.REPLACE}" if section in document.data else section
    origins = {(key, *path): origin for path, origin in read.origins.items()}
    texts = {(key, *path): text for path, text in read.texts.items()}
    document.merge(Document({key: read.data}, origins, texts))


def read_declaration(
    project: Path, name: str, environment: str | None, options: Sequence[str] = ()
) -> tuple[Document, ProcessorFactory]:
    """The files of a declaration, and the factory of the plugins that it lets in, which alone were loaded.

    Raises:
        DeclarationError: a file is missing or wrong.
    """
    if "/" in name or name.endswith((".yaml", ".yml")):
        raise DeclarationError([Problem(f"'{name}' is a path", mend="say the name: config/NAME.yaml is run by NAME")])
    if name == SETTINGS:
        mend = "give the pipeline another name"
        raise DeclarationError([Problem(f"config/{name}.yaml holds the project's settings, no pipeline", mend=mend)])
    chosen = choose_environment(environment, os.environ)
    settings = read_settings(project, chosen, os.environ)
    document = read_layers(layer_files(project, name, chosen), allow_python=settings.allow_python)
    # Variables and options for other keys wait until the plugins have said which keys there are.
    prefix = f"{prefix_of(name)}PLUGINS__"
    own = {key: value for key, value in os.environ.items() if key.startswith(prefix)}
    schema = {"properties": {"plugins": PLUGINS_SCHEMA}}
    apply_variables(document, name, own, schema, names_in(project / "config"))
    apply_options(document, [option for option in options if option.startswith("plugins.")], schema)
    said = document.data.get("plugins")
    if said is None:
        return document, get_processor_factory(project)
    if problems := validate(said, PLUGINS_SCHEMA):  # before anything is loaded that might not be allowed
        places = [replace(problem, path=("plugins", *problem.path)) for problem in problems]
        raise DeclarationError([document.locate(problem) for problem in places])
    return document, get_processor_factory(project, said.get("allow"))


def _secret_problems(value: Any, path: KeyPath, places: Collection[KeyPath]) -> Iterator[Problem]:
    """References to secrets where nobody follows them: what is not at one of these places is handed none."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _secret_problems(each, (*path, key), places)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _secret_problems(each, (*path, index), places)
    elif not isinstance(value, str):
        return
    elif path[:1] not in places and path[:2] not in places and path != SHARE:
        if refers(value) or resembles_reference(value):
            yield Problem("a secret has no place here", path, f"only {_WHO} and resilience.share may refer to one")
    elif fault := reference_fault(value):
        yield Problem(fault, path, "write ${env:NAME} or ${file:/run/secrets/name}")


_WHO = "settings of engines, of monitoring's backends, of alert channels, of plugins that take secrets"


def _inputs(table: Mapping[str, Any]) -> list[str]:
    one, many = table.get("input"), table.get("inputs")
    said = [one, *(many if isinstance(many, list) else [])]
    return [name for name in said if isinstance(name, str)]


def _reference_problems(data: Mapping[str, Any]) -> list[Problem]:
    """What no schema can say: names that lead nowhere, inputs of a later stage, cycles."""
    tables, sources = data.get("tables"), data.get("sources", {})
    if not isinstance(tables, dict) or not isinstance(sources, dict):
        return []
    problems = [
        Problem("sources are files of this machine", ("sources", name, "path"), "give a path such as ./data/raw/*.csv")
        for name, source in sources.items()
        if isinstance(source, dict) and "://" in str(source.get("path", ""))
    ]
    for name, table in tables.items():
        if isinstance(table, dict) and name.split(".")[0] in _ORDER:
            problems += _table_references(name, table, tables, sources)
    graph = {name: _inputs(table) for name, table in tables.items() if isinstance(table, dict)}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = error.args[1]
        message = f"these tables wait for each other: {' -> '.join(circle)}"
        problems.append(Problem(message, ("tables", circle[0]), "take one of the inputs away"))
    return problems


def _table_references(
    name: str, table: Mapping[str, Any], tables: Mapping[str, Any], sources: Mapping[str, Any]
) -> Iterator[Problem]:
    at = ("tables", name)
    stage = name.split(".", maxsplit=1)[0]
    if stage == ProcessingStage.BRONZE.value:
        if _inputs(table):
            yield Problem("a bronze table has a source, no input", at, "take the input away")
        yield from _source_references(table, sources, at)
        return
    if "source" in table:
        yield Problem(f"a {stage} table has an input, no source", (*at, "source"), "read the source in a bronze table")
    if "input" in table and "inputs" in table:
        yield Problem("'input' and 'inputs' are both said", (*at, "inputs"), "keep one of the two")
    if "input" not in table and "inputs" not in table:
        yield Problem(f"a {stage} table needs an input", at, "add `input:` with a table's name")
    for key in ("input", "inputs"):
        for wanted in _inputs({key: table.get(key)}):
            if wanted not in tables:
                mend = did_you_mean(wanted, [t for t in tables if t != name])
                yield Problem(f"no table makes '{wanted}'", (*at, key), mend)
            elif _ORDER.get(wanted.split(".")[0], 0) > _ORDER[stage]:
                message = f"'{wanted}' is of a later stage than '{name}'"
                yield Problem(message, (*at, key), "data walks from bronze to silver to gold")


def _source_references(table: Mapping[str, Any], sources: Mapping[str, Any], at: KeyPath) -> Iterator[Problem]:
    if "source" not in table:
        mend = f"add `source:` with one of {', '.join(sources)}" if sources else "add `sources:`, and `source:` here"
        yield Problem("a bronze table needs a source", at, mend)
    elif isinstance(table["source"], str) and table["source"] not in sources:
        yield Problem(
            f"there is no source '{table['source']}'", (*at, "source"), did_you_mean(table["source"], sources)
        )


def _specs(data: Mapping[str, Any], problems: list[Problem], factory: ProcessorFactory) -> dict[str, TableSpec]:
    """The tables whose form is right, so that what they say can be judged; `problems` are those of the form."""
    needed = {("processors",), ("sources",)}
    if any(problem.path[:1] in needed or problem.path in {(), ("tables",)} for problem in problems):
        return {}
    broken = {problem.path[1] for problem in problems if problem.path[:1] == ("tables",) and len(problem.path) > 1}
    return {name: _spec(data, name, own, factory) for name, own in data.get("tables", {}).items() if name not in broken}


def _spec(data: Mapping[str, Any], name: str, own: Mapping[str, Any], factory: ProcessorFactory) -> TableSpec:
    stage = ProcessingStage(name.split(".", maxsplit=1)[0])
    merged = {**data.get("processors", {}).get(stage.value, {}), **own}
    origins = {key: ("tables", name, key) if key in own else ("processors", stage.value, key) for key in merged}
    return TableSpec(
        name=name,
        stage=stage,
        source=_source(data, merged),
        inputs=tuple(_inputs(merged)),
        engine=merged.get("engine", "auto"),
        processor=merged.get("processor", ""),
        required=tuple(merged.get("required_capabilities", ())),
        preferred=tuple(merged.get("preferred_capabilities", ())),
        quality_threshold=merged.get("quality_threshold"),
        parallelism=merged.get("parallelism"),
        batch_size=merged.get("batch_size"),
        checks=_checks(merged.get("checks", []), factory),
        options={key: value for key, value in own.items() if key not in RESERVED_OPTIONS},
        defaults={key: value for key, value in merged.items() if key not in RESERVED_OPTIONS and key not in own},
        origins={**origins, "": ("tables", name)},
    )


def _option_problems(spec: TableSpec, factory: ProcessorFactory) -> Iterator[Problem]:
    """What the processor and the kinds of check have against the table's options."""
    yield from _check_problems(spec, factory)
    config = spec.processing_config()
    yield from (spec.place(problem) for problem in factory.option_problems(config, spec.processor))


def _in_order(specs: Mapping[str, TableSpec]) -> tuple[TableSpec, ...]:
    order = TopologicalSorter({name: sorted(spec.inputs) for name, spec in specs.items()}).static_order()
    levels = _levels(list(order), specs)
    return tuple(sorted(specs.values(), key=lambda spec: levels[spec.name]))  # a stable sort keeps the file's order


def _levels(order: list[str], specs: Mapping[str, TableSpec]) -> dict[str, int]:
    """How many steps lie before each table, so that tables of a level keep the order of the declaration."""
    levels: dict[str, int] = {}
    for name in order:
        levels[name] = 1 + max((levels[i] for i in specs[name].inputs), default=-1)
    return levels


def _source(data: Mapping[str, Any], table: Mapping[str, Any]) -> Source | None:
    declared = data.get("sources", {}).get(table.get("source"))
    if declared is None:
        return None
    return Source(table["source"], declared["path"], {k: v for k, v in declared.items() if k != "path"})


def _checks(items: Sequence[Mapping[str, Any]], factory: ProcessorFactory) -> tuple[Check, ...]:
    """The checks; those without a name are called by what they look at, and numbered where that is the same."""
    checks: list[Check] = []
    for item in items:
        check = _check(item, factory)
        same = sum(other.name.split(" #")[0] == check.name for other in checks)
        checks.append(check if "name" in item or not same else replace(check, name=f"{check.name} #{same + 1}"))
    return tuple(checks)


def _check(item: Mapping[str, Any], factory: ProcessorFactory) -> Check:
    kind = factory.check_types[item["type"]]
    options = {key: value for key, value in item.items() if key not in CHECK_KEYS}
    about = options.get("column") or options.get("columns") or options.get("expression") or ""
    about = ", ".join(about) if isinstance(about, list) else about
    return Check(
        name=item.get("name") or (f"{kind.name}: {about}" if about else kind.name),
        type=kind.name,
        action=item.get("action", kind.default_action),
        threshold=item.get("threshold"),
        nulls=item.get("nulls", "fail"),
        options=options,
    )


def _check_problems(spec: TableSpec, factory: ProcessorFactory) -> Iterator[Problem]:
    declared = spec.options.get("columns")
    columns = {name: column["type"] for name, column in declared.items()} if isinstance(declared, dict) else {}
    seen: set[str] = set()
    for index, check in enumerate(spec.checks):
        at = (*spec.origins["checks"], index)
        if check.name in seen:
            mend = "quarantined rows are told apart by the name; give each check its own `name:`"
            yield Problem(f"two checks are called '{check.name}'", at, mend)
        if check.name == READABLE:
            yield Problem(f"a check cannot be called '{READABLE}'", at, "the reader's own rule is; choose another name")
        seen.add(check.name)
        for problem in factory.check_types[check.type].problems(check.options, columns):
            yield Problem(problem.message, (*at, *problem.path), problem.mend)

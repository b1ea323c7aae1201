"""The verbs on alerts: list, check, test, silence."""

from __future__ import annotations

import click

from oreflow.cli.groups import Extensible
from oreflow.cli.options import PIPELINE, print_json, project_options


@click.group(cls=Extensible)
def alerts() -> None:
    """See who is told of what, and whether it gets there."""


@alerts.command("list")
@PIPELINE
@project_options
def list_alerts(pipeline: str, project: str, environment: str | None, options: tuple[str, ...], as_json: bool) -> None:
    """List the rules, and the alerts that each has now."""
    from oreflow import api
    from oreflow.cli import show

    found = api.alerts(project, pipeline, environment=environment, options=options)
    print_json([each.to_dict() for each in found]) if as_json else show.alerts(found)


@alerts.command("check")
@PIPELINE
@project_options
def check_alerts(pipeline: str, project: str, environment: str | None, options: tuple[str, ...], as_json: bool) -> int:
    """Tell of what has not happened for too long, and again what could not be told: for cron, between runs."""
    from oreflow import api
    from oreflow.cli import show

    found = api.check_alerts(project, pipeline, environment=environment, options=options)
    print_json(found.to_dict()) if as_json else show.alert_check(found)
    return 1 if found.remarks else 0


@alerts.command("test")
@click.argument("channel")
@PIPELINE
@project_options
def test_channel(
    channel: str, pipeline: str, project: str, environment: str | None, options: tuple[str, ...], as_json: bool
) -> None:
    """Send a test by CHANNEL."""
    from oreflow import api

    api.try_alert_channel(channel, project, pipeline, environment=environment, options=options)
    print_json({"channel": channel, "sent": True}) if as_json else click.echo(f"a test was sent by {channel}")


@alerts.command("silence")
@click.argument("rule")
@click.option("--for", "lasting", metavar="TIME", help="For how long, such as 2h.")
@click.option("--lift", is_flag=True, help="Have it told again.")
@click.option("--table", default="", help="Only where it is about this table.")
@PIPELINE
@project_options
def silence(
    rule: str,
    lasting: str | None,
    lift: bool,
    table: str,
    pipeline: str,
    project: str,
    environment: str | None,
    options: tuple[str, ...],
    as_json: bool,
) -> None:
    """Have nobody told of RULE for some time."""
    from oreflow import api

    if lift == (lasting is not None):
        raise click.UsageError("say for how long, as --for 2h, or --lift")
    found = api.silence_alert(rule, lasting, project, pipeline, table=table, environment=environment, options=options)
    if as_json:
        print_json({"rule": rule, "table": table, "until": found.until if found else None})
    else:
        click.echo(f"'{rule}' is silent until {found.until}" if found else f"'{rule}' is told again")

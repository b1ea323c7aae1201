"""Groups of commands that plugins can add to."""

from __future__ import annotations

from typing import Any

import click

from oreflow.contract.errors import OreflowError


class Extensible(click.Group):
    """The built-in commands of a group, and those of plugins: a plugin's `runs rebuild` is in the group `runs`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """See `click.Group.list_commands`."""
        return sorted({*super().list_commands(ctx), *self._added(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """See `click.Group.get_command`."""
        return super().get_command(ctx, cmd_name) or self._added(ctx).get(cmd_name)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """See `click.Group.resolve_command`; says what may have been meant."""
        import difflib

        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            close = difflib.get_close_matches(args[0], self.list_commands(ctx), 1) if args else []
            if close and "Did you mean" not in error.message:
                raise click.UsageError(f"{error.message} Did you mean '{close[0]}'?", ctx) from error
            raise

    def _added(self, ctx: click.Context) -> dict[str, click.Command]:
        """What plugins add to this group, by the last word of its name."""
        group = f"{self.name} " if ctx.parent else ""
        known: dict[str, Any] = ctx.find_root().meta  # a command asks several times
        brought = known[_BROUGHT] if _BROUGHT in known else known.setdefault(_BROUGHT, _brought())
        found = {name.removeprefix(group): each for name, each in brought.items() if name.startswith(group)}
        return {name: each for name, each in found.items() if " " not in name}


_BROUGHT = "oreflow.commands_of_plugins"


def _brought() -> dict[str, click.Command]:
    """The commands of plugins by their names."""
    from oreflow import api
    from oreflow.factory import answers

    try:
        hooks = api.project_factory().hooks
    except OreflowError:  # the command that reads the declaration will say it
        return {}
    found: dict[str, click.Command] = {}
    for plugin, answer in answers(hooks, "cli_commands", bounded=True):
        commands = answer if isinstance(answer, (list, tuple)) else [answer]
        if wrong := [each for each in commands if not _is_command(each)]:
            click.echo(f"the plugin {plugin} brings {wrong[0]!r} where a command is expected; left out", err=True)
        found = {str(each.name): each for each in commands if _is_command(each)} | found
    return found


def _is_command(value: object) -> bool:
    """Whether it is a command that can be listed."""
    try:
        return isinstance(value, click.Command) and bool(value.name) and value.get_short_help_str() is not None
    except Exception:
        return False

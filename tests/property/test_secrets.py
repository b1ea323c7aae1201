"""Secrets that are planted everywhere come out nowhere."""

from __future__ import annotations

import itertools
import json
import os
import tempfile
import textwrap
import traceback
from base64 import b64encode, urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path
from unittest import mock
from urllib.parse import quote, urlencode

from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import oreflow
from oreflow.cli.commands import oreflow as cli
from oreflow.config import ConfigManager, Secret
from oreflow.contract import DeclarationError
from oreflow.secrets import Redaction, redacted

SECRETS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n", exclude_categories=("Cs",)), min_size=8)


@dataclass
class Database:
    url: Secret
    password: Secret
    key: Secret
    port: int = 0


def plain(text):
    """Letters that could be found in an output by no accident."""
    return f"S3CR{text}ET"


@settings(deadline=None, max_examples=60)
@given(SECRETS, SECRETS, SECRETS, st.booleans())
def test_no_output_of_a_configuration_has_a_secret(first, second, third, broken):
    one, two, three = map(plain, (first, second, third))
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, {"ONE": one, "DATABASE_PASSWORD": two}):
        config = Path(folder, "config")
        config.mkdir()
        (Path(folder) / "three").write_text(f"{three}\n", encoding="utf-8")
        base = {"url": "db://me:${env:ONE}@host", "key": f"${{file:{folder}/three}}", "port": "many" if broken else 1}
        (config / "database.json").write_text(json.dumps(base), encoding="utf-8")
        manager, said = ConfigManager(folder), []
        try:
            value = manager.load_config("database", Database)
            assert value.url.reveal() == f"db://me:{one}@host"
            assert (value.password.reveal(), value.key.reveal()) == (two, three)
            said += [repr(value), str(value), f"{value.url} {value.password!s} {value.key!r}", str(vars(value))]
            int(f"cannot reach {value.url}")
        except (DeclarationError, ValueError):
            said.append(traceback.format_exc())
        snapshot = oreflow.effective_config(folder, "database")
        said += [json.dumps(snapshot.masked), repr(snapshot.explain("")), str(snapshot.values)]
        said += [repr(found) for found in oreflow.check_config(folder)]
        for secret in (one, two, three):
            assert not [text for text in said if secret in text or json.dumps(secret)[1:-1] in text]


SPELLED = {
    "as it is": str,
    "JSON": lambda text: json.dumps({"x": text}),
    "JSON of all letters": lambda text: json.dumps([text], ensure_ascii=False),
    "Python": lambda text: repr({"x": text}),
    "bytes": lambda text: repr(text.encode()),
    "JSON in JSON": lambda text: json.dumps({"x": json.dumps({"y": text})}),
    "Python in JSON": lambda text: json.dumps([ascii(text), repr(text.encode())], ensure_ascii=False),
    "an address": lambda text: f"db://me:{quote(text, safe='')}@host",
    "a query": lambda text: urlencode({"x": text}),
    "base64": lambda text: b64encode(f"user:{text}".encode()).decode(),
    "base64 of addresses": lambda text: urlsafe_b64encode(text.encode()).decode(),
    "lines with a mark": lambda text: "\n".join(f"> {line}" for line in text.split("\n")),
    "indented": lambda text: "\n".join(f"    {line}" for line in text.split("\n")),
    "folded": lambda text: "\n  ".join(textwrap.wrap(text, 9)),
}


@settings(deadline=None, max_examples=200)
@given(st.lists(SECRETS, min_size=1, max_size=4), st.text(), st.text(), st.sampled_from(list(SPELLED)), st.data())
def test_what_was_revealed_is_taken_out_of_any_text_however_it_is_spelled_and_cut(lines, before, after, how, data):
    secret = "\n".join(map(plain, lines))
    assert Secret(secret).reveal() == secret
    text = f"{before} {SPELLED[how](secret)} {after}"
    shown = []
    stream = Redaction(shown.append)
    # What is broken into lines is looked for in each piece, since lines are what streams are written by.
    cuts = [] if how == "folded" else sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    for start, end in itertools.pairwise([0, *cuts, len(text)]):
        stream.feed(text[start:end])
        stream.flush()
    stream.flush(last=True)
    for seen in ("".join(shown), redacted(text)):
        assert "***" in seen
        if "base64" in how:
            assert b64encode(secret.encode()).decode()[8:-8] not in seen
        else:
            assert not [line for line in lines if "".join(plain(line).split()) in "".join(seen.split())]


def test_a_command_masks_values_before_it_writes_them_in_another_spelling(tmp_path):
    secret = Secret('S3c/ret pä"ss').reveal()
    said = {
        "bytes": repr(secret.encode()),
        "ascii": ascii(secret),
        "json": json.dumps(json.dumps({"a": [secret]})),
        "split": secret.replace(" ", "\n "),
        "list": [ascii(secret)],
    }
    (tmp_path / "config").mkdir()
    (tmp_path / "config/red.json").write_text(json.dumps(said))
    for command in (["show", "red"], ["show", "red", "--yaml"], ["show", "red", "--json"], ["explain", "red"]):
        shown = CliRunner().invoke(cli, ["config", *command, "--project", str(tmp_path)])
        assert shown.exit_code == 0
        assert shown.output.count("***") >= len(said)
        assert "S3c" not in shown.output


LEAKS = """
    import base64
    import logging
    import sys
    import oreflow
    from oreflow.config import Secret

    class Careless:
        @oreflow.hookimpl(wrapper=True)
        def run_step(self, step):
            secret = Secret("${env:TOKEN}").reveal()
            print("printed", secret)
            sys.stdout.buffer.write(secret.encode())
            for piece in (secret[:7], secret[7:]):
                print(piece, end="", flush=True)
            print(base64.b64encode(b"user:" + secret.encode()).decode())
            logging.getLogger("careless").error("logged %s", secret)
            yield
            raise HOW(f"cannot reach db://me:{secret}@host")

    oreflow_api = 1
    careless = Careless()
    run_step = careless.run_step
"""


def test_a_careless_plugin_and_its_traceback_show_none(tmp_path, project_in):
    secret = "t0p-s3cret-t0ken"
    for number, how in enumerate(("oreflow.StepError", "RuntimeError")):
        oreflow.init(tmp_path / str(number))
        project = project_in(tmp_path / str(number))
        code = textwrap.dedent(LEAKS).replace("HOW", how)
        (project.root / "oreflow_plugins.py").write_text(code)
        (project.root / "config/pipeline.local.yaml").write_text(
            "engines: {spark: {conf: {spark.hadoop.fs.s3a.secret.key: '${env:TOKEN}', spark.app.name: 'x'}}}\n"
        )
        done = project.cli("run", env={"TOKEN": secret})
        assert done.code == 1, done.out + done.err
        assert "cannot reach db://me:***@host" in done.out
        said = done.out + done.err
        for args in (("runs", "--json"), ("config", "show"), ("config", "show", "--yaml"), ("config", "history")):
            found = project.cli(*args, env={"TOKEN": secret})
            assert found.code == 0, found.err
            said += found.out + found.err
        assert "spark.hadoop.fs.s3a.secret.key: ${env:TOKEN}" in said
        assert secret not in said
        assert "czNjcmV0LXQwa2" not in said  # in base64
        kept = [path for path in project.root.rglob("*") if path.is_file()]
        assert not [path for path in kept if secret.encode() in path.read_bytes()]


def test_the_parts_of_an_address_that_is_a_secret_are_secrets_too():
    address = "https://me:pa55word-of-me@hooks.example/services/T0AAAA/B0BBBB?sig=s1gn4ture"
    with mock.patch.dict(os.environ, {"ADDRESS": address}):
        Secret("${env:ADDRESS}").reveal()
    assert redacted('"POST /services/T0AAAA/B0BBBB?sig=s1gn4ture HTTP/1.1" 200') == '"POST ***?*** HTTP/1.1" 200'
    assert redacted("user me, pa55word-of-me") == "user me, ***"


def test_a_secret_with_an_apostrophe_is_found_in_what_python_shows_of_a_text_with_both_marks():
    with mock.patch.dict(os.environ, {"APOSTROPHE": "it's s3cr3t, ain't it"}):
        secret = Secret("${env:APOSTROPHE}").reveal()
    assert redacted(repr(f'{secret}"')) == "'***\"'"
    assert redacted(repr([f'"{secret}'])) == "['\"***']"

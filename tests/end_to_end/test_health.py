"""Whether a run would go well is said before there is one: by names, in bounded time, with an exit code for probes."""

from __future__ import annotations

import time

import pytest

import oreflow

DECLARATION = """
name: shop
sources:
  sales: {path: "./data/raw/*.csv", format: csv}
tables:
  bronze.sales: {source: sales}
  silver.sales:
    input: bronze.sales
    columns: {id: {type: int64}}
"""
FILES = {"a.csv": "id\n1\n"}
PLUGIN = """
import time
from oreflow import hookimpl
from oreflow.contract import Doubt, HealthCheck

def quick(): return "it is there"
def doubts(): raise Doubt("it is old")
def fails(): raise ConnectionRefusedError("refused, by s3cret-of-health")
def exits(): raise SystemExit("I go")
def hangs(): time.sleep(600)

@hookimpl
def health_checks(engines):
    assert list(engines) == ["polars"]
    return [HealthCheck(f"own {each.__name__}", each) for each in (quick, doubts, fails, exits, hangs)]
"""


def found(made, *args):
    done = made.cli("health", *args, "--json")
    return done.code, {each["name"]: (each["status"], each["reason"]) for each in done.json["checks"]}


def test_a_project_that_can_be_run_passes_before_and_after_its_first_run(project):
    made = project(DECLARATION, FILES)
    names = ["lake", "disk", "plugins", "source sales", "engine polars"]
    for says in ("can be made", "can be written"):
        code, checks = found(made)
        assert (code, list(checks), {status for status, _ in checks.values()}) == (0, names, {"pass"})
        assert checks["lake"][1].endswith(says)
        assert checks["source sales"][1] == "1 file"
        if says == "can be made":
            assert not (made.root / "lake").exists()
        made.run_well()
    assert made.cli("health").out.endswith("\nshop: pass\n")


def test_what_plugins_add_is_looked_at_beside_the_rest_for_so_long_at_the_most(project, monkeypatch):
    monkeypatch.setenv("SECRET_OF_HEALTH", "s3cret-of-health")
    made = project(DECLARATION + "health: {timeout: 1s}\n", FILES)
    (made.root / "oreflow_plugins.py").write_text(PLUGIN)
    start = time.monotonic()
    report = oreflow.health(made.root)
    assert time.monotonic() - start < 6
    checks = {each.name: (each.status, each.reason) for each in report.checks}
    assert (report.status, report.is_ready) == ("fail", False)
    assert checks["own quick"] == ("pass", "it is there")
    assert checks["own doubts"] == ("warn", "it is old")
    assert checks["own fails"][1].startswith("ConnectionRefusedError: refused")
    assert checks["own exits"] == ("fail", "SystemExit: I go")
    assert checks["own hangs"] == ("fail", "it has not answered in 1 s")
    assert oreflow.health(made.root, checks=["own quick", "own d*"]).status == "warn"


def test_a_plugin_that_cannot_say_its_checks_is_one_that_fails(project):
    made = project(DECLARATION, FILES)
    (made.root / "oreflow_plugins.py").write_text(
        "from oreflow import hookimpl\n\n@hookimpl\ndef health_checks(): raise ValueError('no')\n"
    )
    code, checks = found(made)
    (name,) = [each for each in checks if each.startswith("checks of")]
    assert (code, checks[name][0]) == (1, "fail")
    assert "cannot say what is to be looked at: ValueError: no" in checks[name][1]


def test_what_was_found_a_moment_ago_is_not_looked_at_anew(project):
    made = project(DECLARATION, FILES)
    (made.root / "oreflow_plugins.py").write_text(
        "from oreflow import hookimpl\nfrom oreflow.contract import HealthCheck\nseen = []\n\n"
        "def look(): seen.append(1); return f'{len(seen)} times'\n\n"
        "@hookimpl\ndef health_checks(): return [HealthCheck('counted', look)]\n"
    )

    def times(**options):
        return oreflow.health(made.root, checks="counted", **options).checks[0].reason

    assert [times(), times(max_age=60), times(max_age=60), times(), times(max_age=0.0)] == [
        "1 times",
        "1 times",
        "1 times",
        "2 times",
        "3 times",
    ]


PLACES = """
monitoring:
  metrics: {backends: [{type: pushgateway, address: "http://localhost:9", username: u, password: "${env:NO_SUCH_ONE}"}]}
  tracing: {backends: [{type: otlp, endpoint: "http://localhost:9"}]}
lineage: {transport: {type: http, url: "http://localhost:9", api_key: "${env:NO_SUCH_ONE}"}}
resilience: {share: "redis://:${env:NO_SUCH_ONE}@localhost:9"}
"""


def test_what_would_keep_a_run_from_beginning_fails_before(project, monkeypatch):
    made = project(DECLARATION + PLACES, FILES)
    names = ["metric backend pushgateway", "breaker board", "lineage"]
    code, checks = found(made)
    assert code == 1
    for name in names:
        assert checks[name][0] == "fail"
        assert "the variable NO_SUCH_ONE is not set" in checks[name][1]
    assert checks["trace backend otlp"][0] == "pass"
    assert made.cli("run").code == 2
    monkeypatch.setenv("NO_SUCH_ONE", "t0k3n-of-health")
    code, checks = found(made)
    assert {checks[name][0] for name in names} == {"pass"}


def test_what_plugins_have_against_their_options_is_told_by_config_validate(project):
    more = PLACES.replace('"http://localhost:9", username: u, password: "${env:NO_SUCH_ONE}"', '"localhost:9"')
    made = project(
        f"{DECLARATION}{more}alerts: {{rules: {{a: {{event: run_failed}}}}, channels: {{t: {{type: webhook}}}}}}\n",
        FILES,
    )
    done = made.cli("config", "validate")
    assert done.code == 2
    assert (
        "config/pipeline.yaml:12 monitoring.metrics.backends.0.address: this is no address of a Pushgateway" in done.err
    )
    assert "alerts.channels.t.url: there is no address to send to" in done.err
    assert "NO_SUCH_ONE" not in done.err  # whoever checks a declaration need not have its secrets


def test_a_table_that_has_had_no_batch_for_too_long_is_not_fresh(project):
    made = project(DECLARATION + "health: {freshness: {silver.sales: 1d, bronze.sales: 200ms}}\n", FILES)
    code, checks = found(made, "freshness *")
    assert (code, set(checks.values())) == (1, {("fail", "it has no batch yet")})
    made.run_well()
    time.sleep(0.3)
    code, checks = found(made, "freshness *")
    assert checks["freshness silver.sales"][0] == "pass"
    assert checks["freshness bronze.sales"][0] == "fail"
    assert checks["freshness bronze.sales"][1].endswith("old, more than 200ms")


def test_a_lake_that_is_a_file_fails(project):
    made = project(DECLARATION, FILES)
    (made.root / "lake").write_text("")
    code, checks = found(made, "lake")
    assert (code, checks["lake"][0]) == (1, "fail")


def test_a_disk_that_is_nearly_full_warns_and_a_source_whose_folder_is_gone(project):
    made = project(DECLARATION + "health: {free_space: 900 TB}\n", FILES)
    (made.root / "data/raw/a.csv").unlink()
    (made.root / "data/raw").rmdir()
    code, checks = found(made)
    assert code == 0
    assert checks["disk"][0] == checks["source sales"][0] == "warn"
    assert checks["disk"][1].endswith("fewer than 900.0 TB")


def test_without_java_spark_is_not_healthy_and_says_what_mends_it(project, monkeypatch, tmp_path):
    made = project(DECLARATION.replace("input: bronze.sales", "input: bronze.sales\n    engine: spark"), FILES)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "nowhere"))
    code, checks = found(made)
    assert code == 1
    assert checks["spark java"][0] == checks["engine spark"][0] == "fail"
    assert "apt-get install openjdk-17-jre-headless" in checks["spark java"][1]
    assert checks["engine polars"][0] == "pass"


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ("{freshness: {silver.sale: 1d}}", "there is no table 'silver.sale' - did you mean 'silver.sales'?"),
        ("{freshness: {silver.sales: soon}}", "health.freshness.silver.sales: 'soon' does not fit"),
        ("{timeout: 0s}", "health.timeout: '0s' is no time that lasts"),
        ("{free_space: much}", "health.free_space"),
        ("{timout: 3s}", "unknown key 'timout' - did you mean 'timeout'?"),
    ],
)
def test_a_mistake_is_told_at_its_place(project, section, says):
    done = project(DECLARATION + f"health: {section}\n", FILES).cli("health")
    assert (done.code, "Traceback" in done.err) == (2, False)
    assert says in done.err


def test_a_check_that_there_is_not_is_refused(project):
    done = project(DECLARATION, FILES).cli("health", "engine pol")
    assert (done.code, done.out) == (2, "")
    assert "there is no check 'engine pol' - did you mean 'engine polars'?" in done.err

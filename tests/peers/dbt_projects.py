"""Compare kinfold with dbt-duckdb on public projects that use packages, all of them unmodified.

    python tests/peers/dbt_projects.py FOLDER DBT KINFOLD

FOLDER holds checkouts in folders of these names:

    jaffle_shop_duckdb  dbt-labs/jaffle_shop_duckdb      jaffle-shop         dbt-labs/jaffle-shop
    segment             dbt-labs/segment                 dbt-utils           dbt-labs/dbt-utils
    dbt-date            godatadriven/dbt-date            dbt-audit-helper    dbt-labs/dbt-audit-helper

DBT and KINFOLD are the executables. Run it with a Python that has the package `duckdb`, such as that of the
environment of dbt-duckdb; `segment` needs dbt-duckdb before 1.10, later ones refuse its `partition_by`:

    python3 -m venv venv && venv/bin/pip install dbt-core 'dbt-duckdb<1.10'
    venv/bin/python tests/peers/dbt_projects.py checkouts venv/bin/dbt target/debug/kinfold

Works on copies, whose `dbt_packages` it fills with the checkouts as `dbt deps` would. Checks that both build every
project, that every table and view has equal rows, that the same data tests pass, that no macro of a package is
unreadable, and that a second build skips every node whose SQL has no clock in it. Ends with 1 and says what differs
if one of them fails. Not part of the test suite: it needs the network to install dbt.
"""
import collections
import csv
import io
import json
import pathlib
import shutil
import sys
import tempfile

import duckdb

from jaffle import LEFT_OUT, compare, plain, run

LOAD = ["--vars", "{load_source_data: true}"]
PROFILE = "{target: dev, outputs: {dev: {type: duckdb, path: peer.duckdb, threads: 1}}}"
# Name, its folder, the packages that it installs, and the commands in front of `build`.
PROJECTS = [
    ("jaffle_shop_duckdb", ".", {}, []),
    (
        "jaffle-shop",
        ".",
        {"dbt_utils": "dbt-utils", "dbt_date": "dbt-date", "audit_helper": "dbt-audit-helper"},
        [["seed", "--full-refresh", *LOAD]],
    ),
    ("segment", "integration_tests", {"dbt_utils": "dbt-utils"}, []),
]
# What became of a data test that holds.
SOUND = ("passed", "proven", "skipped")
# Nodes that are made from today's date.
OF_TODAY = {"metricflow_time_spine"}


def main() -> None:
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    checkouts, dbt, kinfold = (pathlib.Path(argument).absolute() for argument in sys.argv[1:])
    problems = []
    for name, folder, packages, first in PROJECTS:
        with tempfile.TemporaryDirectory() as temporary:
            ours, theirs = pathlib.Path(temporary, "kinfold"), pathlib.Path(temporary, "dbt")
            for copy in (ours, theirs):
                shutil.copytree(checkouts / name, copy / name, ignore=LEFT_OUT)
                for package, checkout in packages.items():
                    installed = copy / name / folder / "dbt_packages" / package
                    shutil.copytree(checkouts / checkout, installed, ignore=LEFT_OUT)
            problems += project(name, ours / name / folder, theirs / name / folder, first, dbt, kinfold)
    if problems:
        sys.exit("\n".join(problems))


def project(name, ours, theirs, first, dbt, kinfold) -> list:
    profile = next(
        line.split(":", 1)[1].split("#")[0].strip().strip("'\"")
        for line in (theirs / "dbt_project.yml").read_text().splitlines()
        if line.startswith("profile:")
    )
    (theirs / "profiles.yml").write_text(f"{profile}: {PROFILE}\n")
    as_installed(theirs)
    for command in [*first, ["build"]]:
        run([dbt, *command, "--profiles-dir", "."], theirs)
        report = json.loads(run([kinfold, *command, "--output", "json"], ours))
    second = json.loads(run([kinfold, "build", "--output", "json"], ours))
    checked = json.loads(run([kinfold, "check", "--output", "json"], ours))

    problems = []
    if not report["success"]:
        problems.append(f"{name}: kinfold's build failed")
    again = {n["id"] for n in second["nodes"] if n["status"] not in SOUND}
    again -= {id for id in again if any(today in id for today in OF_TODAY)}
    if again:
        problems.append(f"{name}: a second build does not skip {sorted(again)}")
    broken = [d for d in checked["diagnostics"] if d["code"].startswith("KF03") and d["code"] != "KF0326"]
    problems += [f"{name}: {d['code']} {d['message']}" for d in broken]
    results = json.loads((theirs / "target/run_results.json").read_text())["results"]
    wanted = {r["unique_id"] for r in results if r["unique_id"].startswith("test.") and r["status"] == "pass"}
    tests = [n for n in report["nodes"] if n["id"].startswith("test.")]
    passed = {n["id"] for n in tests if n["status"] in SOUND}
    problems += compare(f"{name}: tests that pass", collections.Counter(passed), collections.Counter(wanted))
    relations = rows = 0
    with duckdb.connect(str(theirs / "peer.duckdb"), read_only=True) as database:
        database.execute("SET TimeZone = 'UTC'")
        listed = "SELECT table_schema, table_name FROM information_schema.tables ORDER BY ALL"
        for schema, relation in database.execute(listed).fetchall():
            read = f'SELECT * FROM "{schema}"."{relation}"'
            want, have = of_dbt(database, read), of_kinfold(kinfold, ours, read)
            problems += compare(f"{name}: rows of {schema}.{relation}", have, want)
            relations, rows = relations + 1, rows + want.total() - 1
    print(f"{name}: {relations} relations with {rows} rows and {len(wanted)} data tests compared")
    return problems


def as_installed(folder: pathlib.Path) -> None:
    """Lets dbt take the folders of packages for what `dbt deps` would have written down."""
    installed = sorted(p.name for p in (folder / "dbt_packages").glob("*"))
    local = "local: ../" in (folder / "packages.yml").read_text() if (folder / "packages.yml").is_file() else False
    if local:
        lines = ["packages:", "  - local: ../", *(f"  - local: dbt_packages/{name}" for name in installed)]
        (folder / "packages.yml").write_text("\n".join(lines) + "\n")
        (folder / "dbt_packages" / "of_the_root").symlink_to("../..")


def of_dbt(database: duckdb.DuckDBPyConnection, read: str) -> collections.Counter:
    result = database.execute(read)
    header = tuple(column[0] for column in result.description)
    return collections.Counter([header, *(tuple(map(text, row)) for row in result.fetchall())])


def of_kinfold(kinfold: pathlib.Path, folder: pathlib.Path, read: str) -> collections.Counter:
    written = run([kinfold, "query", read, "--format", "csv"], folder)
    header, *rows = csv.reader(io.StringIO(written))
    return collections.Counter([tuple(header), *(tuple(map(text, row)) for row in rows)])


def text(value) -> str:
    return str(value).lower() if isinstance(value, bool) else plain(value)


if __name__ == "__main__":
    main()

"""Compare kinfold with dbt-duckdb on a checkout of dbt-labs/jaffle_shop_duckdb.

    python tests/peers/jaffle.py CHECKOUT DBT KINFOLD

CHECKOUT is the folder of a checkout, DBT and KINFOLD are the executables. Works on two copies of the
checkout, which stays as it is. Run it with a Python that has the package `duckdb`, such as that of the
environment of dbt-duckdb:

    python3 -m venv venv && venv/bin/pip install dbt-core dbt-duckdb
    git clone https://github.com/dbt-labs/jaffle_shop_duckdb
    venv/bin/python tests/peers/jaffle.py jaffle_shop_duckdb venv/bin/dbt target/debug/kinfold

Checks that both build the same nodes and pass, that every seed, view and table has equal rows, that a second
build of kinfold skips every node, and that both write the same nodes and edges to `manifest.json` and the same
outcomes to `run_results.json`. Ends with 1 and says what differs if one of them fails. Not part of the test
suite: it needs the network to install dbt.
"""
import collections
import csv
import datetime
import decimal
import io
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import duckdb

NODES = 28
LEFT_OUT = shutil.ignore_patterns(".git", "target", "logs", ".kinfold", "*.duckdb")


def main() -> None:
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    checkout, dbt, kinfold = (pathlib.Path(argument).absolute() for argument in sys.argv[1:])
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = pathlib.Path(folder, "kinfold"), pathlib.Path(folder, "dbt")
        for copy in (ours, theirs):
            shutil.copytree(checkout, copy, ignore=LEFT_OUT)
        first = json.loads(run([kinfold, "build", "--output", "json"], ours))
        run([dbt, "build", "--profiles-dir", "."], theirs)

        problems += outcome(first, {"built", "passed"}, "first build")
        mine, peer = artifacts(ours), artifacts(theirs)
        problems += compare("nodes and edges of manifest.json", mine[0], peer[0])
        problems += compare("outcomes of run_results.json", mine[1], peer[1])
        relations = sorted(id.split(".")[-1] for id in peer[0] if not id.startswith("test."))
        rows = 0
        with duckdb.connect(str(theirs / "jaffle_shop.duckdb"), read_only=True) as database:
            for name in relations:
                want, have = relation_of_dbt(database, name), relation_of_kinfold(kinfold, ours, name)
                problems += compare(f"rows of {name}", have, want)
                rows += want.total()
        second = json.loads(run([kinfold, "build", "--output", "json"], ours))
        problems += outcome(second, {"skipped"}, "second build")
    if problems:
        sys.exit("\n".join(problems))
    print(f"{NODES} nodes, {len(relations)} relations with {rows} rows and headers: equal; a second build skips all")


def run(command: list, folder: pathlib.Path) -> str:
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if ended.returncode:
        sys.exit(f"{command[0].name} ended with {ended.returncode}\n{ended.stdout}{ended.stderr}")
    return ended.stdout


def outcome(report: dict, statuses: set, which: str) -> list:
    found = collections.Counter(node["status"] for node in report["nodes"])
    if not report["success"] or found.total() != NODES or set(found) - statuses:
        return [f"{which}: {NODES} nodes that are {' or '.join(sorted(statuses))} were expected, got {dict(found)}"]
    return []


def artifacts(folder: pathlib.Path) -> tuple:
    """Parents of every node, and status and number of failures of every node."""
    manifest = json.loads((folder / "target/manifest.json").read_text())
    # dbt's own package and the adapter's have macros, no nodes.
    parents = {id: sorted(node["depends_on"].get("nodes", [])) for id, node in manifest["nodes"].items()}
    results = json.loads((folder / "target/run_results.json").read_text())["results"]
    return parents, {result["unique_id"]: (result["status"], result["failures"]) for result in results}


def relation_of_dbt(database: duckdb.DuckDBPyConnection, name: str) -> collections.Counter:
    result = database.execute(f'SELECT * FROM "{name}"')
    header = tuple(column[0] for column in result.description)
    return collections.Counter([header, *(tuple(map(plain, row)) for row in result.fetchall())])


def relation_of_kinfold(kinfold: pathlib.Path, folder: pathlib.Path, name: str) -> collections.Counter:
    text = run([kinfold, "query", f'SELECT * FROM "{name}"', "--format", "csv"], folder)
    header, *rows = csv.reader(io.StringIO(text))
    return collections.Counter([tuple(header), *(tuple(map(plain, row)) for row in rows)])


def plain(value) -> str:
    """A text that is the same for equal numbers, and for equal dates and times."""
    if value is None:
        return ""
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    text = str(value)
    try:
        number = decimal.Decimal(text)
    except decimal.InvalidOperation:
        return text
    return format(number.normalize(), "f") if number.is_finite() else text


def compare(what: str, have, want) -> list:
    if have == want:
        return []
    lines = [f"{what} differ:"]
    for side, left, right in (("kinfold", have, want), ("dbt", want, have)):
        only = [item for item in left.items() if right.get(item[0]) != item[1]]
        lines += [f"  {side} has {key}: {value}" for key, value in sorted(only, key=str)[:10]]
    return ["\n".join(lines)]


if __name__ == "__main__":
    main()

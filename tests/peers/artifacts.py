"""Compare the artefacts of kinfold with dbt's, and let another tool read them.

    python tests/peers/artifacts.py FOLDER DBT KINFOLD

FOLDER holds checkouts as for `dbt_projects.py`. DBT and KINFOLD are the executables. Run it with a Python that has the
package `dbt-artifacts-parser`:

    python3 -m venv venv && venv/bin/pip install dbt-core dbt-duckdb dbt-artifacts-parser
    venv/bin/python tests/peers/artifacts.py checkouts venv/bin/dbt target/debug/kinfold

Works on copies. For `jaffle_shop_duckdb` and `jaffle-shop` it compares the ids of nodes, sources, macros and exposures,
`parent_map` and `child_map`, and what a node says of itself, where both say it. For `jaffle_shop_duckdb` it reads
`manifest.json`, `run_results.json`, `catalog.json` and `sources.json` with dbt-artifacts-parser. Ends with 1 and says what
differs. What docs/reference/artifacts.md lists as different is left out. Not part of the test suite: it needs the network to
install dbt.
"""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

from dbt_artifacts_parser.parser import parse_catalog, parse_manifest, parse_run_results, parse_sources

from dbt_projects import PROFILE, PROJECTS, as_installed
from jaffle import LEFT_OUT, run

# Kinds that kinfold has no nodes for.
NO_NODES = ("semantic_model.", "metric.", "saved_query.", "unit_test.")
# Keys of a node that say what it is.
KEYS = ["name", "resource_type", "package_name", "path", "original_file_path", "fqn", "alias", "tags", "description", "docs"]
KEYS += ["column_name", "attached_node", "file_key_name", "test_metadata", "patch_path", "access", "primary_key", "identifier"]
KEYS += ["source_name", "source_description", "loaded_at_field"]


def main() -> None:
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    checkouts, dbt, kinfold = (pathlib.Path(argument).absolute() for argument in sys.argv[1:])
    problems = []
    for name, folder, packages, _ in PROJECTS[:2]:
        with tempfile.TemporaryDirectory() as temporary:
            ours, theirs = pathlib.Path(temporary, "kinfold"), pathlib.Path(temporary, "dbt")
            for copy in (ours, theirs):
                shutil.copytree(checkouts / name, copy / name, ignore=LEFT_OUT)
                for package, checkout in packages.items():
                    installed = copy / name / folder / "dbt_packages" / package
                    shutil.copytree(checkouts / checkout, installed, ignore=LEFT_OUT)
            problems += project(name, ours / name / folder, theirs / name / folder, dbt, kinfold)
    if problems:
        sys.exit("\n".join(problems))


def project(name, ours, theirs, dbt, kinfold) -> list:
    profile = next(
        line.split(":", 1)[1].split("#")[0].strip().strip("'\"")
        for line in (theirs / "dbt_project.yml").read_text().splitlines()
        if line.startswith("profile:")
    )
    (theirs / "profiles.yml").write_text(f"{profile}: {PROFILE}\n")
    packages = (theirs / "packages.yml").is_file()
    as_installed(theirs)
    if packages:
        folders = sorted(p.name for p in (theirs / "dbt_packages").iterdir() if not p.is_symlink())
        lines = ["packages:", *(f"  - local: dbt_packages/{folder}" for folder in folders)]
        (theirs / "packages.yml").write_text("\n".join(lines) + "\n")
    run([dbt, "parse", "--profiles-dir", "."], theirs)
    if packages:
        # Its sources are seeds that are loaded on request. They are not there, which is an error that does not keep
        # `manifest.json` from being written.
        subprocess.run([kinfold, "compile"], cwd=ours, capture_output=True)
    else:
        run([kinfold, "build"], ours)
        run([kinfold, "docs", "generate"], ours)
        run([kinfold, "source", "freshness"], ours)
        for file, parse in [
            ("manifest", parse_manifest),
            ("run_results", parse_run_results),
            ("catalog", parse_catalog),
            ("sources", parse_sources),
        ]:
            read = parse(json.loads((ours / f"target/{file}.json").read_text()))
            print(f"{name}: {file}.json is read as {type(read).__name__}")
    return compare(name, *(json.loads((side / "target/manifest.json").read_text()) for side in (ours, theirs)))


def compare(name, have, want) -> list:
    problems, compared = [], 0
    for section in ["nodes", "sources", "exposures", "groups"]:
        for id in sorted(set(have[section]) ^ set(want[section])):
            problems.append(f"{name}: {section}: {id} is only in {'kinfold' if id in have[section] else 'dbt'}'s")
        for id in sorted(set(have[section]) & set(want[section])):
            ours, theirs = have[section][id], want[section][id]
            for key in KEYS:
                if key in ours and key in theirs and ours[key] != theirs[key]:
                    problems.append(f"{name}: {id}: {key} is {ours[key]!r}, dbt has {theirs[key]!r}")
            compared += 1
    mine = {id for id in want["macros"] if not id.startswith(("macro.dbt.", "macro.dbt_duckdb."))}
    for id in sorted(mine ^ set(have["macros"])):
        problems.append(f"{name}: macros: {id} is only in {'kinfold' if id in have['macros'] else 'dbt'}'s")
    for edges in ["parent_map", "child_map"]:
        for id in sorted(set(want[edges]) | set(have[edges])):
            if id.startswith(NO_NODES):
                continue
            theirs = {other for other in want[edges].get(id, []) if not other.startswith(NO_NODES)}
            if id not in have[edges] or set(have[edges][id]) != theirs:
                problems.append(f"{name}: {edges} of {id}: {have[edges].get(id)}, dbt has {sorted(theirs)}")
    print(f"{name}: {compared} nodes and their edges compared")
    return problems


if __name__ == "__main__":
    main()

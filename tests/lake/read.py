"""What Delta tables hold, as other readers see them.

    read.py LAKE [--storage JSON] [--env NAME] [--duckdb] [--rows FOLDER]

Prints one JSON object: path of a table -> {"version", "rows", "deltalake": hash, ...}. The hash is that of the set of
rows, in no order. It leaves out columns named `run_id`, which differ from run to run.

--env NAME    the tables that this environment has published, in the versions that it names; without it the newest
              version of every table in a local lake
--duckdb      the same with DuckDB's delta extension, as "duckdb"
--rows FOLDER rows that somebody else read, as newline-delimited JSON in <path with dots for slashes>.ndjson; their
              hash is "given"
"""

import argparse
import datetime
import decimal
import hashlib
import importlib.util
import json
import math
import os
import pathlib
import sys
import urllib.request

import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder

RUN_COLUMNS = {"run_id"}


def canonical(value):
    """A value as JSON that is the same whoever read it."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return "nan" if math.isnan(value) else repr(value + 0.0)
    if isinstance(value, decimal.Decimal):
        return format(value.normalize() + 0, "f")
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
        return value.isoformat(timespec="microseconds")
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: canonical(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [canonical(inner) for inner in value]
    raise TypeError(f"a value of type {type(value)}")


def typed(value, kind):
    """A value of a JSON line as the type of its column says."""
    if value is None:
        return None
    if pa.types.is_timestamp(kind):
        return datetime.datetime.fromisoformat(value)
    if pa.types.is_date(kind):
        return datetime.date.fromisoformat(value)
    if pa.types.is_decimal(kind):
        return decimal.Decimal(str(value))
    if pa.types.is_floating(kind):
        return float(value)
    if pa.types.is_integer(kind):
        return int(value)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return bytes.fromhex(value)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [typed(inner, kind.value_type) for inner in value]
    if pa.types.is_struct(kind):
        return {field.name: typed(value.get(field.name), field.type) for field in kind}
    return value


def digest(rows):
    lines = sorted(
        json.dumps(
            {key: canonical(value) for key, value in row.items() if key not in RUN_COLUMNS},
            sort_keys=True,
        )
        for row in rows
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def read_text(lake, path):
    """An object of the lake as text."""
    if lake.startswith("s3://"):
        endpoint = arguments.storage["endpoint"]
        with urllib.request.urlopen(f"{endpoint}/{lake.removeprefix('s3://')}/{path}") as answer:
            return answer.read().decode()
    return (pathlib.Path(lake) / path).read_text()


def published(lake, environment):
    """Path -> version, of every table that the environment names."""
    document = json.loads(read_text(lake, f"_kinfold/env/{environment}.json"))
    found = {}

    def walk(value):
        if isinstance(value, dict):
            if "path" in value and "version" in value:
                found[value["path"]] = value["version"]
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(document)
    return found


def newest(lake):
    root = pathlib.Path(lake)
    return {str(log.parent.relative_to(root)): None for log in sorted(root.rglob("_delta_log"))}


def delta_options():
    if not arguments.storage:
        return None
    names = {
        "endpoint": "AWS_ENDPOINT_URL",
        "region": "AWS_REGION",
        "access_key_id": "AWS_ACCESS_KEY_ID",
        "secret_access_key": "AWS_SECRET_ACCESS_KEY",
        "allow_http": "AWS_ALLOW_HTTP",
    }
    return {names[key]: value for key, value in arguments.storage.items()}


def duckdb_connection():
    import duckdb

    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    package = pathlib.Path(importlib.util.find_spec("duckdb_extension_delta").origin).parent
    (extension,) = package.rglob("delta.duckdb_extension")
    connection.execute(f"LOAD '{extension}'")
    return connection


def rows_of(table):
    """All rows. What the library reads by way of pyarrow knows no deletion vectors; its queries do."""
    if "deletionVectors" not in (table.protocol().reader_features or []):
        return table.to_pyarrow_table()
    query = QueryBuilder().register("rows", table).execute("SELECT * FROM rows")
    return pa.table(query.read_all())


def main():
    tables = published(arguments.lake, arguments.env) if arguments.env else newest(arguments.lake)
    duckdb = duckdb_connection() if arguments.duckdb else None
    result = {}
    for path, version in tables.items():
        location = f"{arguments.lake}/{path}"
        table = DeltaTable(location, version=version, storage_options=delta_options())
        rows = rows_of(table)
        entry = {
            "version": table.version(),
            "rows": rows.num_rows,
            "deltalake": digest(rows.to_pylist()),
        }
        if duckdb:
            scan = f"delta_scan('{location}', version := {table.version()})"
            entry["duckdb"] = digest(duckdb.execute(f"SELECT * FROM {scan}").to_arrow_table().to_pylist())
        given = arguments.rows and pathlib.Path(arguments.rows) / f"{path.replace('/', '.')}.ndjson"
        if given and given.exists():
            kinds = {field.name: field.type for field in rows.schema}
            read = (json.loads(line, parse_float=decimal.Decimal) for line in given.open())
            entry["given"] = digest(
                {name: typed(row.pop(name, None), kind) for name, kind in kinds.items()} | row
                for row in read
            )
        result[path] = entry
    print(json.dumps(result, indent=1))


parser = argparse.ArgumentParser()
parser.add_argument("lake")
parser.add_argument("--storage", type=json.loads, default={})
parser.add_argument("--env")
parser.add_argument("--duckdb", action="store_true")
parser.add_argument("--rows")
arguments = parser.parse_args()
main()
# Threads of the readers' libraries now and then abort while the interpreter ends; all is read by then.
sys.stdout.flush()
os._exit(0)

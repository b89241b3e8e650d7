"""Compare the identities that kinfold found with the truth of the generator.

    kinfold query --format csv 'SELECT source, record_id, canonical_id FROM person__records' > records.csv
    python compare_identities.py records.csv
    python compare_identities.py .kinfold/lake/main/person__records

The argument is what `kinfold query` printed, or the folder of the Delta table; for the latter the package
`deltalake` is needed. The truth is truth/*.csv, which `kinfold demo` writes.

Two records make a pair. Precision is the share of the pairs that kinfold put into one person that are of one
person; recall is the share of the pairs of one person that kinfold put into one. A record without any
identifier has no row in `person__records`: it counts as a person of its own. Ends with 1 if kinfold has a
record that the truth does not know, or has one twice.
"""
import collections
import csv
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent


def truth() -> dict:
    """(source, record_id) -> person."""
    persons = {}
    for path in sorted((HERE / "truth").glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                persons[row["source"], row["record_id"]] = row["person"]
    return persons


def found(path: pathlib.Path) -> dict:
    """(source, record_id) -> canonical_id."""
    if path.is_dir():
        from deltalake import DeltaTable

        rows = DeltaTable(str(path)).to_pyarrow_table(columns=["source", "record_id", "canonical_id"]).to_pylist()
    else:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    persons = {(row["source"], row["record_id"]): row["canonical_id"] for row in rows}
    if len(persons) != len(rows):
        sys.exit(f"{len(rows) - len(persons)} records are there twice")
    return persons


def pairs(sizes: collections.Counter) -> int:
    return sum(size * (size - 1) // 2 for size in sizes.values())


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    want, have = truth(), found(pathlib.Path(sys.argv[1]))
    unknown = have.keys() - want.keys()
    if unknown or not have:
        sys.exit(f"{len(unknown)} of {len(have)} records are not in the truth")
    # Pairs within the classes of a partition, and within both partitions at once.
    real = pairs(collections.Counter(want.values()))
    joined = pairs(collections.Counter(have.values()))
    both = pairs(collections.Counter((want[record], canonical) for record, canonical in have.items()))
    parts = {(want[record], canonical) for record, canonical in have.items()}
    split = sum(n > 1 for n in collections.Counter(person for person, _ in parts).values())
    mixed = sum(n > 1 for n in collections.Counter(canonical for _, canonical in parts).values())
    persons, canonicals = len(set(want.values())), len(set(have.values()))
    print(f"{len(want)} records, {len(want) - len(have)} of them without an identifier")
    print(f"{persons} people, {split} of them in several parts; {canonicals} canonical ids, {mixed} of several people")
    print(f"precision {both / joined:.4f}, recall {both / real:.4f}")


if __name__ == "__main__":
    main()

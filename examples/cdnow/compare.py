"""Compare kinfold's per-customer totals with a pandas computation on the same file.

    python compare.py profile.csv     # how to write it: README.md
    python compare.py .kinfold/lake/main/customer_profile

The argument is what `kinfold query` printed, as CSV or JSON, or the folder of the Delta table. Needs pandas,
and for a Delta table the package `deltalake`. Ends with 1 if anything differs.
"""
import json
import pathlib
import sys

import pandas as pd

HERE = pathlib.Path(__file__).resolve().parent
END = pd.Timestamp("1998-06-30")
WHOLE = ["purchases", "quantity", "repeat_days", "recency_age_days", "age_days"]


def expected() -> pd.DataFrame:
    purchases = pd.read_csv(HERE / "data" / "cdnow.csv", dtype={"customer_id": str, "amount": str}, parse_dates=["date"])
    # Whole cents, so that sums are exact.
    purchases["cents"] = (purchases.amount.astype(float) * 100).round().astype("int64")
    by_customer = purchases.groupby("customer_id")
    first, last = by_customer.date.min(), by_customer.date.max()
    return pd.DataFrame({
        "purchases": by_customer.size(),
        "quantity": by_customer.quantity.sum(),
        "cents": by_customer.cents.sum(),
        "repeat_days": by_customer.date.nunique() - 1,
        "recency_age_days": (last - first).dt.days,
        "age_days": (END - first).dt.days,
    })


def found(path: pathlib.Path) -> pd.DataFrame:
    if path.is_dir():
        from deltalake import DeltaTable

        profile = DeltaTable(str(path)).to_pandas()
    elif path.suffix == ".csv":
        profile = pd.read_csv(path, dtype={"customer_id": str, "amount": str})
    else:
        profile = pd.DataFrame(read_json(path.read_text()))
    profile["cents"] = (profile.amount.astype(float) * 100).round().astype("int64")
    profile[WHOLE] = profile[WHOLE].astype("int64")
    if profile.customer_id.duplicated().any():
        sys.exit("a customer has several profiles")
    return profile.set_index("customer_id")


def read_json(text: str) -> list:
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    if isinstance(value, dict):
        return value["rows"] if "rows" in value else [value]
    return value


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    want, have = expected(), found(pathlib.Path(sys.argv[1]))
    missing, extra = want.index.difference(have.index), have.index.difference(want.index)
    if len(missing) or len(extra):
        sys.exit(f"{len(missing)} customers are missing, {len(extra)} are unknown")
    have = have.loc[want.index, want.columns]
    differing = (want != have).any(axis=1)
    if differing.any():
        print(want[differing].join(have[differing], lsuffix=" (pandas)", rsuffix=" (kinfold)").head(20).to_string())
        sys.exit(f"{differing.sum()} of {len(want)} customers differ")
    print(f"{len(want)} customers, {want.purchases.sum()} purchases, {want.cents.sum() / 100:.2f} dollars: equal")


if __name__ == "__main__":
    main()

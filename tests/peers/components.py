"""Compares canonical ids with the connected components of networkx.

    python components.py ROWS.csv PEOPLE.csv

ROWS has the columns source, record_id and id_value, one identifier of a record a row; PEOPLE has id_value and
canonical_id. Prints the number of components, or what is different and fails.
"""
import csv
import sys

import networkx


def main() -> None:
    rows, people = sys.argv[1:]
    graph = networkx.Graph()
    with open(rows, encoding="utf-8") as file:
        for row in csv.DictReader(file):
            record = ("record", row["source"], row["record_id"])
            graph.add_edge(record, ("value", row["id_value"]))
    wanted = set()
    for component in networkx.connected_components(graph):
        wanted.add(frozenset(node[1] for node in component if node[0] == "value"))
    groups: dict = {}
    with open(people, encoding="utf-8") as file:
        for row in csv.DictReader(file):
            groups.setdefault(row["canonical_id"], set()).add(row["id_value"])
    found = {frozenset(group) for group in groups.values()}
    if found != wanted:
        sys.exit(f"{len(found - wanted)} of {len(found)} people are no component, of {len(wanted)}")
    print(len(wanted))


if __name__ == "__main__":
    main()

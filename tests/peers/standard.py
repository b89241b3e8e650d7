"""Compare the standard package with an interpreter of what it says, on random data.

    python tests/peers/standard.py KINFOLD [SEED [ROUNDS [PACKAGE]]]

KINFOLD is the executable, SEED the first of ROUNDS seeds (1, 10). With PACKAGE, the folder of the package is read
in place of the one that the executable carries. Needs nothing but Python.

A round makes data with many ties, nulls, duplicates, late and future rows, and windows that begin or end exactly
where a row is, and compares

- `traits`: random definitions of every kind, with conditions, windows, limits
- `golden_values`: random chains of rules, over claims some of which are withdrawn
- the models over events: which delivery of a message counts, people, sessions with their ids, counts of profiles
- `rfm_quantiles` and the scores by them

with loops over the rows in this file, which know nothing of SQL. Ends with 1 and says what differs.
"""
import collections
import datetime
import decimal
import hashlib
import itertools
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import zoneinfo

UTC = datetime.timezone.utc
CLOCK = datetime.datetime(2026, 7, 1, tzinfo=UTC)
ZONE = zoneinfo.ZoneInfo("Europe/Berlin")
DAY = datetime.timedelta(days=1)
D = decimal.Decimal
CONDITIONS = [
    (None, lambda row: True),
    ("kind = 'a'", lambda row: row["kind"] == "a"),
    ("kind <> 'b' AND amount > 2", lambda row: row["kind"] not in (None, "b") and row["amount"] is not None and row["amount"] > 2),
    ("word IS NULL OR kind = 'c'", lambda row: row["word"] is None or row["kind"] == "c"),
    ("kind = 'nowhere'", lambda row: False),
]
PARTS = CONDITIONS[1:]
VALUES = ["word", "amount", "number"]
KINDS = [
    "count", "exists", "change", "ratio", "sum", "avg", "min", "max", "first", "last", "first_at", "last_at",
    "days_since_first", "days_since_last", "active_days", "unique_count", "unique_list", "most_frequent",
    "least_frequent", "top",
]
RULES = ["source_priority", "most_recent", "first", "most_frequent", "longest", "shortest", "max", "min", "max_number", "min_number"]


# --- data ----------------------------------------------------------------------------------------------------

def moments(chance: random.Random, count: int) -> list:
    """So few times that rows share them, among them the edges of windows, and none at all."""
    grid = []
    for _ in range(count):
        days = chance.choice([-1, 0, 0, 1, 2, 5, 7, 10, 14, 20, 30, 60, 90, 180])
        grid.append(CLOCK - days * DAY + chance.choice([0, 0, -1, 1, 7200, -7200]) * datetime.timedelta(seconds=1))
    return grid + [None] * (count // 10)


def observations(chance: random.Random) -> list:
    rows, times = [], moments(chance, 20)
    for number in range(chance.randint(20, 250)):
        rows.append({
            "person": chance.choice(["p1", "p2", "p3", "p4", "p5", None]),
            "id": f"e{chance.randint(0, 300)}",
            "at": chance.choice(times),
            "kind": chance.choice(["a", "b", "c", None]),
            "word": chance.choice(["x", "y", "Z", "é", "ab", "", None, None]),
            "amount": chance.choice([D("1.00"), D("2.50"), D("10.01"), D("-3.00"), None]),
            "number": chance.choice([0, 1, 2, 30, None]),
        })
        if chance.random() < 0.05:
            rows.append(dict(rows[-1]))
    return rows


def definitions(chance: random.Random) -> list:
    made = []
    for number, kind in enumerate(KINDS + chance.choices(KINDS, k=12)):
        where = chance.randrange(len(CONDITIONS))
        trait = {"name": f"t{number}", "kind": kind}
        if CONDITIONS[where][0]:
            trait["where"] = CONDITIONS[where][0]
        if kind == "change" or chance.random() < 0.5:
            trait["days"] = chance.choice([1, 5, 7, 10, 30, 90])
        if kind in ("sum", "avg"):
            trait["value"] = chance.choice(["amount", "number"]) if kind == "sum" else "amount"
        elif kind in ("min", "max", "first", "last", "unique_count", "unique_list", "most_frequent", "least_frequent", "top"):
            trait["value"] = chance.choice(VALUES)
        if kind == "ratio":
            trait["part"] = chance.choice(PARTS)[0]
        if kind in ("unique_list", "top") and chance.random() < 0.5:
            trait["limit"] = chance.randint(1, 4)
        if kind in ("most_frequent", "least_frequent", "top") and chance.random() < 0.4:
            trait["at_least"] = chance.randint(2, 3)
        made.append(trait)
    return made


# --- traits --------------------------------------------------------------------------------------------------

def condition(text):
    return next(holds for sql, holds in CONDITIONS if sql == text)


def seen(rows: list, trait: dict, days=None) -> list:
    days = days or trait.get("days")
    start = CLOCK - days * DAY if days else None
    holds = condition(trait.get("where"))
    return [row for row in rows if (start is None or row["at"] >= start) and holds(row)]


def local_date(at):
    return at.astimezone(ZONE).date()


def trait_of(rows: list, trait: dict):
    kind, value = trait["kind"], trait.get("value")
    here = seen(rows, trait)
    valued = sorted((row for row in here if value and row[value] is not None), key=lambda r: (r["at"], r["id"], r[value]))
    values = [row[value] for row in valued]
    if kind == "count":
        return len(here)
    if kind == "exists":
        return bool(here)
    if kind == "change":
        return 2 * len(here) - len(seen(rows, trait, 2 * trait["days"]))
    if kind == "ratio":
        return sum(map(condition(trait["part"]), here)) / len(here) if here else None
    if kind in ("first_at", "last_at", "days_since_first", "days_since_last"):
        if not here:
            return None
        at = (min if "first" in kind else max)(row["at"] for row in here)
        return (local_date(CLOCK) - local_date(at)).days if "days" in kind else at
    if kind == "active_days":
        return len({local_date(row["at"]) for row in here})
    if kind == "unique_count":
        return len(set(values))
    if not values:
        return None
    if kind in ("sum", "avg"):
        return sum(values) if kind == "sum" else sum(values) / len(values)
    if kind in ("min", "max"):
        return (min if kind == "min" else max)(values)
    if kind in ("first", "last"):
        return values[0 if kind == "first" else -1]
    if kind == "unique_list":
        return sorted(set(values))[:trait.get("limit")]
    times = collections.Counter(values)
    often = [v for v in times if times[v] >= trait.get("at_least", 1)]
    often.sort(key=lambda v: (times[v] if kind == "least_frequent" else -times[v], v))
    if kind == "top":
        return often[:trait.get("limit", 3)] or None
    return often[0] if often else None


def traits(rows: list, made: list) -> dict:
    people = collections.defaultdict(list)
    for row in rows:
        if row["person"] is not None and row["at"] is not None and row["at"] < CLOCK:
            people[row["person"]].append(row)
    return {person: {trait["name"]: trait_of(own, trait) for trait in made} for person, own in people.items()}


# --- golden attributes ---------------------------------------------------------------------------------------

def claims(chance: random.Random) -> list:
    rows, times = [], moments(chance, chance.choice([3, 6, 12])) + [None]
    for number in range(chance.randint(10, 150)):
        says = chance.random()
        rows.append({
            "canonical_id": f"p{chance.randint(1, 4)}",
            "attribute": chance.choice(["a1", "a2", "a3"]),
            "value": chance.choice(["Rome", "Oslo", "Bo", "9", "10", "-1.5", "été"]) if says > 0.25 else None,
            "cleared": says < 0.12,
            "source": chance.choice(["crm", "web", "shop"]),
            "record_id": f"r{number}",
            "observed_at": chance.choice(times),
        })
    return rows


def number_of(text: str):
    try:
        return float(text)
    except ValueError:
        return None


def believed(rows: list, choice: dict, scope: str) -> list:
    cleared = {}
    for row in rows:
        if row["cleared"] and row["observed_at"]:
            key = row["source"] if scope == "source" else None
            cleared[key] = max(cleared.get(key, row["observed_at"]), row["observed_at"])
    standing = []
    for row in rows:
        until = cleared.get(row["source"] if scope == "source" else None)
        if row["value"] is not None and (until is None or (row["observed_at"] and row["observed_at"] > until)):
            standing.append(row)
    times = collections.Counter(row["value"] for row in standing)
    sources = choice.get("sources", [])

    def place(row):
        at = row["observed_at"]
        rank = sources.index(row["source"]) if row["source"] in sources else len(sources)
        recent = (0, -at.timestamp()) if at else (1, 0)
        number = number_of(row["value"])
        keys = {
            "source_priority": rank,
            "most_recent": recent,
            "first": (0, at.timestamp()) if at else (1, 0),
            "most_frequent": -times[row["value"]],
            "longest": -len(row["value"]),
            "shortest": len(row["value"]),
            "max": [-ord(c) for c in row["value"]] + [1],
            "min": row["value"],
            "max_number": (1, 0) if number is None else (0, -number),
            "min_number": (1, 0) if number is None else (0, number),
        }
        return [keys[rule] for rule in choice["rules"]] + [rank, recent, row["value"], row["source"], row["record_id"]]

    kept = []
    for row in sorted(standing, key=place):
        if row["value"] not in [other["value"] for other in kept]:
            kept.append(row)
    return [(place, row, len(standing)) for place, row in enumerate(kept[:choice.get("top", 1)], 1)]


def golden(rows: list, choices: dict, scope: str) -> dict:
    groups = collections.defaultdict(list)
    for row in rows:
        groups[row["canonical_id"], row["attribute"]].append(row)
    found = {}
    for (person, attribute), own in groups.items():
        if attribute in choices:
            for place, row, count in believed(own, choices[attribute], scope):
                found[person, attribute, place] = {
                    "value": row["value"], "source": row["source"], "record_id": row["record_id"],
                    "observed_at": row["observed_at"], "claims": count,
                }
    return found


# --- events --------------------------------------------------------------------------------------------------

def events(chance: random.Random) -> list:
    rows, start = [], CLOCK - 20 * DAY
    for number in range(chance.randint(20, 200)):
        at = start + datetime.timedelta(minutes=15 * chance.randint(0, 60), seconds=chance.choice([0, 0, 0, 1]))
        at += chance.choice([0, 0, 1, 12, 20]) * DAY
        device, user = chance.choice(["d1", "d2", "d3", "d4", "d5", " undefined", None]), chance.choice(["u1", "u2", "null", "0", None, None])
        row = {
            "id": f"m{number}", "anonymous_id": device, "user_id": user, "timestamp": at,
            "received_at": at + datetime.timedelta(minutes=chance.choice([0, 1, 2000, -15])), "path": chance.choice(["/", "/a", "/b"]),
        }
        rows.append(row)
        if chance.random() < 0.2:
            late = {"received_at": row["received_at"] + chance.choice([0, 1, 9]) * DAY, "path": chance.choice(["/", "/dup"])}
            rows.append({**row, **(late if late["received_at"] > row["received_at"] else {})})
    chance.shuffle(rows)
    return rows


def id_of(text):
    return None if text is None or text.strip() in ("undefined", "null", "0") else text.strip()


def sessions(rows: list) -> tuple:
    """Messages once, who is one person, and the sessions: (people, sessions)."""
    once = {}
    for row in rows:
        if row["id"] not in once or row["received_at"] < once[row["id"]]["received_at"]:
            once[row["id"]] = row
    joined = {}

    def root(name):
        while joined.setdefault(name, name) != name:
            name = joined[name]
        return name

    devices = collections.defaultdict(list)
    for row in once.values():
        names = [(kind, id_of(row[kind])) for kind in ("anonymous_id", "user_id") if id_of(row[kind])]
        for name in names:
            joined[root(name)] = root(names[0])
        row["who"] = names[0] if names else None
        row["at"] = min(row["timestamp"], row["received_at"])
        if id_of(row["anonymous_id"]):
            devices[id_of(row["anonymous_id"])].append(row)
    found = {}
    for device, own in devices.items():
        own.sort(key=lambda row: (row["at"], row["id"]))
        parts = []
        for row in own:
            if not parts or row["at"] > parts[-1][-1]["at"] + datetime.timedelta(minutes=30):
                parts.append([])
            parts[-1].append(row)
        for number, part in enumerate(parts, 1):
            name = hashlib.md5(f"{device} {part[0]['id']}".encode()).hexdigest()
            found[name] = {
                "anonymous_id": device, "session_number": number, "started_at": part[0]["at"], "ended_at": part[-1]["at"],
                "events": len(part), "landing_page": part[0]["path"], "exit_page": part[-1]["path"],
                "seconds": int((part[-1]["at"] - part[0]["at"]).total_seconds()),
            }
    people = collections.defaultdict(lambda: {"events": 0, "events_7d": 0, "sessions": 0})
    for row in once.values():
        if row["who"]:
            person = people[root(row["who"])]
            person["events"] += row["at"] < CLOCK
            person["events_7d"] += CLOCK - 7 * DAY <= row["at"] < CLOCK
    for session in found.values():
        people[root(("anonymous_id", session["anonymous_id"]))]["sessions"] += session["started_at"] < CLOCK
    return {who: (people[root(who)], root(who)) for who in joined}, found


# --- scores --------------------------------------------------------------------------------------------------

def orders(chance: random.Random) -> list:
    return [
        {"canonical_id": f"c{chance.randint(1, 30)}", "ordered_at": CLOCK - chance.randint(0, 400) * DAY + datetime.timedelta(hours=chance.choice([-1, 0])),
         "amount": D(chance.randint(0, 20000)) / 100}
        for _ in range(chance.randint(1, 120))
    ]


def measures(rows: list, at) -> dict:
    people = collections.defaultdict(list)
    for row in rows:
        people[row["canonical_id"]].append(row)
    return {
        who: {"recency": (at.date() - max(o["ordered_at"] for o in own).date()).days, "frequency": len(own), "monetary": sum(o["amount"] for o in own)}
        for who, own in people.items()
    }


def quantiles(rows: list) -> dict:
    anchor = datetime.datetime(2026, 1, 1, tzinfo=UTC)
    people = measures([row for row in rows if row["ordered_at"] < anchor], anchor).values()
    found = {}
    for measure in ("recency", "frequency", "monetary"):
        values = sorted(person[measure] for person in people)
        if values:
            found[measure] = [values[-(-len(values) * part // 5) - 1] for part in range(1, 5)]
    return found


def scores(rows: list, limits: dict) -> dict:
    fixed = {"recency": [30, 60, 90, 180], "frequency": [1, 2, 3, 5], "monetary": [50, 100, 250, 500]}
    found = {}
    for who, measured in measures(rows, CLOCK).items():
        place = {m: 1 + sum(measured[m] > end for end in limits.get(m, fixed[m])) for m in fixed}
        found[who] = {"recency_score": 6 - place["recency"], "frequency_score": place["frequency"], "monetary_score": place["monetary"]}
    return found


# --- kinfold -------------------------------------------------------------------------------------------------

def write(path: pathlib.Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def ndjson(path: pathlib.Path, rows: list) -> None:
    def plain(value):
        return value.isoformat() if isinstance(value, datetime.datetime) else float(value)

    write(path, "".join(json.dumps(row, default=plain) + "\n" for row in rows))


def project(folder: pathlib.Path, package, made: list, choices: dict) -> None:
    package = f"{{local: {package}}}" if package else "kinfold"
    write(folder / "kinfold.yml", f"""name: against
environments: {{dev: {{lake: .kinfold/lake}}}}
packages: [{package}]
vars:
  as_of: "{CLOCK.isoformat()}"
  time_zone: Europe/Berlin
  kinfold:
    segment_sources:
      - source: web
        tables: [pages]
        columns: {{sent_at: null, original_timestamp: null, name: null, url: null, title: null, referrer: null,
          context_page_path: null, context_page_url: null, context_page_title: null, context_page_referrer: null,
          context_campaign_source: null, context_campaign_medium: null, context_campaign_name: null,
          context_campaign_term: null, context_campaign_content: null, context_locale: null, context_user_agent: null}}
    orders_model: orders
    rfm_anchor: year
    rfm_cut_points: rfm_quantiles
""")
    write(folder / "models/sources.yml", """version: 2
sources:
  - name: web
    tables:
      - name: pages
        external: {location: files/pages.ndjson}
        columns:
          - {name: id, data_type: varchar}
          - {name: anonymous_id, data_type: varchar}
          - {name: user_id, data_type: varchar}
          - {name: timestamp, data_type: timestamp}
          - {name: received_at, data_type: timestamp}
          - {name: path, data_type: varchar}
  - name: random
    tables:
      - name: observations
        external: {location: files/observations.ndjson}
        columns:
          - {name: person, data_type: varchar}
          - {name: id, data_type: varchar}
          - {name: at, data_type: timestamp}
          - {name: kind, data_type: varchar}
          - {name: word, data_type: varchar}
          - {name: amount, data_type: "decimal(10, 2)"}
          - {name: number, data_type: bigint}
      - name: claims
        external: {location: files/claims.ndjson}
        columns:
          - {name: canonical_id, data_type: varchar}
          - {name: attribute, data_type: varchar}
          - {name: value, data_type: varchar}
          - {name: cleared, data_type: boolean}
          - {name: source, data_type: varchar}
          - {name: record_id, data_type: varchar}
          - {name: observed_at, data_type: timestamp}
      - name: orders
        external: {location: files/orders.ndjson}
        columns:
          - {name: canonical_id, data_type: varchar}
          - {name: ordered_at, data_type: timestamp}
          - {name: amount, data_type: "decimal(18, 2)"}
""")
    write(folder / "models/orders.sql", "SELECT * FROM {{ source('random', 'orders') }}\n")
    write(folder / "models/made.sql", "{{ config(materialized='table') }}\n{{ kinfold.traits(source('random', 'observations'), "
          f"{made!r}, key='person', at='at', id='id') }}}}\n")
    for scope in ("source", "all"):
        write(folder / f"models/golden_{scope}.sql", "{{ config(materialized='table') }}\n{{ kinfold.golden_values(source('random', 'claims'), "
              f"{choices!r}, clears='{scope}') }}}}\n")


def run(command: list, folder: pathlib.Path) -> str:
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if ended.returncode:
        sys.exit(f"{command} in {folder} ended with {ended.returncode}\n{ended.stdout[-3000:]}{ended.stderr[-6000:]}")
    return ended.stdout


def ask(kinfold: pathlib.Path, folder: pathlib.Path, sql: str) -> list:
    return json.loads(run([kinfold, "query", "--output", "json", sql], folder), parse_float=D)["rows"]


def same(want, have) -> bool:
    if isinstance(want, datetime.datetime):
        have = have and datetime.datetime.fromisoformat(have)
        return have is not None and want == (have if have.tzinfo else have.replace(tzinfo=UTC))
    if isinstance(want, list):
        return isinstance(have, list) and len(want) == len(have) and all(map(same, want, have))
    if isinstance(want, (int, float, D)) and not isinstance(want, bool):
        return isinstance(have, (int, D)) and not isinstance(have, bool) and abs(D(want) - D(have)) < D("0.000002")
    return want == have


def compare(what: str, want: dict, have: dict) -> list:
    problems = [f"{what}: {key} is expected and not there" for key in want.keys() - have.keys()]
    problems += [f"{what}: {key} is there and not expected" for key in have.keys() - want.keys()]
    for key in want.keys() & have.keys():
        problems += [
            f"{what}: {column} of {key} is {have[key].get(column)!r}, expected {value!r}"
            for column, value in want[key].items() if not same(value, have[key].get(column))
        ]
    return problems


def round_of(seed: int, kinfold: pathlib.Path, package) -> tuple:
    chance = random.Random(seed)
    rows, made, said, sent, bought = observations(chance), definitions(chance), claims(chance), events(chance), orders(chance)
    choices = {}
    for attribute in ("a1", "a2", "a3"):
        choices[attribute] = {"rules": chance.sample(RULES, chance.randint(1, 3))}
        if chance.random() < 0.7:
            choices[attribute]["sources"] = chance.sample(["crm", "web", "shop"], chance.randint(1, 3))
        if chance.random() < 0.5:
            choices[attribute]["top"] = chance.randint(2, 4)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        project(folder, package, made, choices)
        ndjson(folder / "files/observations.ndjson", rows)
        ndjson(folder / "files/claims.ndjson", said)
        ndjson(folder / "files/pages.ndjson", sent)
        ndjson(folder / "files/orders.ndjson", bought)
        run([kinfold, "build", "--quiet"], folder)

        problems, cells = [], 0
        want = traits(rows, made)
        have = {row["person"]: row for row in ask(kinfold, folder, "SELECT * FROM made")}
        kinds = {trait["name"]: trait for trait in made}
        problems += [f"{p}  ({kinds.get(p.split()[1])})" for p in compare("traits:", want, have)]
        cells += sum(map(len, want.values()))
        for scope in ("source", "all"):
            want = golden(said, choices, scope)
            have = {(r["canonical_id"], r["attribute"], r["position"]): r for r in ask(kinfold, folder, f"SELECT * FROM golden_{scope}")}
            problems += compare(f"golden, clears={scope}, {choices}", want, have)
            cells += sum(map(len, want.values()))

        people, want = sessions(sent)
        have = {row["session_id"]: row for row in ask(kinfold, folder, "SELECT * FROM sessions")}
        problems += compare("sessions", want, have)
        cells += sum(map(len, want.values()))
        found = ask(kinfold, folder, "SELECT i.id_type, i.id_value, p.* FROM person i JOIN person_profile p ON p.canonical_id = i.canonical_id")
        have = {(row["id_type"], row["id_value"]): row for row in found}
        problems += compare("profiles", {who: counts for who, (counts, _) in people.items()}, have)
        pairs = itertools.combinations(sorted(people.keys() & have.keys()), 2)
        problems += [
            f"people: {a} and {b} are one person on one side only"
            for a, b in pairs if (people[a][1] == people[b][1]) != (have[a]["canonical_id"] == have[b]["canonical_id"])
        ]
        cells += 3 * len(people)

        limits = quantiles(bought)
        want = {measure: {f"upper_end_{i}": end for i, end in enumerate(ends, 1)} for measure, ends in limits.items()}
        problems += compare("limits", want, {row["measure"]: row for row in ask(kinfold, folder, "SELECT * FROM rfm_quantiles")})
        want = scores(bought, limits)
        problems += compare("scores", want, {row["canonical_id"]: row for row in ask(kinfold, folder, "SELECT * FROM rfm")})
        cells += 12 + 3 * len(want)
    return problems, cells


def main() -> None:
    if not 2 <= len(sys.argv) <= 5:
        sys.exit(__doc__)
    kinfold = pathlib.Path(sys.argv[1]).absolute()
    seed, rounds = (int(text) for text in (sys.argv[2:4] + ["1", "10"][len(sys.argv[2:4]):]))
    package = pathlib.Path(sys.argv[4]).absolute() if len(sys.argv) > 4 else None
    problems, cells = [], 0
    for number in range(seed, seed + rounds):
        found, compared = round_of(number, kinfold, package)
        problems += [f"seed {number}: {problem}" for problem in found]
        cells += compared
    if problems:
        sys.exit("\n".join(problems[:60] + [f"{len(problems)} problems"]))
    print(f"{rounds} rounds, {cells} values: equal")


if __name__ == "__main__":
    main()

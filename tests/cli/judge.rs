//! Judging and explaining who is who, from the command line, on real tables.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::program::{Ran, copy, folder, kinfold, repository, write};

/// A built project of the repository: its folder there.
fn built(name: &str) -> tempfile::TempDir {
    let project = folder();
    copy(&repository().join(name), project.path());
    run(project.path(), &["build"]).ok();
    project
}

fn run(project: &Path, arguments: &[&str]) -> Ran {
    kinfold(project, arguments).run()
}

/// The rows of a query.
fn rows(project: &Path, sql: &str) -> Vec<Value> {
    let found = run(project, &["query", sql, "--output", "json"]).ok();
    found.json()["rows"].as_array().unwrap().clone()
}

/// Who is who in the invented records: record → cluster.
fn truth() -> BTreeMap<String, String> {
    let file = repository().join("examples/linkage/fake_1000/seeds/fake_1000.csv");
    let text = fs::read_to_string(file).unwrap();
    let rows = text.lines().skip(1);
    rows.map(|row| {
        let id = row.split(',').next().unwrap();
        (id.to_owned(), row.rsplit(',').next().unwrap().to_owned())
    })
    .collect()
}

fn labels_of_clusters(file: &Path) {
    let mut text = "source,record_id,cluster\n".to_owned();
    for (id, cluster) in truth() {
        text.push_str(&format!("fake_1000,{id},{cluster}\n"));
    }
    fs::write(file, text).unwrap();
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("no number: {value}"))
}

/// The prior and all parts of a pair sum to its weight.
#[track_caller]
fn adds_up(pair: &Value) {
    let parts = pair["parts"].as_array().unwrap();
    assert!(parts.len() >= 5, "{pair}");
    let sum = parts
        .iter()
        .fold(number(&pair["prior_weight"]), |sum, part| {
            sum + number(&part["weight"]) + number(&part["term_frequency"])
        });
    assert!(
        (sum - number(&pair["match_weight"])).abs() < 1e-9,
        "{sum}: {pair}"
    );
}

pub fn two_identifiers_are_explained() {
    let project = built("tests/projects/identity_rules");
    let explain = |one: &str, other: &str| {
        let json = run(
            project.path(),
            &["identity", "explain", one, other, "--output", "json"],
        );
        json.ok().json()
    };

    // A record carries both.
    let told = explain("email:ann@example.com", "ann");
    assert_eq!(told["same"], true);
    assert_eq!(told["hops"].as_array().unwrap().len(), 1);
    let hop = &told["hops"][0];
    assert_eq!(
        hop["from"],
        json!({"id_type": "email", "id_value": "ann@example.com"})
    );
    assert_eq!(hop["to"], json!({"id_type": "user_id", "id_value": "ann"}));
    assert_eq!(
        [&hop["evidence"], &hop["source"], &hop["record_id"]],
        [&json!("record"), &json!("crm"), &json!("1")]
    );
    assert_eq!(hop["first_seen_at"], "2026-01-01T09:00:00Z");
    assert_eq!(told["of"][0]["canonical_id"], told["of"][1]["canonical_id"]);

    // Two records, one behind the other; the weakest step is said.
    let told = explain("cat", "email:cat@example.org");
    let hops = told["hops"].as_array().unwrap();
    let records: Vec<_> = hops.iter().map(|hop| &hop["record_id"]).collect();
    assert_eq!(records, [&json!("3"), &json!("o1")]);
    assert_eq!(hops.iter().filter(|hop| hop["weakest"] == true).count(), 1);

    // A decision of somebody, and a link without a linkage in this project.
    assert_eq!(explain("ivy", "ivy-old")["hops"][0]["evidence"], "include");
    let told = explain("jo@example.org", "phone:+49301234567");
    let link = told["hops"].as_array().unwrap();
    let link = link.iter().find(|hop| hop["evidence"] == "link").unwrap();
    assert_eq!(
        (&link["weight"], &link["weakest"]),
        (&json!(12.5), &json!(true))
    );

    // The same identifier, and a canonical id.
    let told = explain("ann", "ann");
    assert_eq!((&told["same"], &told["hops"]), (&json!(true), &json!([])));
    let id = told["of"][0]["canonical_id"].as_str().unwrap();
    assert_eq!(explain(id, "ann@example.com")["same"], true);

    // Why not: a limit, a hub, a decision, nothing at all.
    let why = |one: &str, other: &str| {
        let told = explain(one, other);
        assert_eq!(told["same"], false, "{one} {other}");
        told["why"]["rejected"].as_array().unwrap().clone()
    };
    let limit = why("ann", "anonymous_id:tablet");
    assert_eq!(
        (&limit[0]["rule"], &limit[0]["limit"]),
        (&json!("limit"), &json!("user_id: 1 ever, email: 5 ever"))
    );
    assert_eq!(
        limit[0]["records"],
        json!([{"source": "web", "record_id": "tablet-1"}])
    );
    let hub = why("gus", "hal");
    assert_eq!(hub[0]["id_value"], "till@shop.example");
    assert_eq!(
        (&hub[0]["rule"], &hub[0]["limit"]),
        (&json!("hub"), &json!("email: at most 3 records"))
    );
    assert_eq!(hub[0]["records"].as_array().unwrap().len(), 2);
    let excluded = why("mother", "daughter");
    assert_eq!(excluded[0]["rule"], "excluded");
    assert!(why("ann", "dan").is_empty());

    let text = |one: &str, other: &str| {
        let ran = run(project.path(), &["identity", "explain", one, other]);
        ran.ok().stdout
    };
    let joined = text("cat", "cat@example.org");
    assert!(joined.starts_with("one person: person "), "{joined}");
    assert!(
        joined.contains("  user_id:cat → phone:+491715551234"),
        "{joined}"
    );
    assert!(
        joined.contains("record crm/3 carries both, seen 2026-01-01T09:00:00Z"),
        "{joined}"
    );
    assert!(joined.contains("(the weakest step)"), "{joined}");
    let apart = text("ann", "anonymous_id:tablet");
    assert!(
        apart.contains(
            "anonymous_id:tablet on record web/tablet-1: limit (user_id: 1 ever, email: 5 ever)"
        ),
        "{apart}"
    );
    assert!(text("ann", "dan").contains("nothing speaks for one person"));

    run(project.path(), &["identity", "explain", "ann", "zoe"])
        .code(2)
        .says("there is no person with the id `zoe`");
    run(
        project.path(),
        &["identity", "explain", "ann", "email:test@test.com"],
    )
    .code(2)
    .says("belongs to nobody in `person`: 2 rows were refused by `blocked_value`");
    run(
        project.path(),
        &["identity", "explain", "ann", "dan", "--identity", "persn"],
    )
    .code(2)
    .says("there is no published identity `persn`")
    .says("did you mean `person`?");
}

pub fn links_are_explained_by_their_weights() {
    let project = built("examples/linkage/fake_1000");
    let explain = |one: &str, other: &str| {
        let (one, other) = (
            format!("record:fake_1000/{one}"),
            format!("fake_1000/{other}"),
        );
        let json = run(
            project.path(),
            &["identity", "explain", &one, &other, "--output", "json"],
        );
        json.ok().json()
    };
    let pair = |condition: &str| {
        let sql = format!(
            "select * from matches where {condition} order by match_weight, record_id_l, record_id_r limit 1"
        );
        let found = rows(project.path(), &sql).remove(0);
        let id = |key: &str| found[key].as_str().unwrap().to_owned();
        (id("record_id_l"), id("record_id_r"), found)
    };

    // The weakest link of all is a chain of one pair, or of stronger ones; its weights are those stored.
    let (one, other, stored) = pair("linked");
    let told = explain(&one, &other);
    assert_eq!(told["same"], true, "{told}");
    let linkage = &told["hops"][0]["linkage"];
    assert_eq!(linkage["model"], "matches");
    let chain = linkage["pairs"].as_array().unwrap();
    assert!(!chain.is_empty());
    for step in chain {
        adds_up(step);
        assert!(number(&step["match_weight"]) >= number(&stored["match_weight"]));
        let sql = format!(
            "select match_weight from matches where record_id_l = '{}' and record_id_r = '{}'",
            step["left"]["record_id"].as_str().unwrap(),
            step["right"]["record_id"].as_str().unwrap()
        );
        assert_eq!(
            rows(project.path(), &sql)[0]["match_weight"],
            step["match_weight"]
        );
    }
    let text = run(
        project.path(),
        &[
            "identity",
            "explain",
            &format!("fake_1000/{one}"),
            &format!("fake_1000/{other}"),
        ],
    );
    let text = text.ok().stdout;
    assert!(
        text.contains("linked by matches with a weight of"),
        "{text}"
    );
    assert!(text.contains("first_name"), "{text}");

    // Records whose clusters were held apart although the pair is heavy enough.
    let (one, other, stored) = pair("not linked and match_probability >= 0.5");
    let told = explain(&one, &other);
    let best = &told["why"]["linkages"][0];
    assert_eq!(best["verdict"], "clustering", "{told}");
    adds_up(&best["pair"]);
    assert!(number(&best["pair"]["match_weight"]) >= number(&stored["match_weight"]));

    // Records that nothing brings together, or that are too different: scored anew.
    let mut verdicts = BTreeMap::new();
    for other in ["500", "700", "900", "300", "100"] {
        let told = explain("1", other);
        assert_eq!(told["same"], false);
        let best = told["why"]["linkages"][0].clone();
        adds_up(&best["pair"]);
        let compared = best["pair"]["rule"].is_string();
        let verdict = best["verdict"].as_str().unwrap().to_owned();
        assert_eq!(verdict == "never_compared", !compared, "{best}");
        verdicts.insert(verdict, best);
    }
    assert!(verdicts.contains_key("never_compared"), "{verdicts:?}");
}

pub fn a_linkage_is_judged_by_labels() {
    let project = built("examples/linkage/fake_1000");
    let labels = project.path().join("labels.csv");
    labels_of_clusters(&labels);
    let evaluate = |model: &str, labels: &str, more: &[&str]| {
        let arguments = ["identity", "evaluate", model, "--labels", labels];
        run(project.path(), &[&arguments, more].concat())
    };
    let json =
        |model: &str, labels: &str| evaluate(model, labels, &["--output", "json"]).ok().json();
    let found = json("matches", "labels.csv");
    assert_eq!(found["labels"]["used"], 1_000);

    // The project's own data tests say how good its people are.
    let quality = &rows(project.path(), "select * from quality")[0];
    for key in ["precision", "recall", "f1"] {
        let (own, known) = (number(&found["clusters"][key]), number(&quality[key]));
        assert!((own - known).abs() < 1e-9, "{key}: {own} {known}");
    }
    assert!(number(&found["b_cubed"]["f1"]) > 0.9, "{found}");
    assert!(number(&found["exact_clusters"]["f1"]) > 0.5, "{found}");
    let blocking = &found["blocking"];
    assert_eq!(blocking["matches"], 2_031);
    let first: u64 = blocking["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["first"].as_u64().unwrap())
        .sum();
    assert_eq!(blocking["compared"], first);
    let table = found["thresholds"].as_array().unwrap();
    assert_eq!(table.len(), 12);
    for row in table {
        let count = |key: &str| row[key].as_u64().unwrap();
        let (positives, negatives) = (
            count("true_positives") + count("false_negatives"),
            count("false_positives") + count("true_negatives"),
        );
        assert_eq!((positives, positives + negatives), (2_031, 499_500));
        assert!(number(&row["recall"]) <= number(&blocking["recall"]));
    }
    let at_threshold = table.iter().find(|row| row["threshold"] == 0.5).unwrap();
    assert_eq!(*at_threshold, found["pairs"]);
    let stored = "select count(*) as n from matches where match_probability >= 0.5";
    let stored = rows(project.path(), stored)[0]["n"].as_u64().unwrap();
    let positives = |key: &str| at_threshold[key].as_u64().unwrap();
    assert_eq!(
        positives("true_positives") + positives("false_positives"),
        stored
    );

    // The worst pairs with their weights; values only where they are asked for.
    for kind in ["false_positives", "false_negatives"] {
        let worst = found["worst"][kind].as_array().unwrap();
        assert!(!worst.is_empty());
        worst.iter().for_each(adds_up);
        assert!(worst.iter().all(|pair| pair.get("values").is_none()));
    }
    let shown = evaluate(
        "matches",
        "labels.csv",
        &["--values", "--worst", "1", "--output", "json"],
    );
    let shown = shown.ok().json();
    let values = &shown["worst"]["false_positives"][0]["values"];
    assert!(
        values
            .as_array()
            .unwrap()
            .iter()
            .any(|value| value["left"].is_string()),
        "{values}"
    );
    let text = evaluate("matches", "labels.csv", &[]).ok().stdout;
    assert!(text.contains("*     0.5"), "{text}");
    assert!(text.contains("worst false positives"), "{text}");
    assert_eq!(text, evaluate("matches", "labels.csv", &[]).ok().stdout);

    // The same of people, and labels that are a relation.
    write(
        project.path(),
        &[(
            "models/known.sql",
            "select 'fake_1000' as source, unique_id as record_id, k.cluster from {{ ref('fake_1000') }} as k",
        )],
    );
    run(project.path(), &["build", "-s", "known"]).ok();
    let of_relation = json("matches", "known");
    assert_eq!(of_relation["clusters"], found["clusters"]);
    let people = json("person", "known");
    assert_eq!(people["pairs"], found["clusters"]);
    for key in ["precision", "recall", "f1"] {
        // The same sum in another order.
        let (one, other) = (
            number(&people["b_cubed"][key]),
            number(&found["b_cubed"][key]),
        );
        assert!((one - other).abs() < 1e-9, "{key}");
    }
    let mixed = people["mixed"].as_array().unwrap();
    assert_eq!(
        mixed.is_empty(),
        people["pairs"]["precision"] == 1.0,
        "{people}"
    );
    assert!(people["split"][0]["missed_pairs"].as_u64().unwrap() > 0);
    let text = evaluate("person", "known", &[]).ok().stdout;
    assert!(text.contains("clusters that are in most pieces"), "{text}");

    // Labels that are pairs.
    let pairs = "source_a,record_a,source_b,record_b,is_match\n\
                 fake_1000,0,fake_1000,1,1\nfake_1000,0,fake_1000,900,0\nfake_1000,2,fake_1000,3,\n\
                 fake_1000,0,fake_1000,12345,1\n";
    fs::write(project.path().join("pairs.csv"), pairs).unwrap();
    let found = json("matches", "pairs.csv");
    assert_eq!(
        found["labels"],
        json!({"form": "pairs", "labelled": 3, "unlabelled": 1, "unknown": 1, "used": 2})
    );
    assert_eq!(
        (&found["b_cubed"], &found["estimates"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(json("person", "pairs.csv")["labels"]["used"], 2);

    // Charts as files that need nothing else.
    evaluate("matches", "labels.csv", &["--charts", "judged"])
        .ok()
        .says("charts are in judged");
    let charts = [
        "roc",
        "precision-recall",
        "match-weights",
        "match-weight-histogram",
        "cluster-sizes",
        "unlinkable",
        "waterfall",
        "waterfall-false-positive-1",
        "waterfall-false-negative-1",
    ];
    are_charts(&project.path().join("judged"), &charts);
    evaluate("person", "known", &["--charts", "people"]).ok();
    are_charts(&project.path().join("people"), &["cluster-sizes"]);
}

/// A folder with a page and these charts at least: whole files with a title and a description, without scripts
/// and without anybody's data.
#[track_caller]
fn are_charts(folder: &Path, names: &[&str]) {
    let page = fs::read_to_string(folder.join("index.html")).unwrap();
    for name in names {
        let svg = fs::read_to_string(folder.join(format!("{name}.svg"))).unwrap();
        assert!(
            page.contains(&format!("src=\"{name}.svg\" alt=\"")),
            "{name}"
        );
        assert!(
            svg.starts_with("<svg xmlns=") && svg.ends_with("</svg>\n"),
            "{name}"
        );
        for part in ["<title id=\"title\">", "<desc id=\"desc\">", "role=\"img\""] {
            assert!(svg.contains(part), "{name}: {part}");
        }
        for never in ["NaN", "inf", "<script", "href", "fake_1000", "robert"] {
            assert!(!svg.contains(never), "{name}: {never}");
        }
        let opened = svg.matches("<text ").count();
        assert_eq!(opened, svg.matches("</text>").count(), "{name}");
        assert!(opened > 3, "{name}");
    }
}

pub fn labels_that_cannot_be_used() {
    let project = built("examples/linkage/fake_1000");
    let evaluate = |model: &str, labels: &str| {
        run(
            project.path(),
            &["identity", "evaluate", model, "--labels", labels],
        )
    };
    for (text, message) in [
        (
            "source,record_id\nfake_1000,0\n",
            "labels without the column `cluster`",
        ),
        (
            "source,record_id,cluster\nfake_1000,secret-0\n",
            "this row has 2 values and the header has 3",
        ),
        (
            "source_a,record_a,source_b,record_b,is_match\nfake_1000,secret-0,fake_1000,1,maybe\n",
            "this is no label of a pair",
        ),
        (
            "source,record_id,cluster\n\"fake_1000,secret-0,1\n",
            "this quote is never closed",
        ),
    ] {
        fs::write(project.path().join("labels.csv"), text).unwrap();
        let ran = evaluate("matches", "labels.csv")
            .code(2)
            .says("KF0503")
            .says(message)
            .says("labels.csv:");
        // Rows are of people: the place is shown, what stands there is not.
        assert!(!ran.stderr.contains("secret"), "{}", ran.stderr);
        let json = run(
            project.path(),
            &[
                "identity",
                "evaluate",
                "matches",
                "--labels",
                "labels.csv",
                "--output",
                "json",
            ],
        );
        let json = json.code(2).json();
        assert_eq!(json["diagnostics"][0]["code"], "KF0503");
    }
    fs::write(
        project.path().join("labels.csv"),
        "source,record_id,cluster\ncrm,0,1\n",
    )
    .unwrap();
    evaluate("matches", "labels.csv")
        .code(2)
        .says("none of the 1 labels names a record of `matches`");
    evaluate("person", "labels.csv")
        .code(2)
        .says("none of the 1 labels names a record of `person`");
    fs::write(
        project.path().join("labels.csv"),
        "source_a,record_a,source_b,record_b,is_match\nfake_1000,0,fake_1000,1,\n",
    )
    .unwrap();
    evaluate("matches", "labels.csv")
        .code(2)
        .says("no label is filled in");
    evaluate("matches", "fake_1000").code(2).says(
        "row 0 of the labels in `fake_1000`: labels without the column `source`, `record_id`",
    );
    evaluate("matches", "fake_100")
        .code(2)
        .says("there is no published relation `fake_100`");
    evaluate("matches", "none.csv")
        .code(2)
        .says("cannot read `none.csv`");
    evaluate("quality", "labels.csv")
        .code(2)
        .says("there is no linkage or identity `quality`");
}

pub fn charts_need_no_labels() {
    let project = built("examples/linkage/fake_1000");
    let found = run(
        project.path(),
        &[
            "identity", "charts", "matches", "--to", "a/charts", "--output", "json",
        ],
    );
    let files = found.ok().json()["files"].as_array().unwrap().len();
    assert_eq!(files, 6);
    let names = [
        "match-weights",
        "match-weight-histogram",
        "cluster-sizes",
        "unlinkable",
        "waterfall",
    ];
    are_charts(&project.path().join("a/charts"), &names);
    let weights = fs::read_to_string(project.path().join("a/charts/match-weights.svg")).unwrap();
    assert!(
        weights.contains("jaro_winkler(city) &gt;= 0.85"),
        "{weights}"
    );
    run(
        project.path(),
        &["identity", "charts", "person", "--to", "people"],
    )
    .ok();
    are_charts(&project.path().join("people"), &["cluster-sizes"]);
    run(
        project.path(),
        &["identity", "charts", "persn", "--to", "people"],
    )
    .code(2)
    .says("did you mean `person`?");
}

pub fn pairs_are_labelled_and_judged() {
    let project = built("examples/linkage/fake_1000");
    let label = |to: &str, more: &[&str]| {
        let arguments = ["identity", "label", "matches", "--to", to];
        run(project.path(), &[&arguments, more].concat())
    };
    label("pairs.csv", &["--pairs", "300"])
        .ok()
        .says("wrote 300 pairs")
        .says("holds values of people");
    label("pairs.csv", &[])
        .code(2)
        .says("`pairs.csv` is there already");
    let drawn = label("again.csv", &["--pairs", "300", "--output", "json"])
        .ok()
        .json();
    let file = |name: &str| fs::read_to_string(project.path().join(name)).unwrap();
    assert_eq!(file("pairs.csv"), file("again.csv"));
    label("other.csv", &["--pairs", "300", "--seed", "2"]).ok();
    assert_ne!(file("pairs.csv"), file("other.csv"));
    let strata = drawn["strata"].as_array().unwrap();
    let sum = |key: &str| -> u64 { strata.iter().map(|s| s[key].as_u64().unwrap()).sum() };
    assert_eq!((strata.len(), sum("drawn")), (9, 300));
    // Pairs below the threshold are among them.
    assert!(strata[0]["drawn"].as_u64().unwrap() > 0);

    // Nobody has filled it in.
    let evaluate = |name: &str| {
        run(
            project.path(),
            &[
                "identity", "evaluate", "matches", "--labels", name, "--output", "json",
            ],
        )
    };
    evaluate("pairs.csv").code(2).says("no label is filled in");

    // Somebody who knows fills in all but a few.
    let truth = truth();
    let text = file("pairs.csv");
    let mut lines = text.lines();
    let mut filled = format!("{}\n", lines.next().unwrap());
    for (at, line) in lines.enumerate() {
        let mut cells: Vec<String> = line.split(',').map(str::to_owned).collect();
        assert_eq!(cells[4], "");
        if at % 50 != 0 {
            let is_match = truth[&cells[1]] == truth[&cells[3]];
            cells[4] = if is_match { "1" } else { "0" }.to_owned();
        }
        filled.push_str(&cells.join(","));
        filled.push('\n');
    }
    fs::write(project.path().join("pairs.csv"), filled).unwrap();
    let found = evaluate("pairs.csv").ok().json();
    assert_eq!(
        (&found["labels"]["used"], &found["labels"]["unlabelled"]),
        (&json!(294), &json!(6))
    );

    // The estimates are about all compared pairs: what is known of them lies within or near their intervals.
    labels_of_clusters(&project.path().join("labels.csv"));
    let known = evaluate("labels.csv").ok().json();
    let compared = number(&known["blocking"]["recall"]);
    let row = |found: &Value, key: &str| -> Value {
        let rows = found[key].as_array().unwrap();
        rows.iter()
            .find(|row| (number(&row["threshold"]) - 0.5).abs() < 1e-9)
            .unwrap()
            .clone()
    };
    let (estimate, known) = (row(&found, "estimates"), row(&known, "thresholds"));
    for (key, wanted) in [
        ("precision", number(&known["precision"])),
        ("recall", number(&known["recall"]) / compared),
    ] {
        let interval = &estimate[key]["interval"];
        let (low, high) = (number(&interval[0]), number(&interval[1]));
        assert!(
            low <= wanted && wanted <= high,
            "{key}: {wanted} in {estimate}"
        );
        assert!(high - low < 0.5, "{key}: {estimate}");
    }
    let text = run(
        project.path(),
        &["identity", "evaluate", "matches", "--labels", "pairs.csv"],
    );
    let text = text.ok().stdout;
    assert!(text.contains("estimated for all compared pairs"), "{text}");
    assert!(text.contains("the true recall is lower"), "{text}");
}

pub fn a_linkage_is_suggested() {
    let project = folder();
    let theirs = repository().join("examples/linkage/fake_1000");
    copy(&theirs, project.path());
    fs::remove_dir_all(project.path().join("models")).unwrap();
    fs::remove_dir_all(project.path().join("tests")).unwrap();
    fs::create_dir(project.path().join("models")).unwrap();
    let at = |arguments: &[&str]| run(project.path(), arguments);
    at(&["identity", "suggest", "fake_1000"])
        .code(2)
        .says("there is no published relation `fake_1000`");
    at(&["build"]).ok();

    // Without a path nothing is written.
    let printed = at(&["identity", "suggest", "fake_1000"]).ok();
    assert!(
        printed.stdout.contains("materialized: linkage"),
        "{}",
        printed.stdout
    );
    assert!(
        printed.stdout.contains("{{ ref('fake_1000') }}"),
        "{}",
        printed.stdout
    );
    let to = ["identity", "suggest", "fake_1000", "--to", "models/matches"];
    at(&[&to[..], &["--dry-run"]].concat()).ok();
    assert_eq!(
        fs::read_dir(project.path().join("models")).unwrap().count(),
        0
    );
    let told = at(&[&to[..], &["--dry-run", "--output", "json"]].concat())
        .ok()
        .json();
    assert_eq!(
        (&told["id"], &told["written"]),
        (&json!("unique_id"), &json!([]))
    );
    let like = |column: &str| {
        let all = told["comparisons"].as_array().unwrap();
        let found = all.iter().find(|comparison| comparison["column"] == column);
        found.map(|comparison| comparison["like"].as_str().unwrap().to_owned())
    };
    for (column, wanted) in [
        ("first_name", Some("name")),
        ("surname", Some("name")),
        ("dob", Some("date")),
        ("city", Some("text")),
        ("email", Some("email")),
        // The truth is none of the evidence.
        ("cluster", None),
    ] {
        assert_eq!(like(column).as_deref(), wanted, "{column}");
    }
    assert!(told["pairs"].as_u64() <= told["budget"].as_u64(), "{told}");
    assert_eq!(told["not_covered"], 0);

    // What is written is trained and built without any edit.
    at(&to).ok().says("kinfold identity train matches");
    at(&["identity", "suggest", "fake_1000", "--to", "models/matches"])
        .code(2)
        .says("the project has a node of that name");
    at(&["check"]).ok();
    at(&["identity", "train", "matches"]).ok();
    write(
        project.path(),
        &[(
            "models/identities.yml",
            "models:\n  - name: person\n    config: {materialized: identity, entity: person}\n",
        )],
    );
    for model in ["person.sql", "quality.sql"] {
        let from = theirs.join("models").join(model);
        fs::copy(from, project.path().join("models").join(model)).unwrap();
    }
    at(&["build"]).ok();
    let quality = &rows(project.path(), "select * from quality")[0];
    assert!(number(&quality["f1"]) >= 0.90, "{quality}");

    // What it cannot do.
    at(&["identity", "suggest", "fake_100"])
        .code(2)
        .says("there is no published relation `fake_100`")
        .says("did you mean `fake_1000`?");
    at(&["identity", "suggest", "fake_1000", "--id", "nope"])
        .code(2)
        .says("it has no column `nope`");
    at(&["identity", "suggest", "quality"])
        .code(2)
        .says("it has fewer than two records");
    for path in ["models/a.b", "nowhere/matching", "models/9"] {
        at(&["identity", "suggest", "fake_1000", "--to", path])
            .code(2)
            .says("cannot be the path of a model");
    }
    fs::write(project.path().join("models/taken.yml"), "models: []\n").unwrap();
    at(&["identity", "suggest", "fake_1000", "--to", "models/taken"])
        .code(2)
        .says("is there already");
}

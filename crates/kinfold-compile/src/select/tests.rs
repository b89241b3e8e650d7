#![expect(clippy::unwrap_used, reason = "tests")]

mod earlier;
mod named;
mod project;

use std::collections::BTreeSet;

use kinfold_project::{NodeId, ResourceType};
use proptest::prelude::*;
use serde_json::json;

use super::graph::{SelectGraph, SelectNode};
use super::{SelectError, select};

/// `resource.package.folder/name`, tags, and what it reads.
fn node(path: &str, tags: &[&str], reads: &[&str]) -> (SelectNode, Vec<NodeId>) {
    let (resource, rest) = path.split_once('.').unwrap();
    let (package, place) = rest.split_once('.').unwrap();
    let (resource, folder, ending) = match resource {
        "model" => (ResourceType::Model, "models", ".sql"),
        "seed" => (ResourceType::Seed, "seeds", ".csv"),
        "source" => (ResourceType::Source, "models", ""),
        "sync" => (ResourceType::Sync, "syncs", ".yml"),
        _ => (ResourceType::Test, "tests", ".sql"),
    };
    let parts: Vec<&str> = place.split('/').collect();
    let name = parts.last().copied().unwrap();
    let mut fqn = vec![package.to_owned()];
    fqn.extend(parts.iter().map(|part| (*part).to_owned()));
    let materialized = if tags.contains(&"big") {
        "table"
    } else {
        "view"
    };
    let node = SelectNode {
        id: NodeId::new(resource, &[package, name]),
        resource,
        package: package.to_owned(),
        name: name.to_owned(),
        fqn,
        paths: match resource {
            ResourceType::Source => vec!["models/sources.yml".to_owned()],
            _ => vec![
                format!("{folder}/{place}{ending}"),
                "models/schema.yml".to_owned(),
            ],
        },
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        source: (resource == ResourceType::Source).then(|| "raw".to_owned()),
        test: name
            .starts_with("not_null")
            .then(|| "dbt_utils.not_null_ish".to_owned()),
        config: json!({
            "materialized": materialized,
            "tags": tags,
            "store_failures": true,
            "meta": {"owner": {"team": "growth"}},
        })
        .as_object()
        .unwrap()
        .clone(),
    };
    let reads = reads.iter().map(|id| NodeId::from_text(id)).collect();
    (node, reads)
}

/// ```text
/// raw.events → stg_events → person → person_profile → winback ⇒ crm (sync)
/// countries  → stg_orders ──────────↗
/// ```
fn shop() -> SelectGraph {
    let mut graph = SelectGraph::new(
        "shop",
        [
            node("source.shop.events", &["landing"], &[]),
            node("seed.shop.countries", &[], &[]),
            node(
                "model.shop.staging/stg_events",
                &["nightly"],
                &["source.shop.events"],
            ),
            node(
                "model.shop.staging/stg_orders",
                &["nightly", "big"],
                &["seed.shop.countries"],
            ),
            node(
                "model.std.identity/person",
                &["big"],
                &["model.shop.stg_events"],
            ),
            node(
                "model.shop.profile/person_profile",
                &[],
                &["model.std.person", "model.shop.stg_orders"],
            ),
            node(
                "model.shop.winback",
                &["email"],
                &["model.shop.person_profile"],
            ),
            node("sync.shop.crm", &["email"], &["model.shop.winback"]),
            node(
                "test.shop.not_null_stg_events",
                &[],
                &["model.shop.stg_events"],
            ),
            node(
                "test.shop.orders_have_people",
                &["slow"],
                &["model.shop.stg_orders", "model.std.person"],
            ),
            node("test.shop.gone", &[], &["model.shop.not_in_the_project"]),
        ],
    );
    graph.disabled = ["old_model".to_owned()].into();
    graph
}

fn run(selected: &[&str], excluded: &[&str]) -> Result<BTreeSet<NodeId>, Vec<SelectError>> {
    let own = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    select(&shop(), &own(selected), &own(excluded), None)
}

/// The names that are selected.
fn names(selected: &[&str], excluded: &[&str]) -> BTreeSet<String> {
    let found = run(selected, excluded).unwrap();
    let name = |id: &NodeId| id.as_str().rsplit('.').next().unwrap().to_owned();
    found.iter().map(name).collect()
}

#[track_caller]
fn assert_names(selected: &[&str], expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(|w| (*w).to_owned()).collect();
    assert_eq!(names(selected, &[]), expected, "of {selected:?}");
}

const EVENT_TEST: &str = "not_null_stg_events";
const ORDER_TEST: &str = "orders_have_people";

#[test]
fn without_arguments_everything_is_selected() {
    assert_eq!(run(&[], &[]).unwrap().len(), 11);
}

#[test]
fn names_packages_and_folders() {
    assert_names(&["winback"], &["winback"]);
    assert_names(&["shop.winback"], &["winback"]);
    assert_names(&["std"], &["person", ORDER_TEST]);
    assert_names(
        &["staging"],
        &["stg_events", "stg_orders", EVENT_TEST, ORDER_TEST],
    );
    assert_names(&["shop.staging.stg_e*"], &["stg_events", EVENT_TEST]);
    assert_names(&["*.*.stg_orders"], &["stg_orders", ORDER_TEST]);
    assert_names(&["person*"], &["person", "person_profile", ORDER_TEST]);
    assert_names(&["fqn:crm"], &["crm"]);
}

#[test]
fn operators_add_relatives() {
    assert_names(
        &["+person"],
        &["events", "stg_events", "person", EVENT_TEST, ORDER_TEST],
    );
    assert_names(&["1+winback"], &["person_profile", "winback"]);
    assert_names(&["winback+"], &["winback", "crm"]);
    assert_names(
        &["1+person_profile+1"],
        &[
            "person",
            "stg_orders",
            "person_profile",
            "winback",
            ORDER_TEST,
        ],
    );
    assert_names(
        &["@stg_events"],
        &[
            "events",
            "countries",
            "stg_events",
            "stg_orders",
            "person",
            "person_profile",
            "winback",
            "crm",
            EVENT_TEST,
            ORDER_TEST,
        ],
    );
    assert_names(&["+crm,resource_type:source"], &["events"]);
    assert_names(&["0+winback"], &["winback"]);
    assert_names(&["99999999999999999999999+winback,winback"], &["winback"]);
}

#[test]
fn methods() {
    assert_names(&["tag:email"], &["winback", "crm"]);
    assert_names(
        &["tag:night*,config.materialized:table"],
        &["stg_orders", ORDER_TEST],
    );
    assert_names(&["source:raw"], &["events"]);
    assert_names(&["source:raw.events"], &["events"]);
    assert_names(&["source:shop.raw.ev*"], &["events"]);
    assert_names(&["resource_type:sync"], &["crm"]);
    assert_names(&["package:std"], &["person", ORDER_TEST]);
    assert_names(&["package:this,resource_type:seed"], &["countries"]);
    assert_names(&["test_name:not_null_ish"], &[EVENT_TEST]);
    assert_names(&["test_name:dbt_utils.not_null_ish"], &[EVENT_TEST]);
    assert_names(&["test_type:singular"], &[ORDER_TEST, "gone"]);
    assert_names(&["test_type:generic"], &[EVENT_TEST]);
    assert_names(&["config.tags:email"], &["winback", "crm"]);
    assert_names(&["config.meta.owner.team:growth,winback"], &["winback"]);
    assert_names(&["config.meta.owner:team,winback"], &["winback"]);
    assert_names(&["config.store_failures:TRUE,winback"], &["winback"]);
}

#[test]
fn paths_and_files() {
    let staging = ["stg_events", "stg_orders", EVENT_TEST, ORDER_TEST];
    assert_names(&["models/staging"], &staging);
    assert_names(&["./models/staging/"], &staging);
    assert_names(&["path:models/stag*"], &staging);
    assert_names(&["path:models/**/stg_*.sql"], &staging);
    assert_names(&["path:seeds"], &["countries"]);
    assert_names(&["models/winback.sql"], &["winback"]);
    assert_names(&["winback.sql"], &["winback"]);
    assert_names(&["file:countries"], &["countries"]);
    assert_names(&["countries.csv"], &["countries"]);
    assert_names(&["crm.yml"], &["crm"]);
    // A properties file stands for all that it describes.
    assert_names(
        &["path:models/schema.yml,resource_type:seed"],
        &["countries"],
    );
}

#[test]
fn a_test_goes_with_any_of_its_parents() {
    let without = names(&["stg_orders", "stg_events"], &["person"]);
    let expected = ["stg_events", "stg_orders", EVENT_TEST];
    assert_eq!(without, expected.map(str::to_owned).into());
    assert_names(&["person,tag:slow"], &[ORDER_TEST]);
}

#[test]
fn types_are_filtered_after_relatives_are_found() {
    let graph = shop();
    let found = select(
        &graph,
        &["+crm".to_owned()],
        &[],
        Some(&[ResourceType::Seed]),
    )
    .unwrap();
    assert_eq!(found, [NodeId::from_text("seed.shop.countries")].into());
}

#[test]
fn a_name_that_matches_nothing_is_an_error_with_what_is_near() {
    let told = |selected: &[&str], excluded: &[&str]| {
        let errors = run(selected, excluded).err().unwrap_or_default();
        errors.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        told(&["winbak+ tag:emial"], &["package:stt"]),
        [
            "`winbak+` matches no node, did you mean `winback`?",
            "`tag:emial` matches no node, did you mean `email`?",
            "`package:stt` matches no node, did you mean `std`?",
        ]
    );
    assert_eq!(
        told(&["shop.stagin"], &[]),
        ["`shop.stagin` matches no node, did you mean `shop.staging`?"]
    );
    assert_eq!(
        told(&["models/staging/stg_event.sql"], &[]),
        [
            "`models/staging/stg_event.sql` matches no node, did you mean `models/staging/stg_events.sql`?"
        ]
    );
    assert_eq!(
        told(&["source:raw.event"], &[]),
        ["`source:raw.event` matches no node, did you mean `raw.events`?"]
    );
    assert_eq!(
        told(&["zzzzzzzz,winback"], &[]),
        ["`zzzzzzzz` matches no node"]
    );
    // A part of a name is not a name, and a source is named by `source:`.
    assert_eq!(told(&["person_prof"], &[]).len(), 1);
    assert_eq!(told(&["events"], &[]).len(), 1);
    assert_eq!(
        told(&["old_model+"], &[]),
        ["`old_model+` is switched off by `enabled: false`"]
    );
    // An intersection may be empty, and so may what describes.
    assert!(
        told(
            &["winback,tag:nightly"],
            &["zz* tag:zz* test_type:unit config.mode:mirror"]
        )
        .is_empty()
    );
}

#[test]
fn mistakes_are_all_reported() {
    let errors = run(
        &[
            "tagg:x exposure:x resource_type:table test_type:x state:changed",
            "@a+",
            "a,,b",
            "tag:",
        ],
        &["config:x", "source:a.b.c.d"],
    )
    .unwrap_err();
    let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "`tagg:x`: there is no selection method `tagg`, did you mean `tag`?",
            "`exposure:x`: the selection method `exposure` is not supported yet",
            "`resource_type:table`: `table` is no value of `resource_type`, which takes `model`, `seed`, `source`, `sync`, `test`, `unit_test` or `all`",
            "`test_type:x`: `x` is no value of `test_type`, which takes `data`, `generic`, `singular` or `unit`",
            "`state:changed`: `changed` is no value of `state`, which takes `new`, `old`, `unmodified`, `modified`, or `modified.` with `body`, `configs`, `relation`, `macros`, `contract`, `persisted_descriptions` or `meaning`",
            "`@a+` has both `@` and `+`",
            "`a,,b` has an empty part",
            "`tag:` has an empty part",
            "`config:x`: there is no selection method `config`, did you mean `config.materialized`?",
            "`source:a.b.c.d`: `a.b.c.d` is no value of `source`, which takes `source`, `source.table` or `package.source.table`",
        ]
    );
}

/// A criterion that may match something.
fn criterion() -> impl Strategy<Value = String> {
    let value = prop::sample::select(vec![
        "stg_events",
        "stg_*",
        "person",
        "winback",
        "crm",
        "staging",
        "std",
        "tag:nightly",
        "tag:big",
        "resource_type:test",
        "source:raw",
        "models/staging",
        "gone",
        "config.materialized:view",
        "test_type:generic",
    ]);
    let before = prop::sample::select(vec!["", "+", "1+", "2+", "@"]);
    let after = prop::sample::select(vec!["", "+", "+1", "+2"]);
    (before, value, after).prop_map(|(before, value, after)| match before {
        "@" => format!("@{value}"),
        _ => format!("{before}{value}{after}"),
    })
}

proptest! {
    #[test]
    fn spaces_unite_and_commas_intersect(a in criterion(), b in criterion(), c in criterion()) {
        let of = |words: &[&str]| names(words, &[]);
        let (left, right) = (of(&[&a]), of(&[&b]));
        let union: BTreeSet<String> = left.union(&right).cloned().collect();
        prop_assert_eq!(&of(&[&format!("{a} {b}")]), &union);
        prop_assert_eq!(&of(&[&a, &b]), &union);
        let both: BTreeSet<String> = left.intersection(&right).cloned().collect();
        prop_assert_eq!(of(&[&format!("{a},{b}")]), both);
        let rest: BTreeSet<String> = left.difference(&of(&[&c])).cloned().collect();
        prop_assert_eq!(names(&[&a], &[&c]), rest);
    }

    #[test]
    fn operators_only_add(a in criterion()) {
        let bare = a.trim_start_matches(['@', '+', '1', '2']).split('+').next().unwrap().to_owned();
        let direct = names(&[&bare], &[]);
        prop_assert!(direct.is_subset(&names(&[&a], &[])));
        let (family, line) = (format!("@{bare}"), format!("+{bare}+"));
        prop_assert!(names(&[&a], &[]).is_subset(&names(&[&family, &line], &[])));
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,24}", other in "[@+0-9:.,*a-z/\\[\\] ]{0,24}") {
        let graph = shop();
        let _ = select(&graph, &[text, other.clone()], &[other], None);
    }
}

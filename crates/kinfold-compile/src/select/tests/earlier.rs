//! `state:` and `result:`.

use std::collections::{BTreeMap, BTreeSet};

use kinfold_project::NodeId;

use super::shop;
use crate::select::{Aspect, Before, Change, SelectError, select};

fn before() -> Before {
    let modified = |aspects: &[Aspect]| Change::Modified(aspects.iter().copied().collect());
    let id = NodeId::from_text;
    Before {
        changes: BTreeMap::from([
            (id("model.shop.winback"), Change::New),
            (
                id("model.shop.stg_orders"),
                modified(&[Aspect::Body, Aspect::Meaning]),
            ),
            (id("model.std.person"), modified(&[Aspect::Configs])),
            (
                id("model.shop.person_profile"),
                modified(&[Aspect::Meaning]),
            ),
        ]),
        results: BTreeMap::from([
            (id("model.shop.stg_events"), "error".to_owned()),
            (id("model.std.person"), "skipped".to_owned()),
        ]),
    }
}

fn names(criterion: &str) -> BTreeSet<String> {
    let graph = shop().with_before(before());
    let found = select(&graph, &[criterion.to_owned()], &[], None).unwrap();
    let name = |id: &NodeId| id.as_str().rsplit('.').next().unwrap().to_owned();
    // Data tests come with what they test.
    let found = found.iter().filter(|id| !id.as_str().starts_with("test."));
    found.map(name).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn nodes_are_taken_by_how_they_differ() {
    assert_eq!(names("state:new"), set(&["winback"]));
    assert_eq!(
        names("state:modified,resource_type:model"),
        set(&["winback", "stg_orders", "person"])
    );
    assert_eq!(
        names("state:modified.body"),
        set(&["winback", "stg_orders"])
    );
    assert_eq!(names("state:modified.configs"), set(&["winback", "person"]));
    assert_eq!(
        names("state:modified.meaning"),
        set(&["winback", "stg_orders", "person_profile"])
    );
    assert_eq!(
        names("state:unmodified,resource_type:model"),
        set(&["stg_events", "person_profile"])
    );
    assert_eq!(
        names("state:old,resource_type:model"),
        set(&["stg_events", "stg_orders", "person", "person_profile"])
    );
    // Relatives as of any other method.
    assert_eq!(names("state:new+"), set(&["winback", "crm"]));
    assert_eq!(names("1+result:skipped"), set(&["stg_events", "person"]));
    assert_eq!(names("result:error"), set(&["stg_events"]));
    assert_eq!(names("result:pass"), set(&[]));
}

#[test]
fn there_must_be_something_to_compare_with() {
    for criterion in ["state:modified+", "result:error"] {
        let errors = select(&shop(), &[criterion.to_owned()], &[], None).unwrap_err();
        let criterion = criterion.to_owned();
        assert_eq!(errors, [SelectError::NoState { criterion }]);
    }
}

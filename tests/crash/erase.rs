//! Killed erasures: erasing again leaves no trace, and everybody else as they were.

use std::fs;

use serde_json::Value;

use super::{crashes, dice, kill, timed};
use crate::cli::people::{PEOPLE, lonely_indices, rows, with_text};
use crate::program::{copy, folder, kinfold, write};

pub fn a_killed_erasure_is_finished_by_the_next() {
    let area = folder();
    let at = |name: &str| area.path().join(name);
    let start = at("start");
    write(&start, PEOPLE);
    // She has a past, and there are files of earlier versions.
    kinfold(&start, ["build"]).run().ok();
    let rules = start.join("models/person.yml");
    let text = fs::read_to_string(&rules).unwrap();
    let together = text.replace("limit: 1 ever", "limit: 2 ever");
    assert_ne!(text, together);
    for text in [together, text] {
        fs::write(&rules, text).unwrap();
        kinfold(&start, ["build"]).run().ok();
    }
    let erase = ["identity", "erase", "person", "user_id:ann"];
    let everybody = |project: &str| -> Vec<Vec<Value>> {
        let relations = [
            "person",
            "person__records",
            "person__edges",
            "person__history",
            "person_profile",
            "known",
        ];
        let of = |relation: &&str| {
            let mut all = rows(&at(project), &format!("SELECT * FROM {relation}"));
            all.sort_by_key(ToString::to_string);
            all
        };
        relations.iter().map(of).collect()
    };
    copy(&start, &at("whole"));
    let (_, time) = timed(kinfold(&at("whole"), erase));
    let wanted = everybody("whole");
    assert_ne!(wanted, everybody("start"));

    let (n, mut dice) = (crashes(), dice(3));
    let mut inside = 0;
    for i in 0..n {
        copy(&start, &at("killed"));
        let child = kinfold(&at("killed"), erase).start();
        inside += u64::from(kill(child, time, (i, n), &mut dice));
        kinfold(&at("killed"), erase).run().ok();
        assert_eq!(everybody("killed"), wanted, "after kill {i}");
        let lake = at("killed").join(".kinfold/lake/main");
        for table in [
            "person",
            "person__records",
            "person__edges",
            "person__history",
            "person_profile",
            "known",
        ] {
            let traces = with_text(&lake.join(table), "zyzzyva");
            assert!(traces.is_empty(), "after kill {i}: {traces:?}");
            // They know her by hashes, which no search for a text finds.
            let traces = lonely_indices(&lake.join(table));
            assert!(traces.is_empty(), "after kill {i}: {traces:?}");
        }
        // Nor does a build bring her back.
        kinfold(&at("killed"), ["build"]).run().ok();
        let asked = "SELECT * FROM person WHERE id_value LIKE '%zyzzyva%'";
        assert!(rows(&at("killed"), asked).is_empty(), "after kill {i}");
        fs::remove_dir_all(at("killed")).unwrap();
    }
    assert!(
        inside * 2 >= n,
        "{inside} of {n} kills met a running erasure"
    );
}

//! Projects that are not checked as a whole.

use crate::program::{folder, kinfold, write};

/// `analysis: warn` makes warnings of errors, `analysis: off` says nothing; either way the rest of the project is
/// checked and built, and what is left out is named.
pub fn what_may_be_wrong_is_left_out() {
    let project = folder();
    let project = project.path();
    let run = |arguments: &[&str]| kinfold(project, arguments).run();
    let wrong = |analysis: &str| {
        format!("{{{{ config({analysis}) }}}} SELECT nothing FROM {{{{ ref('good') }}}}")
    };
    write(
        project,
        &[
            (
                "kinfold.yml",
                "name: some\nenvironments:\n  dev: {lake: lake}\n",
            ),
            (
                "models/good.sql",
                "{{ config(materialized='table') }} SELECT 1 AS id",
            ),
            ("models/wrong.sql", &wrong("")),
            ("models/child.sql", "SELECT * FROM {{ ref('wrong') }}"),
            (
                "models/schema.yml",
                "models:\n  - name: wrong\n    columns: [{name: id, data_tests: [not_null]}]\n",
            ),
        ],
    );
    assert!(run(&["check"]).code(1).stderr.contains("error[KF0402]"));

    write(project, &[("models/wrong.sql", &wrong("analysis='warn'"))]);
    for _ in 0..2 {
        let checked = run(&["check"]).ok();
        assert!(checked.stderr.contains("warning[KF0402]"), "{checked:?}");
        assert!(checked.stderr.contains("3 not checked"), "{checked:?}");
    }
    let built = run(&["build", "--output", "json"]).ok().json();
    let status = |id: &str| {
        let nodes = built["nodes"].as_array().unwrap();
        let node = nodes.iter().find(|node| node["id"] == id);
        node.map(|node| node["status"].as_str().unwrap().to_owned())
    };
    assert_eq!(status("model.some.good").unwrap(), "built");
    assert_eq!(status("model.some.wrong").unwrap(), "skipped");
    assert_eq!(status("model.some.child").unwrap(), "skipped");
    assert_eq!(built["published"], true);

    write(
        project,
        &[("models/wrong.sql", &wrong("static_analysis='off'"))],
    );
    let checked = run(&["check"]).ok();
    assert!(!checked.stderr.contains("KF0402"), "{checked:?}");
    assert!(checked.stderr.contains("3 not checked"), "{checked:?}");
    run(&["build"]).ok();

    write(project, &[("models/wrong.sql", &wrong("analysis='maybe'"))]);
    let checked = run(&["check"]).code(1);
    assert!(
        checked.stderr.contains("must be `strict`, `warn` or `off`"),
        "{checked:?}"
    );
}

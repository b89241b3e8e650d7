//! Packages: embedded ones, folders, and what the root says about them.

use kinfold_project::{EmbeddedPackage, ValueKind};

use crate::support::{With, advice, folder, good, load_files, load_folder, report};

const STANDARD: EmbeddedPackage = EmbeddedPackage {
    name: "cdp",
    files: &[
        (
            "dbt_project.yml",
            "name: cdp\nversion: 1.0.0\nmodels: {cdp: {+materialized: view}}\nvars: {days: 30, own: 1}\n",
        ),
        ("models/traits/ltv.sql", "select 1 as ltv"),
        (
            "models/props.yml",
            "models: [{name: ltv, columns: [{name: ltv, tests: [positive]}]}]\n",
        ),
        ("seeds/plan.csv", "a\n1\n"),
        (
            "tests/generic/positive.sql",
            "{% test positive(model, column_name) %}select 1{% endtest %}",
        ),
    ],
};

#[test]
fn an_embedded_package_and_a_folder() {
    let project = good(
        &[
            (
                "kinfold.yml",
                "name: shop\npackages: [cdp, {local: vendor/extra}]\nvars: {days: 7, cdp: {days: 8}, shop: {x: 2}}\nmodels: {cdp: {traits: {+materialized: table}}}\n",
            ),
            ("models/a.sql", "select 1"),
            ("vendor/extra/dbt_project.yml", "name: extra\n"),
            (
                "vendor/extra/macros/m.sql",
                "{% macro hello(a) %}{{ a }}{% endmacro %}",
            ),
        ],
        &With {
            embedded: &[STANDARD],
            vars: Some("{x: 3}"),
            ..With::default()
        },
    );
    let names: Vec<_> = project.packages.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["shop", "cdp", "extra"]);
    let vars = |index: usize| -> Vec<(String, ValueKind)> {
        let package = project.packages.get(index).expect("a package");
        let mut vars: Vec<_> = package
            .vars
            .iter()
            .map(|(key, value)| (key.value.clone(), value.kind.clone()))
            .collect();
        vars.sort_by(|a, b| a.0.cmp(&b.0));
        vars
    };
    let int = |name: &str, value| (name.to_owned(), ValueKind::Int(value));
    assert_eq!(vars(0), [int("days", 7), int("x", 3)]);
    assert_eq!(vars(1), [int("days", 8), int("own", 1), int("x", 3)]);
    let ltv = project
        .models
        .iter()
        .find(|m| m.name == "ltv")
        .expect("ltv");
    assert_eq!(ltv.id.as_str(), "model.cdp.ltv");
    assert_eq!(ltv.fqn, ["traits", "ltv"]);
    assert_eq!((ltv.config.len(), ltv.overrides.len()), (1, 1));
    assert_eq!(
        project.files.path(ltv.file).to_str(),
        Some("<cdp>/models/traits/ltv.sql")
    );
    let seed = project.seeds.first().expect("a seed");
    assert_eq!(seed.embedded.as_deref(), Some("a\n1\n"));
    assert_eq!(project.macros.len(), 2);
    let test = project.generic_tests.first().expect("a test");
    assert!(test.id.as_str().starts_with("test.cdp.positive_ltv_ltv."));
}

#[test]
fn packages_that_are_not_there() {
    let root = folder(&[
        (
            "kinfold.yml",
            "name: shop\npackages: [cpd, {local: gone}, {local: empty}]\n",
        ),
        ("models/a.sql", "select 1"),
        ("empty/x.txt", ""),
    ]);
    let loaded = load_folder(
        root.path(),
        &With {
            embedded: &[STANDARD],
            ..With::default()
        },
    );
    let report = report(&loaded);
    assert_eq!(
        report.get(1..),
        Some(
            &[
                "E unknown-package kinfold.yml:2:12 cpd".to_owned(),
                "E unknown-package kinfold.yml:2:25 gone".to_owned(),
            ][..]
        )
    );
    assert!(
        report
            .first()
            .is_some_and(|line| line.starts_with("E no-project-file"))
    );
    let near = loaded.diagnostics.iter().flat_map(|d| &d.help);
    assert!(near.into_iter().any(|help| help == "did you mean `cdp`?"));
}

#[test]
fn packages_of_dbt_are_taken_from_where_they_are_installed() {
    let project = good(
        &[
            ("project/dbt_project.yml", "name: shop\n"),
            (
                "project/packages.yml",
                "packages:\n  - package: maker/dates\n    version: [\">=1.0.0\", \"<2.0.0\"]\n  - git: https://example.org/maker/dbt-audit-helper.git\n    revision: main\n  - git: https://example.org/maker/something\n  - local: ../near\n",
            ),
            (
                "project/dependencies.yml",
                "packages:\n  - tarball: https://example.org/x.tar.gz\n    name: packed\n",
            ),
            ("project/models/a.sql", "select 1"),
            (
                "project/dbt_packages/dates/dbt_project.yml",
                "name: dates\nvars: {zone: UTC}\n",
            ),
            (
                "project/dbt_packages/dates/macros/d.sql",
                "{% macro today() %}1{% endmacro %}",
            ),
            (
                "project/dbt_packages/audit_helper/dbt_project.yml",
                "name: audit_helper\n",
            ),
            // The project of a repository may have any name.
            (
                "project/dbt_packages/other/dbt_project.yml",
                "name: other\n",
            ),
            (
                "project/dbt_packages/packed/dbt_project.yml",
                "name: packed\n",
            ),
            ("project/dbt_packages/notes.txt", ""),
            ("near/dbt_project.yml", "name: near\n"),
            ("near/models/b.sql", "select 2"),
            // What a package needs is installed beside it; a folder is relative to the package.
            (
                "near/packages.yml",
                "packages: [{package: maker/dates}, {local: ../nearer}]\n",
            ),
            ("nearer/dbt_project.yml", "name: nearer\n"),
            ("nearer/packages.yml", "packages: [{local: ../near}]\n"),
        ],
        &With {
            root: "project",
            ..With::default()
        },
    );
    let names: Vec<_> = project.packages.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "shop",
            "near",
            "nearer",
            "audit_helper",
            "dates",
            "other",
            "packed"
        ]
    );
    let models: Vec<_> = project.models.iter().map(|m| m.id.as_str()).collect();
    assert_eq!(models, ["model.shop.a", "model.near.b"]);
    assert_eq!(project.macros.len(), 1);
}

#[test]
fn what_is_not_installed_is_told() {
    let loaded = load_files(&[
        (
            "dbt_project.yml",
            "name: shop\npackages-install-path: installed\n",
        ),
        (
            "packages.yml",
            "packages:\n  - package: dbt-labs/dbt_utils\n    version: 1.1.1\n  - git: https://example.org/dbt-x.git\n  - local: gone\n  - version: 1\n  - here\n",
        ),
        ("dependencies.yml", "projects: [{name: core}]\n"),
        ("models/a.sql", "select 1"),
    ]);
    assert_eq!(
        report(&loaded),
        [
            "E unknown-package packages.yml:2:14 dbt-labs/dbt_utils",
            "E unknown-package packages.yml:4:10 https://example.org/dbt-x.git",
            "E unknown-package packages.yml:5:12 gone",
            "E missing-key packages.yml:6:5 version: 1",
            "E wrong-type packages.yml:7:5 here",
            "W unsupported dependencies.yml:1:1 projects",
        ]
    );
    let help = advice(&loaded);
    assert_eq!(
        help.first().map(String::as_str),
        Some("run `dbt deps`, or put a checkout of it into `installed/dbt_utils`")
    );
    assert!(help.iter().any(|help| help.ends_with("`installed/x`")));
}

#[test]
fn a_folder_that_is_named_twice_is_one_package() {
    let project = good(
        &[
            (
                "kinfold.yml",
                "name: shop\npackages: [{local: dbt_packages/dates}]\n",
            ),
            ("packages.yml", "packages: [{package: maker/dates}]\n"),
            ("models/a.sql", "select 1"),
            ("dbt_packages/dates/dbt_project.yml", "name: dates\n"),
        ],
        &With::default(),
    );
    assert_eq!(project.packages.len(), 2);
}

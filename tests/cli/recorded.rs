//! Columns of sources, recorded for checks that cannot reach them: `kinfold source snapshot`.

use std::fs;

use crate::program::{folder, kinfold, write};

const MODELS: [(&str, &str); 3] = [
    ("kinfold.yml", "name: shop\n"),
    (
        "models/sources.yml",
        "sources:
  - name: raw
    tables:
      - name: orders
        external: {location: outside/.kinfold/lake/main/orders/, format: delta}
      - name: visits
        external: {location: data/visits.ndjson}
        columns: [{name: page, data_type: varchar}, {name: tags, data_type: 'varchar[]'}, {name: at, data_type: timestamp}]
",
    ),
    (
        "models/amounts.sql",
        "select id, amount from {{ source('raw', 'orders') }}\n",
    ),
];

const RECORD: &str = "# The columns of the sources, written by `kinfold source snapshot`. Keep this file in Git: checks read it
# where the sources cannot be reached.
format: 1
sources:
  source.shop.raw.orders:
    version: VERSION
    columns:
      id: BIGINT
      amount: BIGINT
  source.shop.raw.visits:
    columns:
      page: VARCHAR
      tags: \"VARCHAR[]\"
      at: TIMESTAMP
";

pub fn columns_of_sources_are_recorded() {
    let area = folder();
    let project = area.path();
    write(project, &MODELS);
    write(
        project,
        &[
            ("data/visits.ndjson", "{\"page\":\"/\"}\n"),
            ("outside/kinfold.yml", "name: outside\n"),
            ("outside/seeds/orders.csv", "id,amount\n1,10\n"),
        ],
    );
    let outside = project.join("outside");
    kinfold(&outside, ["build"]).run().ok();
    kinfold(project, ["source", "snapshot", "--check"])
        .run()
        .code(1)
        .says("`sources.lock.yml` does not say what the sources have");
    kinfold(project, ["source", "snapshot"]).run().ok();
    let file = project.join("sources.lock.yml");
    let record = fs::read_to_string(&file).unwrap();
    let version = record
        .lines()
        .find_map(|line| line.strip_prefix("    version: "));
    let version = version.unwrap().to_owned();
    assert_eq!(record, RECORD.replace("VERSION", &version));
    kinfold(project, ["source", "snapshot", "--check"])
        .run()
        .ok();

    // New rows are no news.
    write(&outside, &[("seeds/orders.csv", "id,amount\n1,10\n2,20\n")]);
    kinfold(&outside, ["build"]).run().ok();
    kinfold(project, ["source", "snapshot"]).run().ok();
    assert_eq!(fs::read_to_string(&file).unwrap(), record);

    // Without the sources everything is checked all the same.
    fs::rename(&outside, project.join("elsewhere")).unwrap();
    fs::rename(project.join("data"), project.join("data_elsewhere")).unwrap();
    let ran = kinfold(project, ["check"]).run().ok();
    assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
    ran.says("3 nodes and 0 syncs checked");
    write(
        project,
        &[(
            "models/wrong.sql",
            "select amonut from {{ source('raw', 'orders') }}\n",
        )],
    );
    kinfold(project, ["check"])
        .run()
        .code(1)
        .says("KF0402")
        .says("did you mean `amount`?");
    fs::remove_file(project.join("models/wrong.sql")).unwrap();
    // A build needs them.
    kinfold(project, ["build"]).run().code(2).says("KF0501");
    fs::rename(project.join("elsewhere"), &outside).unwrap();
    fs::rename(project.join("data_elsewhere"), project.join("data")).unwrap();

    // Columns that change are told where they are recorded.
    write(
        &outside,
        &[("seeds/orders.csv", "id,currency,amount\n1,EUR,10.5\n")],
    );
    kinfold(&outside, ["build"]).run().ok();
    for command in [&["check"][..], &["build"]] {
        let ran = kinfold(project, command).run().ok();
        ran.says("warning[KF0504]: column `amount` of `raw.orders` is DOUBLE now")
            .says("sources.lock.yml:9:15")
            .says("`raw.orders` has a column `currency` that is not recorded");
    }
    kinfold(project, ["source", "snapshot", "--check"])
        .run()
        .code(1)
        .says("KF0504");
    assert_eq!(fs::read_to_string(&file).unwrap(), record);
    kinfold(project, ["source", "snapshot"]).run().ok();
    let ran = kinfold(project, ["check"]).run().ok();
    assert!(!ran.stderr.contains("KF0504"), "{}", ran.stderr);
    let now = fs::read_to_string(&file).unwrap();
    assert!(
        now.contains("      currency: VARCHAR\n      amount: DOUBLE\n"),
        "{now}"
    );

    // What properties files say has to be what is recorded.
    let sources = MODELS[1].1.replace(
        "name: page, data_type: varchar",
        "name: site, data_type: varchar",
    );
    write(project, &[("models/sources.yml", &sources)]);
    kinfold(project, ["check"])
        .run()
        .ok()
        .says("the recorded columns of `raw.visits` have no `site`");
}

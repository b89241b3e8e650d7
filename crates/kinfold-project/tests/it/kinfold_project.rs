//! What only kinfold knows: environments, external sources, connections and syncs.

use kinfold_project::{
    ConnectionKind, Guard, MappedValue, OnLeave, Reference, SourceFormat, SourceLocation, SyncMode,
};

use crate::support::{With, good};

const PROJECT: &str = r#"name: shop
environments:
  dev: {lake: .kinfold/lake}
  staging: {lake: "s3://{{ env_var('BUCKET') }}/cdp", schema: cdp}
  prod:
    lake: "s3://{{ env_var('BUCKET') }}/cdp"
    storage:
      region: eu-west-1
      allow_http: true
      secret_access_key: "{{ env_var('SECRET') }}"
purposes: [service, email_marketing]
"#;

#[test]
fn a_project_file_needs_no_environments() {
    let project = good(
        &[("kinfold.yml", "name: x\n"), ("models/a.sql", "select 1")],
        &With::default(),
    );
    let [only] = project.environments.as_slice() else {
        panic!("one environment");
    };
    assert_eq!(only.name.value, "dev");
    assert_eq!(only.lake.value, ".kinfold/lake");
    assert_eq!(only.schema, "main");
    assert!(only.owns_lake);
}

#[test]
fn environments_are_resolved_only_when_used() {
    let project = good(
        &[("kinfold.yml", PROJECT), ("models/a.sql", "select 1")],
        &With::default(),
    );
    let names: Vec<_> = project
        .environments
        .iter()
        .map(|e| (e.name.value.as_str(), e.owns_lake, e.schema.as_str()))
        .collect();
    assert_eq!(
        names,
        [
            ("dev", true, "main"),
            ("staging", false, "cdp"),
            ("prod", true, "main")
        ]
    );
    let environment = |name: &str| match name {
        "BUCKET" => Some("acme".to_owned()),
        _ => None,
    };
    let [dev, staging, prod] = project.environments.as_slice() else {
        panic!("three environments");
    };
    assert_eq!(
        dev.resolve(&|_| None).map(|e| e.lake),
        Ok(".kinfold/lake".to_owned())
    );
    assert_eq!(
        staging.resolve(&environment).map(|e| e.lake),
        Ok("s3://acme/cdp".to_owned())
    );
    let missing = prod.resolve(&environment).expect_err("no secret");
    assert_eq!(missing.code.name, "undefined-env-var");
    assert!(missing.message.contains("`SECRET`"));
    let resolved = prod
        .resolve(&|_| Some("hunter2".to_owned()))
        .expect("all are set");
    assert_eq!(
        resolved.storage.0.get("allow_http").map(String::as_str),
        Some("true")
    );
    assert_eq!(
        resolved
            .storage
            .0
            .get("secret_access_key")
            .map(String::as_str),
        Some("hunter2")
    );
    assert!(!format!("{:?}", resolved.storage).contains("hunter2"));
    assert!(!format!("{prod:?}").contains("eu-west-1"));
}

#[test]
fn external_sources() {
    let properties = r#"
sources:
  - name: raw
    schema: landing
    meta: {owner: data}
    tables:
      - name: events
        external: {location: "{{ env_var('DATA', 'data') }}/{{ var('day') }}/*.ndjson.gz"}
      - name: contacts
        external: {location: data/contacts.csv, delimiter: ";", header: false}
      - name: orders
        external: {location: data/orders.dat, format: parquet, storage: {region: "{{ env_var('R') }}"}}
      - name: history
        external: {location: s3://b/history/}
      - name: landed
        identifier: landed_v1
        columns: [{name: id, data_type: bigint, description: The id}]
"#;
    let project = good(
        &[
            ("kinfold.yml", "name: x\nvars: {day: 2020-01-02}\n"),
            ("models/src.yml", properties),
        ],
        &With {
            environment: &[("R", "eu")],
            ..With::default()
        },
    );
    let mut seen = vec![];
    for source in &project.sources {
        seen.push(match &source.location {
            SourceLocation::Lake => {
                format!("{}: {}.{}", source.id, source.schema, source.identifier)
            }
            SourceLocation::Records(records) => format!("{}: {records:?}", source.id),
            SourceLocation::External {
                location,
                format,
                storage,
            } => {
                format!(
                    "{}: {} {format:?} {}",
                    source.id,
                    location.value,
                    storage.0.len()
                )
            }
        });
    }
    let csv = SourceFormat::Csv {
        delimiter: b';',
        header: false,
    };
    assert_eq!(
        seen,
        [
            "source.x.raw.events: data/2020-01-02/*.ndjson.gz Ndjson 0".to_owned(),
            format!("source.x.raw.contacts: data/contacts.csv {csv:?} 0"),
            "source.x.raw.orders: data/orders.dat Parquet 1".to_owned(),
            "source.x.raw.history: s3://b/history Delta 0".to_owned(),
            "source.x.raw.landed: landing.landed_v1".to_owned(),
        ]
    );
    let landed = project.sources.last().expect("five sources");
    let column = landed.columns.first().expect("a column");
    assert_eq!(
        column.data_type.as_ref().map(|t| t.value.as_str()),
        Some("bigint")
    );
    assert_eq!(landed.config.len(), 1);
}

#[test]
fn connections_and_syncs() {
    let connections = r#"
connections:
  - name: crm
    kind: http
    url: "{{ env_var('CRM_URL') }}"
    headers: {authorization: "Bearer {{ env_var('TOKEN') }}"}
    timeout_seconds: 10
  - {name: warehouse, kind: postgres, dsn: "{{ env_var('DSN') }}", schema: public}
  - {name: shop, kind: mysql, dsn: "{{ env_var('DSN') }}", batch_size: 500}
  - {name: mails, kind: smtp, dsn: "smtp://localhost", from: "Shop <shop@example.com>", ca_file: ca.pem, timeout_seconds: 5}
  - {name: events, kind: nats, url: "nats://localhost", user: u, password: p, max_concurrency: 2}
  - {name: bucket, kind: files, location: out/, format: csv}
"#;
    let syncs = r#"
syncs:
  - name: winback_crm
    from: ref('winback__history')
    connection: crm
    object: contacts
    mode: mirror
    key: {email: lower(email)}
    mapping: {first_name: "initcap(first_name)", source: "'kinfold'", score: 1.50, live: true}
    purposes: [email_marketing]
    guards: {max_removals: 10%, max_changes: 1000}
    batch_size: 50
  - {name: orders_out, from: "source('raw', 'orders')", connection: bucket, object: orders,
     mode: append, key: {id: id}, purposes: [service], enabled: false}
"#;
    let sources = "sources: [{name: raw, tables: [{name: orders}]}]\n";
    let project = good(
        &[
            ("kinfold.yml", PROJECT),
            ("models/winback.sql", "select 1"),
            ("models/raw.yml", sources),
            ("connections/all.yml", connections),
            ("syncs/a/all.yml", syncs),
        ],
        &With::default(),
    );
    let kinds: Vec<_> = project.connections.iter().map(|c| c.kind.value).collect();
    assert_eq!(
        kinds,
        [
            ConnectionKind::Http,
            ConnectionKind::Postgres,
            ConnectionKind::MySql,
            ConnectionKind::Smtp,
            ConnectionKind::Nats,
            ConnectionKind::Files
        ]
    );
    let [winback, orders] = project.syncs.as_slice() else {
        panic!("two syncs");
    };
    assert_eq!(winback.id.as_str(), "sync.shop.winback_crm");
    assert_eq!(
        winback.input,
        Reference::Model {
            package: None,
            name: "winback__history".to_owned()
        }
    );
    assert_eq!(winback.mode.value, SyncMode::Mirror);
    assert_eq!(winback.on_leave.value, OnLeave::Delete);
    let mapping: Vec<_> = winback
        .mapping
        .fields
        .iter()
        .map(|mapped| match &mapped.value {
            MappedValue::Expression(sql) => (mapped.field.value.as_str(), sql.value.as_str()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        mapping,
        [
            ("first_name", "initcap(first_name)"),
            ("source", "'kinfold'"),
            ("score", "1.50"),
            ("live", "true"),
        ]
    );
    assert_eq!(
        winback.guards.get("max_removals").map(|g| g.value),
        Some(Guard::Share(0.1))
    );
    assert_eq!(
        winback.guards.get("max_changes").map(|g| g.value),
        Some(Guard::Rows(1000))
    );
    assert_eq!(winback.batch_size.as_ref().map(|b| b.value), Some(50));
    assert_eq!(orders.on_leave.value, OnLeave::Keep);
    assert!(!orders.enabled);
    assert_eq!(orders.input.to_string(), "source('raw', 'orders')");
}

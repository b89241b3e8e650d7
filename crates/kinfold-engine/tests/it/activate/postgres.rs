//! A mirror in a real PostgreSQL server.

use kinfold_project::{ConnectionKind, SyncMode};
use kinfold_testkit::PostgresServer;
use tokio_postgres::NoTls;

use super::setting::{Setting, connection, plain, rows, sync, text};

async fn client(dsn: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(dsn, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn table(client: &tokio_postgres::Client) -> Vec<(String, Option<f64>)> {
    let rows = client
        .query("SELECT id, value FROM crm.contacts ORDER BY id", &[])
        .await
        .unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[tokio::test]
async fn a_mirror_follows_the_model_and_touches_no_other_row() {
    let server = tokio::task::spawn_blocking(|| PostgresServer::start().unwrap())
        .await
        .unwrap();
    let database = client(&server.dsn()).await;
    database
        .batch_execute(
            "CREATE SCHEMA crm;
             CREATE TABLE crm.contacts (id text PRIMARY KEY, value double precision, note text DEFAULT 'ours');
             INSERT INTO crm.contacts VALUES ('foreign', 7, 'theirs');",
        )
        .await
        .unwrap();
    let mut setting = Setting::new(sync(
        SyncMode::Mirror,
        &[("id", "id")],
        &[("value", "value")],
    ))
    .await;
    setting.connection = connection(
        ConnectionKind::Postgres,
        &[
            ("dsn", text("{{ env_var('DSN') }}")),
            ("schema", text("crm")),
            ("batch_size", text("2")),
        ],
    );
    let dsn = server.dsn();
    let variable = move |name: &str| (name == "DSN").then(|| dsn.clone());

    setting
        .publish(rows(&[
            (Some("a"), Some(1.25)),
            (Some("b"), None),
            (Some("c"), Some(3.0)),
        ]))
        .await;
    let report = setting.run_with(&variable, false).await.unwrap();
    assert_eq!((report.delivered, report.success), (3, true));
    let foreign = ("foreign".to_owned(), Some(7.0));
    assert_eq!(
        table(&database).await,
        [
            ("a".to_owned(), Some(1.25)),
            ("b".to_owned(), None),
            ("c".to_owned(), Some(3.0)),
            foreign.clone()
        ]
    );

    setting.publish(plain(&[("b", 2.0), ("c", 3.0)])).await;
    let report = setting.run_with(&variable, false).await.unwrap();
    assert_eq!(
        (
            report.planned,
            report.updates,
            report.removals,
            report.unchanged
        ),
        (2, 1, 1, 1)
    );
    assert_eq!(
        table(&database).await,
        [
            ("b".to_owned(), Some(2.0)),
            ("c".to_owned(), Some(3.0)),
            foreign
        ]
    );

    // A row that the database refuses is told apart from its neighbours, and comes when it is sound.
    database
        .batch_execute("ALTER TABLE crm.contacts ADD CHECK (value < 100)")
        .await
        .unwrap();
    setting
        .publish(plain(&[("b", 1000.0), ("c", 4.0), ("d", 5.0)]))
        .await;
    let report = setting.run_with(&variable, false).await.unwrap();
    assert_eq!(
        (report.delivered, report.rejected, report.success),
        (2, 1, false)
    );
    database
        .batch_execute("DELETE FROM crm.contacts WHERE id = 'foreign'")
        .await
        .unwrap();
    setting
        .publish(plain(&[("b", 99.0), ("c", 4.0), ("d", 5.0)]))
        .await;
    let report = setting.run_with(&variable, false).await.unwrap();
    assert_eq!(
        (report.planned, report.delivered, report.success),
        (1, 1, true)
    );
    assert_eq!(
        table(&database).await,
        [
            ("b".to_owned(), Some(99.0)),
            ("c".to_owned(), Some(4.0)),
            ("d".to_owned(), Some(5.0))
        ]
    );

    // Somebody else changes the table: a look finds it, and the run after it puts it right.
    let verify = async |setting: &Setting, heal| {
        let report = setting.verify(&variable, heal).await.unwrap();
        (
            report.checked,
            report.equal,
            report.different,
            report.missing,
        )
    };
    assert_eq!(verify(&setting, false).await, (3, 3, 0, 0));
    database
        .batch_execute(
            "UPDATE crm.contacts SET value = 1 WHERE id = 'c';
             DELETE FROM crm.contacts WHERE id = 'd';
             INSERT INTO crm.contacts VALUES ('theirs', 7, 'theirs');",
        )
        .await
        .unwrap();
    let before = setting.state_version().await;
    assert_eq!(verify(&setting, false).await, (3, 1, 1, 1));
    assert_eq!(setting.state_version().await, before);
    assert_eq!(setting.run_with(&variable, false).await.unwrap().planned, 0);
    assert_eq!(verify(&setting, true).await, (3, 1, 1, 1));
    let healed = setting.run_with(&variable, false).await.unwrap();
    assert_eq!(
        (healed.planned, healed.updates, healed.delivered),
        (2, 2, 2)
    );
    assert_eq!(verify(&setting, true).await, (3, 3, 0, 0));
    assert_eq!(table(&database).await.len(), 4);
    assert!(setting.leftovers().await.is_empty());
}

#[tokio::test]
async fn match_first_asks_the_database() {
    let server = tokio::task::spawn_blocking(|| PostgresServer::start().unwrap())
        .await
        .unwrap();
    let database = client(&server.dsn()).await;
    database
        .batch_execute(
            "CREATE SCHEMA crm;
             CREATE TABLE crm.contacts (id text PRIMARY KEY, value double precision);
             INSERT INTO crm.contacts VALUES ('a', 1.25), ('b', 2), ('c', NULL), ('d', NULL);",
        )
        .await
        .unwrap();
    let mut setting = Setting::new(sync(
        SyncMode::Mirror,
        &[("id", "id")],
        &[("value", "value")],
    ))
    .await;
    setting.sync.first_run = kinfold_project::FirstRun::MatchFirst;
    setting.connection = connection(
        ConnectionKind::Postgres,
        &[
            ("dsn", text("{{ env_var('DSN') }}")),
            ("schema", text("crm")),
        ],
    );
    let dsn = server.dsn();
    let variable = move |name: &str| (name == "DSN").then(|| dsn.clone());
    setting
        .publish(rows(&[
            (Some("a"), Some(1.25)),
            (Some("b"), Some(3.0)),
            (Some("c"), None),
            (Some("e"), Some(0.1)),
        ]))
        .await;
    let report = setting.run_with(&variable, false).await.unwrap();
    assert_eq!(
        (report.adopted, report.planned, report.delivered),
        (2, 2, 2)
    );
    assert_eq!(table(&database).await.len(), 5);
}

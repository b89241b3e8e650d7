//! A lake with one published relation, and a sync that delivers it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeZone, Utc};
use datafusion::arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::json::writer::LineDelimitedWriter;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::collect;
use datafusion::physical_plan::memory::MemoryStream;
use datafusion::prelude::{col, lit};
use kinfold_compile::bind::Binder;
use kinfold_compile::compile::{CompiledSync, Determinism, Fingerprint};
use kinfold_compile::relation::RelationKey;
use kinfold_engine::activate::{
    Ports, Scope, SharedAccount, SyncReport, SyncRequest, VerifyReport, run_sync, run_sync_through,
    verify_sync,
};
use kinfold_engine::{Engine, EngineError, EngineOptions, PublishedNode, RunClock, StoredTable};
use kinfold_lake::{CommitNote, Lake, LakeUrl, TablePath, Written};
use kinfold_project::model::{ResolvedEnvironment, StorageOptions};
use kinfold_project::{
    Connection, ConnectionKind, FileId, FirstRun, Guard, Located, LogPayload, MappedField,
    MappedValue, Mapping, NodeId, Nulls, OnLeave, Reference, Resend, ResourceType, RetryWaits,
    Span, Sync, SyncMode, Value, ValueKind,
};
use kinfold_sync::{Budget, CancelToken, Clock, DeliveryPolicy, Destination, RetryPolicy};
use object_store::ObjectStore;

pub fn at<T>(value: T) -> Located<T> {
    Located::new(value, Span::new(FileId(0), 0, 0))
}

pub fn text(value: &str) -> Value {
    Value {
        kind: ValueKind::String(value.to_owned()),
        span: Span::new(FileId(0), 0, 0),
    }
}

/// Fields that get expressions.
pub fn mapped(fields: &[(&str, &str)]) -> Mapping {
    let fields = fields.iter().map(|(field, sql)| MappedField {
        field: at((*field).to_owned()),
        value: MappedValue::Expression(at((*sql).to_owned())),
        nulls: Nulls::Null,
    });
    Mapping {
        all: None,
        fields: fields.collect(),
    }
}

/// A sync of the relation `people`.
pub fn sync(mode: SyncMode, key: &[(&str, &str)], mapping: &[(&str, &str)]) -> Sync {
    let fields = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(f, e)| (at((*f).to_owned()), at((*e).to_owned())))
            .collect()
    };
    Sync {
        id: NodeId::new(ResourceType::Sync, &["shop", "crm"]),
        package: "shop".to_owned(),
        name: at("crm".to_owned()),
        from: at("ref('people')".to_owned()),
        input: Reference::Model {
            package: None,
            name: "people".to_owned(),
        },
        description: None,
        connection: at("receiver".to_owned()),
        object: at("contacts".to_owned()),
        mode: at(mode),
        key: fields(key),
        mapping: mapped(mapping),
        unit_tests: vec![],
        purposes: vec![at("service".to_owned())],
        on_leave: at(if mode == SyncMode::Mirror {
            OnLeave::Delete
        } else {
            OnLeave::Keep
        }),
        first_run: FirstRun::default(),
        resend: Resend::default(),
        guards: BTreeMap::new(),
        retry: RetryWaits::default(),
        mirror_scope: vec![],
        log_payload: LogPayload::Nothing,
        batch_size: None,
        tags: vec![],
        enabled: true,
        span: Span::new(FileId(0), 0, 0),
    }
}

/// `id` → `value` as a mirror.
pub fn mirror() -> Sync {
    sync(SyncMode::Mirror, &[("id", "id")], &[("value", "value")])
}

pub fn guard(sync: &mut Sync, name: &str, limit: Guard) {
    sync.guards.insert(name.to_owned(), at(limit));
}

pub fn connection(kind: ConnectionKind, options: &[(&str, Value)]) -> Connection {
    Connection {
        name: at("receiver".to_owned()),
        kind: at(kind),
        options: options
            .iter()
            .map(|(key, value)| (at((*key).to_owned()), value.clone()))
            .collect(),
        manifest: None,
    }
}

/// A lake somewhere.
pub struct Setting {
    pub engine: Engine,
    pub sync: Sync,
    pub connection: Connection,
    /// Of runs through a destination of the test.
    pub policy: DeliveryPolicy,
    /// How long a run that has died keeps others out.
    pub lease: Duration,
    /// Names the mapping.
    pub mapping: Fingerprint,
    schema: Option<SchemaRef>,
    written: i64,
    _folder: Option<tempfile::TempDir>,
}

impl Setting {
    /// In a folder.
    pub async fn new(sync: Sync) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = engine(folder.path()).await;
        Self {
            engine,
            sync,
            connection: connection(ConnectionKind::Http, &[]),
            policy: policy(),
            lease: Duration::from_secs(20),
            mapping: Fingerprint::default(),
            schema: None,
            written: 0,
            _folder: Some(folder),
        }
    }

    /// In a bucket that `store` serves.
    pub async fn on(store: Arc<dyn ObjectStore>, sync: Sync) -> Self {
        let mut setting = Self::new(sync).await;
        setting.attach(store).await;
        setting
    }

    /// Another process on the same bucket.
    pub async fn attach(&mut self, store: Arc<dyn ObjectStore>) {
        let url = LakeUrl::parse("s3://bucket/lake").unwrap();
        self.engine.lake = Lake::with_store(url, store).await.unwrap();
        self.engine.lake.register(&self.engine.runtime);
    }

    /// The next run, with a clock of its own.
    pub fn later(&mut self, days: i64) {
        let as_of = self.engine.clock.as_of + chrono::TimeDelta::days(days);
        self.engine.clock = RunClock::at(as_of);
    }

    /// Publishes these rows as `people`.
    pub async fn publish(&mut self, columns: Vec<(&str, ArrayRef)>) {
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(n, c)| (n, c, true)),
        )
        .unwrap();
        let schema = batch.schema();
        let path = self.engine.table_path("main", "people").unwrap();
        self.written += 1;
        let note = CommitNote::new("test", self.written);
        let stream = Box::pin(MemoryStream::try_new(vec![batch], schema.clone(), None).unwrap());
        let written = self
            .engine
            .lake
            .overwrite(&path, schema.clone(), vec![stream], note)
            .await
            .unwrap();
        self.point_at(&path, &written).await;
    }

    /// Publishes what `people` has and these rows, which are in a file of their own.
    pub async fn publish_more(&mut self, columns: Vec<(&str, ArrayRef)>) {
        let columns = columns.into_iter().map(|(n, c)| (n, c, true));
        let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        let schema = batch.schema();
        let path = self.engine.table_path("main", "people").unwrap();
        self.written += 1;
        let note = CommitNote::new("test", self.written);
        let stream = Box::pin(MemoryStream::try_new(vec![batch], schema.clone(), None).unwrap());
        let lake = self.engine.lake.clone();
        let written = lake.append(&path, schema, vec![stream], note).await;
        self.point_at(&path, &written.unwrap()).await;
    }

    /// Publishes what `people` has without the rows of these ids: their files are written anew.
    pub async fn publish_without(&mut self, ids: &[String]) {
        let path = self.engine.table_path("main", "people").unwrap();
        self.written += 1;
        let note = CommitNote::new("test", self.written);
        let ids = ids.iter().map(|id| lit(id.as_str())).collect();
        let lake = self.engine.lake.clone();
        let written = lake
            .delete_where(&path, col("id").in_list(ids, false), note)
            .await;
        self.point_at(&path, &written.unwrap()).await;
    }

    /// Publishes a version of `people`.
    async fn point_at(&mut self, path: &TablePath, written: &Written) {
        let mut state = self.engine.published().await.unwrap();
        let node = PublishedNode {
            basis: None,
            kind: "table".to_owned(),
            relation: Some(("main".to_owned(), "people".to_owned())),
            table: Some(StoredTable {
                relation: ("main".to_owned(), "people".to_owned()),
                path: path.as_str().to_owned(),
                external: false,
                version: written.version,
                rows: Some(written.rows),
            }),
            companions: BTreeMap::new(),
            key: String::new(),
            fingerprint: String::new(),
            inputs: BTreeMap::new(),
            sql: None,
            detail: serde_json::Value::Null,
            deferred: None,
            run_id: String::new(),
            as_of: self.engine.clock.as_of,
        };
        state.document.nodes.insert(people(), node);
        let document = state.document.clone();
        self.engine.publish(&state, &document).await.unwrap();
        self.schema = Some(
            self.engine
                .lake
                .snapshot(path, None)
                .await
                .unwrap()
                .unwrap()
                .schema(),
        );
    }

    pub fn compiled(&self) -> CompiledSync {
        let mut binder = Binder::new(self.engine.session(false));
        let key = RelationKey::own(people());
        binder
            .add_table(key.clone(), "main", "people", self.schema.clone().unwrap())
            .unwrap();
        let keys = self.sync.key.iter();
        let keys = keys.map(|(field, sql)| format!("{} AS \"{}\"", sql.value, field.value));
        let fields = self.sync.mapping.fields.iter().map(|mapped| {
            let MappedValue::Expression(sql) = &mapped.value else {
                panic!("only expressions")
            };
            format!("{} AS \"{}\"", sql.value, mapped.field.value)
        });
        let list: Vec<String> = keys.chain(fields).collect();
        let sql = format!(
            "SELECT {} FROM \"kinfold\".\"main\".\"people\"",
            list.join(", ")
        );
        CompiledSync {
            id: self.sync.id.clone(),
            name: self.sync.name.value.clone(),
            from: people(),
            plan: binder.bind(&sql).unwrap(),
            key_fields: self.sync.key.iter().map(|(f, _)| f.value.clone()).collect(),
            fields: self
                .sync
                .mapping
                .fields
                .iter()
                .map(|mapped| mapped.field.value.clone())
                .collect(),
            nulls: self
                .sync
                .mapping
                .fields
                .iter()
                .map(|mapped| mapped.nulls)
                .collect(),
            example: None,
            reads: vec![key],
            determinism: Determinism::Fixed,
            fingerprint: self.mapping,
        }
    }

    pub async fn run(&self) -> Result<SyncReport, EngineError> {
        self.run_with(&|_| None, false).await
    }

    pub async fn dry_run(&self) -> Result<SyncReport, EngineError> {
        self.run_with(&|_| None, true).await
    }

    /// Through the connection.
    pub async fn run_with(
        &self,
        environment_variable: &(dyn Fn(&str) -> Option<String> + std::marker::Sync),
        dry_run: bool,
    ) -> Result<SyncReport, EngineError> {
        let compiled = self.compiled();
        let request = SyncRequest {
            dry_run,
            environment_variable,
            ..self.request(&compiled)
        };
        run_sync(&self.engine, request).await
    }

    /// Asks the destination of the connection.
    pub async fn verify(
        &self,
        environment_variable: &(dyn Fn(&str) -> Option<String> + std::marker::Sync),
        heal: bool,
    ) -> Result<VerifyReport, EngineError> {
        let compiled = self.compiled();
        let request = SyncRequest {
            environment_variable,
            ..self.request(&compiled)
        };
        verify_sync(&self.engine, request, heal).await
    }

    /// Through a destination of the test.
    pub async fn run_through(
        &self,
        destination: &dyn Destination,
        clock: &dyn Clock,
    ) -> Result<SyncReport, EngineError> {
        let compiled = self.compiled();
        let ports = Ports {
            destination,
            policy: self.policy.clone(),
            clock,
            budget: &Budget::unlimited(),
            lease: self.lease,
        };
        run_sync_through(&self.engine, self.request(&compiled), ports).await
    }

    /// Through a destination of the test, a part of the changeset or what a guard held back.
    pub async fn run_part(
        &self,
        destination: &dyn Destination,
        scope: Scope,
        approve: Option<&str>,
    ) -> Result<SyncReport, EngineError> {
        let compiled = self.compiled();
        let request = SyncRequest {
            scope,
            approve: approve.map(ToOwned::to_owned),
            ..self.request(&compiled)
        };
        let ports = Ports {
            destination,
            policy: self.policy.clone(),
            clock: &kinfold_testkit::FakeClock::new(),
            budget: &Budget::unlimited(),
            lease: self.lease,
        };
        run_sync_through(&self.engine, request, ports).await
    }

    fn request<'a>(&'a self, compiled: &'a CompiledSync) -> SyncRequest<'a> {
        SyncRequest {
            sync: &self.sync,
            compiled,
            connection: &self.connection,
            vars: &[],
            dry_run: false,
            scope: Scope::default(),
            approve: None,
            budget: Budget::unlimited(),
            account: SharedAccount::default(),
            environment_variable: &|_| None,
            warn: &|_| {},
            cancel: CancelToken::new(),
        }
    }

    /// Rows of a table below `_kinfold`, as JSON, sorted.
    pub async fn table(&self, path: &str) -> Vec<serde_json::Value> {
        let path = TablePath::new(path).unwrap();
        let Some(snapshot) = self.engine.lake.snapshot(&path, None).await.unwrap() else {
            return vec![];
        };
        let session = self.engine.session(false);
        let scan = snapshot
            .provider()
            .unwrap()
            .scan(&session, None, &[], None)
            .await
            .unwrap();
        let batches = collect(scan, Arc::new(TaskContext::from(&session)))
            .await
            .unwrap();
        let mut bytes = vec![];
        let mut writer = LineDelimitedWriter::new(&mut bytes);
        writer
            .write_batches(&batches.iter().collect::<Vec<_>>())
            .unwrap();
        writer.finish().unwrap();
        drop(writer);
        let mut lines: Vec<serde_json::Value> = String::from_utf8(bytes)
            .unwrap()
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        lines.sort_by_key(ToString::to_string);
        lines
    }

    /// The rows of the state that count: the newest of each key, if it does not say that there is nothing.
    pub async fn state(&self) -> Vec<serde_json::Value> {
        let mut newest: BTreeMap<String, serde_json::Value> = BTreeMap::new();
        for row in self.table("_kinfold/sync/crm/state").await {
            let key = row["key_text"].as_str().unwrap().to_owned();
            let ordinal = |row: &serde_json::Value| row["ordinal"].as_i64();
            let older = newest
                .get(&key)
                .is_none_or(|found| ordinal(found) < ordinal(&row));
            if older {
                newest.insert(key, row);
            }
        }
        let live = newest.into_values().filter(|row| row["status"] != "gone");
        live.map(|mut row| {
            row.as_object_mut().unwrap().shift_remove("ordinal");
            row
        })
        .collect()
    }

    pub async fn ledger(&self) -> Vec<serde_json::Value> {
        self.table("_kinfold/ledger").await
    }

    pub async fn invalid(&self) -> Vec<serde_json::Value> {
        self.table("_kinfold/sync/crm/invalid").await
    }

    /// Version of the state.
    pub async fn state_version(&self) -> Option<u64> {
        let path = TablePath::new("_kinfold/sync/crm/state").unwrap();
        Some(
            self.engine
                .lake
                .snapshot(&path, None)
                .await
                .unwrap()?
                .version(),
        )
    }

    /// Names of what runs have left behind.
    pub async fn leftovers(&self) -> BTreeSet<String> {
        self.engine
            .lake
            .list("sync/crm/run")
            .await
            .unwrap()
            .into_iter()
            .map(|object| object.name)
            .collect()
    }
}

pub fn people() -> NodeId {
    NodeId::new(ResourceType::Model, &["shop", "people"])
}

/// Few attempts, small batches.
pub fn policy() -> DeliveryPolicy {
    DeliveryPolicy {
        max_rows: 3,
        retry: RetryPolicy {
            max_attempts: 2,
            ..RetryPolicy::default()
        },
        ..DeliveryPolicy::default()
    }
}

/// An engine of the folder with less memory.
pub async fn small_engine(root: &Path, memory_limit: usize) -> Engine {
    open(root, memory_limit).await
}

async fn engine(root: &Path) -> Engine {
    open(root, EngineOptions::default().memory_limit).await
}

async fn open(root: &Path, memory_limit: usize) -> Engine {
    let environment = ResolvedEnvironment {
        name: "prod".to_owned(),
        lake: "lake".to_owned(),
        storage: StorageOptions::default(),
        schema: "main".to_owned(),
        owns_lake: true,
    };
    let clock = RunClock::at(Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).unwrap());
    let options = EngineOptions {
        target_partitions: 2,
        memory_limit,
    };
    Engine::open(root, "shop", environment, clock, options)
        .await
        .unwrap()
}

/// The texts of one field of rows.
pub fn field(rows: &[serde_json::Value], name: &str) -> Vec<String> {
    rows.iter()
        .map(|row| {
            row.get(name)
                .and_then(|v| v.as_str())
                .unwrap_or("null")
                .to_owned()
        })
        .collect()
}

/// Columns `id` and `value`.
pub fn rows(rows: &[(Option<&str>, Option<f64>)]) -> Vec<(&'static str, ArrayRef)> {
    let ids: StringArray = rows.iter().map(|(id, _)| *id).collect();
    let values: Float64Array = rows.iter().map(|(_, value)| *value).collect();
    vec![
        ("id", Arc::new(ids) as ArrayRef),
        ("value", Arc::new(values) as ArrayRef),
    ]
}

/// Columns `id` and `value` without nulls.
pub fn plain(pairs: &[(&str, f64)]) -> Vec<(&'static str, ArrayRef)> {
    rows(
        &pairs
            .iter()
            .map(|(id, value)| (Some(*id), Some(*value)))
            .collect::<Vec<_>>(),
    )
}

//! Measures a resolution: `cargo run --release -p kinfold-identity --example million -- 1000000 20`
//! (persons, records per person; a third argument `any` gives up the order by record). Prints times
//! and the peaks of the process's memory.

use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Instant;

use kinfold_identity::{
    BlockedValues, GraphBuilder, LinkKind, Observation, Resolution, ResolveOptions,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let persons: u64 = arguments
        .next()
        .map_or(Ok(1_000_000), |text| text.parse())?;
    let records: u64 = arguments.next().map_or(Ok(4), |text| text.parse())?;
    let grouped = arguments.next().is_none_or(|order| order != "any");
    let mut out = std::io::stdout().lock();
    let start = Instant::now();
    let mut graph = if grouped {
        GraphBuilder::grouped_by_record(BlockedValues::default())
    } else {
        GraphBuilder::new(BlockedValues::default())
    };
    observe_all(&mut graph, persons, records)?;
    let observed = start.elapsed();
    let first = graph.resolve(&ResolveOptions {
        entity: "person",
        salt: "",
        as_of: 1,
    });
    writeln!(
        out,
        "observed in {observed:.2?}, resolved after {:.2?}: {:?}",
        start.elapsed(),
        first.summary()
    )?;
    writeln!(out, "{}", peak_memory())?;

    let start = Instant::now();
    let second = rerun(&first, persons, records)?;
    writeln!(
        out,
        "run again beside it in {:.2?}, {} changes",
        start.elapsed(),
        second.changes().len()
    )?;
    writeln!(out, "{}", peak_memory())?;
    Ok(())
}

fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .filter(|line| line.starts_with("VmHWM"))
        .collect()
}

fn rerun(first: &Resolution, persons: u64, records: u64) -> Result<Resolution, Box<dyn Error>> {
    let mut graph = GraphBuilder::new(BlockedValues::default());
    for row in first.identifiers() {
        graph.previous(row.id_type, row.id_value, row.canonical_id, row.minted_at)?;
    }
    observe_all(&mut graph, persons, records)?;
    Ok(graph.resolve(&ResolveOptions {
        entity: "person",
        salt: "",
        as_of: 2,
    }))
}

/// Three devices and an e-mail address a person; each record carries a device, every fourth the
/// address too.
fn observe_all(graph: &mut GraphBuilder, persons: u64, records: u64) -> Result<(), Box<dyn Error>> {
    let (mut record_id, mut device, mut email) = (String::new(), String::new(), String::new());
    for person in 0..persons {
        email.clear();
        write!(email, "person.{person}@example.com")?;
        for record in 0..records {
            record_id.clear();
            write!(record_id, "{person:016x}-{record:016x}")?;
            device.clear();
            write!(device, "device-{:016x}", person * 3 + record % 3)?;
            let row = Observation {
                source: Some("web"),
                record_id: Some(&record_id),
                id_type: Some("anonymous_id"),
                id_value: Some(&device),
                observed_at: Some(i64::try_from(person + record)?),
                link: LinkKind::None,
            };
            graph.observe(&row)?;
            if record % 4 < 3 {
                graph.observe(&Observation {
                    id_type: Some("email"),
                    id_value: Some(&email),
                    ..row
                })?;
            }
        }
    }
    Ok(())
}

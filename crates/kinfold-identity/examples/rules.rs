//! Measures a resolution under rules, from the first row to the last verdict:
//! `cargo run --release -p kinfold-identity --example rules -- 2500000 5`.
//!
//! Each person has four identifiers on three records; every fifth (second argument; 0: nobody) once
//! signs in on a device of the next, so that without limits the two would be one. That makes 10 million
//! identifiers and 16 million rows. A third argument `grouped` promises that the rows of a record follow
//! each other. Prints times, and the peak of the process's memory after each step.

use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Instant;

use kinfold_identity::{
    BlockedValues, Checked, GraphBuilder, LinkKind, Observation, ResolveOptions, Rules, TypeRules,
    Verdict,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let persons: u64 = arguments
        .next()
        .map_or(Ok(1_000_000), |text| text.parse())?;
    let shared: u64 = arguments.next().map_or(Ok(5), |text| text.parse())?;
    let grouped = arguments.next().is_some_and(|order| order == "grouped");
    let rules = Rules {
        types: vec![
            TypeRules::new("user_id").at_most(1),
            TypeRules {
                max_records: Some(1000),
                ..TypeRules::new("email").at_most(5)
            },
            TypeRules::new("device"),
        ],
        max_identifiers: Some(1000),
    };
    let mut out = std::io::stdout().lock();
    let start = Instant::now();
    let mut told = |what: &str| -> Result<(), std::io::Error> {
        writeln!(
            out,
            "{what}: {:.2?}, {} ticks of the processor, {}",
            start.elapsed(),
            ticks(),
            peak_memory()
        )
    };
    let mut bytes = 0;
    each_row(persons, shared, |row| {
        bytes += row.id_value.map_or(0, str::len);
        Ok(())
    })?;
    told(&format!("{bytes} bytes of values made, for comparison"))?;
    let blocked = BlockedValues::default();
    let graph = if grouped {
        GraphBuilder::grouped_by_record(blocked)
    } else {
        GraphBuilder::new(blocked)
    };
    let mut graph = graph.with_rules(rules)?;
    let mut rows = 0_u64;
    each_row(persons, shared, |row| {
        rows += 1;
        graph.observe(row).map(drop)
    })?;
    told(&format!("{rows} rows observed"))?;
    let checked = graph.check();
    told("checked")?;
    let graph = match checked {
        Checked::Sound(graph) => graph,
        Checked::Failing(mut replay) => {
            told(&format!("{} identifiers fail", replay.identifiers()))?;
            each_row(persons, shared, |row| replay.observe(row))?;
            told("observed again")?;
            replay.finish()
        }
    };
    told("replayed")?;
    let resolution = graph.resolve(&ResolveOptions {
        entity: "person",
        salt: "",
        as_of: 1,
    });
    told(&format!("resolved, {:?}", resolution.summary()))?;
    let mut rejected = 0_u64;
    each_row(persons, shared, |row| {
        rejected += u64::from(matches!(resolution.verdict_of(row), Verdict::Rejected(_)));
        Ok(())
    })?;
    told(&format!("{rejected} rows rejected"))?;
    let index = resolution.index();
    told(&format!("index of {} bytes", index.as_bytes().len()))?;
    Ok(())
}

/// Processor time of all threads so far, in user mode; 100 ticks a second on Linux.
fn ticks() -> String {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    stat.split(' ').nth(13).unwrap_or_default().to_owned()
}

fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .filter(|line| line.starts_with("VmHWM"))
        .collect()
}

fn each_row(
    persons: u64,
    shared: u64,
    mut take: impl FnMut(&Observation<'_>) -> Result<(), kinfold_identity::GraphError>,
) -> Result<(), Box<dyn Error>> {
    let mut record_id = String::new();
    let (mut first, mut second) = (String::new(), String::new());
    let mut give =
        |person: u64, record: u64, ids: [(&str, u64); 2]| -> Result<(), Box<dyn Error>> {
            record_id.clear();
            write!(record_id, "{person}-{record}")?;
            for (text, (kind, number)) in [&mut first, &mut second].into_iter().zip(ids) {
                text.clear();
                match kind {
                    "email" => write!(text, "person.{number}@example.com")?,
                    "device" => write!(text, "{:016x}-{number}", spread(number))?,
                    _ => write!(text, "u-{number:09}")?,
                }
            }
            let time = i64::try_from(spread(person ^ (record << 40)) >> 14)?;
            for (text, (kind, _)) in [&first, &second].into_iter().zip(ids) {
                take(&Observation {
                    source: Some("events"),
                    record_id: Some(&record_id),
                    id_type: Some(kind),
                    id_value: Some(text),
                    observed_at: Some(time),
                    link: LinkKind::None,
                })?;
            }
            Ok(())
        };
    for person in 0..persons {
        let device = person * 2;
        give(person, 0, [("user_id", person), ("email", person)])?;
        give(person, 1, [("user_id", person), ("device", device)])?;
        give(person, 2, [("email", person), ("device", device + 1)])?;
        if shared > 0 && person % shared == 0 {
            give(
                person,
                3,
                [("user_id", person), ("device", (person + 1) % persons * 2)],
            )?;
        }
    }
    Ok(())
}

/// A number that looks like chance.
fn spread(number: u64) -> u64 {
    let mixed = (number ^ (number >> 31)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9)
}

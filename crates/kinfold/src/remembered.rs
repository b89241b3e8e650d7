//! What earlier checks of a project have found sound, in its `target/`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::UNIX_EPOCH;

use kinfold_compile::compile::Memory;

/// The memory of a project.
#[derive(Debug)]
pub struct Remembered {
    file: PathBuf,
    memory: Mutex<Memory>,
}

impl Remembered {
    /// Reads it; without a file that can be read nothing is known.
    pub fn read(root: &Path) -> Self {
        let file = root.join("target").join("kinfold").join("checked");
        // A program that cannot tell itself from others remembers nothing.
        let bytes = match program() {
            Ok(program) => (fs::read(&file).unwrap_or_default(), program),
            Err(_) => (vec![], String::new()),
        };
        Self {
            file,
            memory: Mutex::new(Memory::read(&bytes.0, &bytes.1)),
        }
    }

    pub fn memory(&self) -> &Mutex<Memory> {
        &self.memory
    }

    /// Writes what is new. Where that cannot be done the next check takes longer, and nothing else.
    pub fn write(&self) {
        if program().is_err() {
            return;
        }
        let Ok(memory) = self.memory.lock() else {
            return;
        };
        if let Some(bytes) = memory.to_bytes()
            && let Err(error) = replace(&self.file, &bytes)
        {
            tracing::debug!(file = %self.file.display(), %error, "not remembered");
        }
    }
}

/// Swaps a file as a whole, so that a check beside this one reads the old one or the new one.
fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let new = folder.join(format!("checked.{}", std::process::id()));
    fs::write(&new, bytes)
        .and_then(|()| fs::rename(&new, file))
        .inspect_err(|_| {
            let _ = fs::remove_file(&new);
        })
}

/// Tells this build of the program from others: two builds of one version may find different things.
fn program() -> io::Result<String> {
    let file = fs::metadata(std::env::current_exe()?)?;
    let built = file
        .modified()?
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Ok(format!(
        "{} {} {}",
        env!("CARGO_PKG_VERSION"),
        file.len(),
        built.as_nanos()
    ))
}

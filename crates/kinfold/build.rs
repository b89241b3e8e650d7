//! Puts the standard package, the example shop and the pages of diagnostics into the binary, as lists of path and text.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../..");
    let mut code = String::new();
    for (name, folder, what) in [
        (
            "STANDARD_PACKAGE",
            "models",
            "Files of the standard package.",
        ),
        ("SHOP", "examples/shop", "Files of the example shop."),
        (
            "DIAGNOSTIC_PAGES",
            "docs/diagnostics",
            "Pages of the codes of diagnostics, and their table.",
        ),
    ] {
        let folder = fs::canonicalize(root.join(folder))?;
        println!("cargo::rerun-if-changed={}", folder.display());
        let mut files = Vec::new();
        collect(&folder, &folder, &mut files)?;
        files.sort();
        let _ = writeln!(code, "/// {what}\npub const {name}: &[(&str, &str)] = &[");
        for (path, file) in files {
            println!("cargo::rerun-if-changed={}", file.display());
            let _ = writeln!(
                code,
                "    ({path:?}, include_str!({:?})),",
                file.display().to_string()
            );
        }
        code.push_str("];\n");
    }
    fs::write(
        PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("embedded.rs"),
        code,
    )
}

/// Text files below `folder`; what a run makes in an example's folder is not part of the example.
fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    const MADE: [&str; 5] = ["data", "target", "out", "truth", ".kinfold"];
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            if !MADE.contains(&name.as_str()) {
                collect(root, &path, files)?;
            }
            continue;
        }
        let extension = path
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if ["sql", "yml", "yaml", "md", "csv", "gitignore"].contains(&extension.as_str())
            || name == ".gitignore"
        {
            let relative = path.strip_prefix(root).unwrap_or(&path);
            files.push((relative.to_string_lossy().replace('\\', "/"), path.clone()));
        }
    }
    Ok(())
}

//! Less of a project that still fails in the same way.

use std::path::Path;
use std::time::{Duration, Instant};

use super::case::{Ended, run};
use super::corpus::Files;

/// Time that is spent on one failure.
const TIME: Duration = Duration::from_secs(60);

/// The project without what the failure does not need.
pub fn shrink(folder: &Path, files: &Files, sign: &str) -> Files {
    let started = Instant::now();
    smallest(files, &|files| {
        started.elapsed() < TIME
            && matches!(run(folder, files), Ended::Failed(how) if how.sign == sign)
    })
}

/// The smallest files for which `fails` still holds, as far as leaving out files and lines finds them.
pub fn smallest(files: &Files, fails: &dyn Fn(&Files) -> bool) -> Files {
    let mut files = files.clone();
    for path in files.keys().cloned().collect::<Vec<_>>() {
        let mut fewer = files.clone();
        fewer.remove(&path);
        if fails(&fewer) {
            files = fewer;
        }
    }
    for path in files.keys().cloned().collect::<Vec<_>>() {
        let lines = |bytes: &[u8]| -> Vec<Vec<u8>> {
            bytes
                .split_inclusive(|byte| *byte == b'\n')
                .map(<[u8]>::to_vec)
                .collect()
        };
        let mut all = lines(&files[&path]);
        let mut size = all.len().div_ceil(2);
        while size > 0 {
            let mut at = 0;
            while at < all.len() {
                let mut fewer = all.clone();
                fewer.drain(at..(at + size).min(all.len()));
                let mut smaller = files.clone();
                smaller.insert(path.clone(), fewer.concat());
                if fails(&smaller) {
                    (all, files) = (fewer, smaller);
                } else {
                    at += size;
                }
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
    }
    files
}

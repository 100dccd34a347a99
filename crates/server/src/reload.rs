//! Files that are read again when they change.

use std::path::PathBuf;
use std::time::SystemTime;

/// How often files are looked at when nobody says otherwise.
pub const EVERY: std::time::Duration = std::time::Duration::from_secs(5);

/// What a file looks like from outside; `None` when it is not there.
type Mark = Option<(SystemTime, u64)>;

/// Files, and what they looked like when they were last read. Links are followed, so that a mounted Secret that is
/// swapped by its link is seen too.
#[derive(Debug)]
pub struct Watched {
    files: Vec<PathBuf>,
    marks: Vec<Mark>,
}

impl Watched {
    /// Files as they are now.
    pub fn new(files: Vec<PathBuf>) -> Self {
        let marks = marks(&files);
        Self { files, marks }
    }

    /// Whether one of them has changed since the last call.
    pub fn changed(&mut self) -> bool {
        let now = marks(&self.files);
        let changed = now != self.marks;
        self.marks = now;
        changed
    }
}

fn marks(files: &[PathBuf]) -> Vec<Mark> {
    let mark = |file: &PathBuf| {
        let data = std::fs::metadata(file).ok()?;
        Some((data.modified().ok()?, data.len()))
    };
    files.iter().map(mark).collect()
}

#[cfg(test)]
mod tests {
    use super::Watched;

    #[test]
    fn sees_changes_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("tls.crt");
        let mut watched = Watched::new(vec![file.clone()]);
        assert!(!watched.changed());
        std::fs::write(&file, "one").expect("written");
        assert!(watched.changed());
        assert!(!watched.changed());
        std::fs::write(&file, "three").expect("written");
        assert!(watched.changed());
        std::fs::remove_file(&file).expect("removed");
        assert!(watched.changed());
        assert!(!watched.changed());
    }
}

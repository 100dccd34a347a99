//! Where flow logs are kept while they are read.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// A directory of files that nobody needs after the process has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scratch(PathBuf);

impl Default for Scratch {
    /// Where the system keeps temporary files.
    fn default() -> Self {
        Self(std::env::temp_dir())
    }
}

impl Scratch {
    /// A directory of one's own: made when it is not there, for its owner alone, and emptied of what an earlier
    /// process left behind.
    ///
    /// # Errors
    /// Also when there is something else than a directory, such as a link: what lies elsewhere is not emptied.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        match builder.create(path) {
            Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        if !std::fs::symlink_metadata(path)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        #[cfg(unix)]
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                std::fs::remove_dir_all(entry.path())?;
            } else {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(Self(path.to_owned()))
    }

    /// A file without a name, which is gone when it is closed.
    pub(super) fn file(&self) -> io::Result<File> {
        tempfile::tempfile_in(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Scratch;

    #[test]
    fn begins_empty_and_for_its_owner_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("scratch");
        for _ in 0..2 {
            Scratch::open(&path).expect("it can be made");
            assert_eq!(std::fs::read_dir(&path).expect("it is there").count(), 0);
            std::fs::write(path.join("left"), "by another").expect("written");
            std::fs::create_dir(path.join("more")).expect("made");
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
                assert_eq!(mode & 0o777, 0o700);
                let open = std::fs::Permissions::from_mode(0o755);
                std::fs::set_permissions(&path, open).expect("changed");
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn empties_nothing_elsewhere() {
        let directory = tempfile::tempdir().expect("a directory");
        let (elsewhere, link) = (directory.path().join("data"), directory.path().join("scratch"));
        std::fs::create_dir(&elsewhere).expect("made");
        std::fs::write(elsewhere.join("kept"), "text").expect("written");
        std::os::unix::fs::symlink(&elsewhere, &link).expect("linked");
        Scratch::open(&link).expect_err("it is a link");
        assert!(elsewhere.join("kept").exists());
        // A link inside is removed, not followed.
        let inside = directory.path().join("own");
        std::fs::create_dir(&inside).expect("made");
        std::os::unix::fs::symlink(&elsewhere, inside.join("link")).expect("linked");
        Scratch::open(&inside).expect("it is a directory");
        assert!(!inside.join("link").exists() && elsewhere.join("kept").exists());
    }
}

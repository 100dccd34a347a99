//! Where data is kept when nobody says where.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The database of the user: `ringfence/ringfence.db` in the data directory of the XDG Base Directory
/// Specification, `~/.local/share` by default. `None` without a home.
pub fn default_store() -> Option<PathBuf> {
    store_in(std::env::var_os("XDG_DATA_HOME"), std::env::var_os("HOME"))
}

fn store_in(data: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    // The specification: a relative path is invalid and must be ignored.
    let data = data.map(PathBuf::from).filter(|path| path.is_absolute());
    let base = data.or_else(|| {
        let home = PathBuf::from(home.filter(|home| !home.is_empty())?);
        Some(home.join(".local/share"))
    })?;
    Some(base.join(Path::new("ringfence/ringfence.db")))
}

#[cfg(test)]
mod tests {
    use super::store_in;

    #[test]
    fn follows_the_base_directory_specification() {
        let store = |data: &str, home: &str| {
            let given = |text: &str| (!text.is_empty()).then(|| text.into());
            store_in(given(data), given(home)).map(|path| path.to_string_lossy().into_owned())
        };
        let expected = |text: &str| Some(text.to_owned());
        assert_eq!(store("/data", "/home/a"), expected("/data/ringfence/ringfence.db"));
        assert_eq!(store("", "/home/a"), expected("/home/a/.local/share/ringfence/ringfence.db"));
        assert_eq!(
            store("data", "/home/a"),
            expected("/home/a/.local/share/ringfence/ringfence.db")
        );
        assert_eq!(store("", ""), None);
    }
}

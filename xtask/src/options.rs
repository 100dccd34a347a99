//! `--name value` pairs.

use anyhow::{Context, bail};

/// The options of a task.
#[derive(Debug)]
pub struct Options(Vec<(String, String)>);

impl Options {
    /// Takes `--name value` and `-n value` pairs.
    pub fn parse(args: impl IntoIterator<Item = String>) -> anyhow::Result<Self> {
        let mut args = args.into_iter();
        let mut options = Vec::new();
        while let Some(name) = args.next() {
            let Some(name) = name.strip_prefix("--").or(name.strip_prefix('-')) else {
                bail!("{name:?} is no option");
            };
            let value = args.next().with_context(|| format!("--{name} needs a value"))?;
            options.push((name.to_owned(), value));
        }
        Ok(Self(options))
    }

    /// Takes the value of an option out.
    pub fn text(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(n, _)| n == name)?;
        Some(self.0.remove(at).1)
    }

    /// Takes the number of an option out.
    pub fn number(&mut self, name: &str, default: u64) -> anyhow::Result<u64> {
        let Some(text) = self.text(name) else { return Ok(default) };
        text.parse().with_context(|| format!("--{name} needs a number"))
    }

    /// Fails when options are left that nobody asked for.
    pub fn finish(self) -> anyhow::Result<()> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => bail!("there is no option --{name}"),
        }
    }
}

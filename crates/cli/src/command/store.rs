//! `ringfence export`, `import` and `backup`: what the server keeps, out of its database and into it.

use std::path::PathBuf;

use anyhow::Context as _;
use ringfence_server::archive;
use ringfence_server::config::default_store;
use ringfence_store::{Access, Options, Sqlite, Store as _};
use ringfence_views::explain::some_of;

use crate::Outcome;
use crate::args::{BackupArgs, ExportArgs, ImportArgs, StoreArgs};
use crate::output::say;

/// Works while a server has the database open.
pub(crate) fn export(args: &ExportArgs) -> anyhow::Result<Outcome> {
    let ExportArgs { store, cluster, output } = args;
    let store = open(store, Access::Read)?;
    let cluster = match cluster {
        Some(cluster) => cluster.clone(),
        None => {
            let clusters = store.clusters()?;
            let [only] = &clusters[..] else {
                anyhow::bail!(
                    "the store holds {} clusters\n  hint: name one with --cluster: {}",
                    clusters.len(),
                    some_of(&clusters)
                );
            };
            only.clone()
        }
    };
    archive::export(&store, &cluster, output).context("cannot write the archive")?;
    say(format_args!("{cluster} is in {}", output.display()));
    Ok(Outcome::Fine)
}

pub(crate) fn import(args: &ImportArgs) -> anyhow::Result<Outcome> {
    let ImportArgs { store, cluster, archive } = args;
    let store = open(store, Access::Write)?;
    let cluster = archive::import(&store, archive, cluster.as_ref())
        .context("the archive was not taken in")?;
    say(format_args!("{cluster} is in {}", store.path().display()));
    Ok(Outcome::Fine)
}

/// Works while a server has the database open.
pub(crate) fn backup(args: &BackupArgs) -> anyhow::Result<Outcome> {
    let BackupArgs { store, output } = args;
    let store = open(store, Access::Read)?;
    store.backup(output).context("the store was not copied")?;
    say(format_args!("{} is a copy of {}", output.display(), store.path().display()));
    Ok(Outcome::Fine)
}

fn open(args: &StoreArgs, access: Access) -> anyhow::Result<Sqlite> {
    let path: PathBuf = match &args.store {
        Some(path) => path.clone(),
        None => default_store().context("say which store with --store")?,
    };
    anyhow::ensure!(
        access == Access::Write || path.exists(),
        "there is no store {}\n  hint: name it with --store",
        path.display()
    );
    Ok(Sqlite::open(&path, &Options { access, ..Options::default() })?)
}

//! `ringfence serve`: runs the server.

use anyhow::Context as _;
use ringfence_server::config::{Config, Flags};
use ringfence_server::demo::{Demo, Traffic};
use ringfence_server::serve::{self, PATIENCE, Server};
use tracing_subscriber::EnvFilter;

use crate::Outcome;
use crate::args::{DemoTraffic, LogFormat, ServeArgs};
use crate::output::{print_text, say};

pub(crate) fn run(args: &ServeArgs) -> anyhow::Result<Outcome> {
    let flags = Flags { listen: args.listen, store: args.store.clone() };
    let config = Config::load(args.config.as_deref(), &flags)?;
    if args.check_config {
        return check(&config);
    }
    log(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start threads")?;
    let result = runtime.block_on(async {
        let traffic = match args.demo {
            None => return until_stopped(serve::start(config).await?).await,
            Some(DemoTraffic::Recorded) => Traffic::Recorded,
            Some(DemoTraffic::Live) => Traffic::Live,
        };
        let demo = tokio::task::spawn_blocking(move || Demo::new(traffic)).await??;
        let store = std::sync::Arc::clone(&demo.store);
        until_stopped(serve::start_over(config, store, serve::Machine::default()).await?).await
    });
    // What hangs after the patience of the server is cut off.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result
}

/// Only says whether the server would start.
fn check(config: &Config) -> anyhow::Result<Outcome> {
    match serve::check(config) {
        Ok(()) => {
            print_text("the configuration is fine\n")?;
            Ok(Outcome::Fine)
        }
        Err(faults) => {
            let faults: Vec<String> = faults
                .into_iter()
                .map(|fault| format!("{:#}", anyhow::Error::new(fault)))
                .collect();
            anyhow::bail!("the server would not start\n  {}", faults.join("\n  "))
        }
    }
}

async fn until_stopped(server: Server) -> anyhow::Result<Outcome> {
    print_text(&format!("{}\n", server.url()))?;
    serve::asked_to_stop().await.context("cannot wait for signals")?;
    tracing::info!("asked to stop");
    if tokio::time::timeout(PATIENCE, server.stop()).await.is_err() {
        say(format_args!("warning: not everything ended within {} s", PATIENCE.as_secs()));
    }
    Ok(Outcome::Fine)
}

fn log(args: &ServeArgs) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&args.log)
        .with_context(|| format!("--log {:?} is not a filter, such as info", args.log))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = match args.log_format {
        LogFormat::Text => log.with_ansi(false).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    set.map_err(|error| anyhow::anyhow!("cannot write a log: {error}"))
}

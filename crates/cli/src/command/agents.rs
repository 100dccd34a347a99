//! `ringfence agents`: who may enrol at a server that runs, and who has.

use anyhow::Context as _;
use ringfence_server::client::{Client, Method};
use serde_json::{Value, json};

use crate::Outcome;
use crate::args::{AgentListArgs, AgentRemoveArgs, AgentTokenArgs, AgentsCommand, ServerArgs};
use crate::output::{print, print_text, say, table};

pub(crate) fn run(command: &AgentsCommand) -> anyhow::Result<Outcome> {
    match command {
        AgentsCommand::Token(args) => token(args),
        AgentsCommand::List(args) => list(args),
        AgentsCommand::Remove(args) => remove(args),
    }
}

/// The token goes to stdout, alone, so that it can be redirected into a file.
fn token(args: &AgentTokenArgs) -> anyhow::Result<Outcome> {
    let AgentTokenArgs { server, cluster, node, uses, minutes } = args;
    let mut order = json!({"cluster": cluster.as_str(), "uses": uses, "minutes": minutes});
    if let Some(node) = node {
        order["node"] = node.as_str().into();
    }
    let made = ask(server, Method::POST, "/agents/tokens", Some(&order))?;
    let told = |field: &str| made[field].as_str().context("the server gives no token");
    print_text(&format!("{}\n", told("token")?))?;
    say(format_args!("it counts until {}, and is shown only now", told("expires")?));
    say(
        "hint: put it into a file that only root may read, and name that to ringfence-agent run --token-file",
    );
    Ok(Outcome::Fine)
}

fn list(args: &AgentListArgs) -> anyhow::Result<Outcome> {
    let agents = ask(&args.server, Method::GET, "/agents", None)?;
    print(args.output, &agents, |agents| {
        let rows = agents["items"].as_array().into_iter().flatten().map(|agent| {
            ["cluster", "node", "since", "ends"]
                .map(|field| agent[field].as_str().unwrap_or_default().to_owned())
        });
        table(["CLUSTER", "NODE", "ENROLLED", "CERTIFICATE ENDS"], rows)
    })?;
    Ok(Outcome::Fine)
}

fn remove(args: &AgentRemoveArgs) -> anyhow::Result<Outcome> {
    let AgentRemoveArgs { server, cluster, node } = args;
    ask(server, Method::DELETE, &format!("/agents/{cluster}/{node}"), None)?;
    say(format_args!("{cluster}/{node} is no longer enrolled"));
    Ok(Outcome::Fine)
}

fn ask(
    server: &ServerArgs,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> anyhow::Result<Value> {
    let ServerArgs { server: url, ca, token_file } = server;
    let token = token_file.as_ref().map(|path| {
        let text = std::fs::read_to_string(path);
        text.with_context(|| format!("cannot read {}", path.display()))
    });
    let token = token.transpose()?.map(|token| token.trim().to_owned());
    let client = Client::new(url, ca.as_deref(), token)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime
        .block_on(client.ask(method, path, body))
        .with_context(|| format!("{url} does not do it"))
}

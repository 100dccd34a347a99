//! `ringfence token`: makes a token for the server.

use std::fmt::Write as _;

use ringfence_server::auth::Secret;

use crate::Outcome;
use crate::args::TokenArgs;
use crate::output::{print_text, say};

/// Prints the entry for the file of tokens, and the token itself on stderr, so that a redirection into that file
/// does not write the secret down.
pub(crate) fn run(args: &TokenArgs) -> anyhow::Result<Outcome> {
    let TokenArgs { name, role, expires } = args;
    let token = Secret::token()?;
    // Quoted as JSON, which every YAML reader takes.
    let mut entry = format!(
        "- name: {}\n  role: {role}\n  hash: {}\n",
        serde_json::to_string(name)?,
        serde_json::to_string(&token.digest().to_string())?
    );
    if let Some(expires) = expires {
        let _ = writeln!(entry, "  expires: {:?}", expires.to_string());
    }
    print_text(&entry)?;
    say(format_args!("the token, which is shown only now: {}", token.reveal()));
    say("hint: add the entry under tokens: in the file that authentication.tokens names");
    Ok(Outcome::Fine)
}

//! The file of tokens: who may come in with which secret.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use arc_swap::ArcSwap;
use ringfence_model::Timestamp;
use serde::Deserialize;

use super::secret::Digest;
use crate::principal::{Principal, Role};

/// The tokens of a file, read again when it changes.
#[derive(Debug)]
pub struct TokenFile {
    path: PathBuf,
    tokens: ArcSwap<Tokens>,
}

/// Who may come in with which secret.
#[derive(Debug, Default)]
pub(super) struct Tokens(Vec<Token>);

#[derive(Debug)]
struct Token {
    digest: Digest,
    principal: Principal,
    expires: Option<Timestamp>,
}

/// Why there are no tokens.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// The file cannot be read.
    #[error("cannot read the tokens of {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It does not say what it should.
    #[error("the tokens of {} have faults\n  {}", path.display(), faults.join("\n  "))]
    Faulty {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong.
        faults: Vec<String>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTokens {
    tokens: Vec<RawToken>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawToken {
    name: serde_saphyr::Spanned<String>,
    role: String,
    hash: String,
    expires: Option<String>,
}

impl TokenFile {
    /// Reads the file.
    pub fn open(path: &Path) -> Result<Self, TokensError> {
        let tokens = ArcSwap::from_pointee(Tokens::read(path)?);
        Ok(Self { path: path.to_owned(), tokens })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads it again. A faulty file changes nothing.
    pub fn reload(&self) -> Result<(), TokensError> {
        self.tokens.store(Tokens::read(&self.path)?.into());
        Ok(())
    }

    /// Who comes in with a secret at a moment.
    pub fn principal(&self, digest: &Digest, now: Timestamp) -> Option<Principal> {
        self.tokens.load().principal(digest, now)
    }
}

impl Tokens {
    fn read(path: &Path) -> Result<Self, TokensError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| TokensError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&text).map_err(|faults| TokensError::Faulty { path: path.to_owned(), faults })
    }

    fn parse(text: &str) -> Result<Self, Vec<String>> {
        let raw: RawTokens = serde_saphyr::from_str(text)
            .map_err(|error| vec![error.without_snippet().to_string()])?;
        let mut faults = Vec::new();
        let mut names = BTreeSet::new();
        let mut tokens = Vec::new();
        for RawToken { name, role, hash, expires } in raw.tokens {
            let mut fault = |what: String| {
                faults.push(format!("line {}: {}: {what}", name.referenced.line(), name.value));
            };
            if name.value.is_empty() || !names.insert(name.value.clone()) {
                fault("every token needs a name of its own".to_owned());
            }
            let role = role.parse::<Role>().map_err(|e| fault(e.to_string()));
            let digest = hash.parse::<Digest>().map_err(|e| fault(e.to_string()));
            let expires = expires
                .map(|time| time.parse::<Timestamp>())
                .transpose()
                .map_err(|e| fault(e.to_string()));
            if let (Ok(role), Ok(digest), Ok(expires)) = (role, digest, expires) {
                let principal = Principal { name: name.value, role };
                tokens.push(Token { digest, principal, expires });
            }
        }
        if faults.is_empty() { Ok(Self(tokens)) } else { Err(faults) }
    }

    fn principal(&self, digest: &Digest, now: Timestamp) -> Option<Principal> {
        let Self(tokens) = self;
        let token = tokens.iter().find(|token| token.digest == *digest)?;
        let expired = token.expires.is_some_and(|expires| expires <= now);
        (!expired).then(|| token.principal.clone())
    }
}

#[cfg(test)]
mod tests {
    use ringfence_model::Timestamp;

    use super::{TokenFile, Tokens};
    use crate::auth::secret::{Digest, Secret};
    use crate::principal::Role;

    #[test]
    fn knows_names_roles_and_expiry() {
        let (ci, people) = (Digest::of("a"), Digest::of("b"));
        let text = format!(
            "tokens:\n- {{name: ci, role: viewer, hash: '{ci}', expires: '2026-03-02T00:00:00Z'}}\n- {{name: \
             people, role: admin, hash: '{people}'}}\n"
        );
        let tokens = Tokens::parse(&text).expect("good tokens");
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let role = |digest, time| tokens.principal(digest, at(time)).map(|who| who.role);
        assert_eq!(role(&ci, "2026-03-01T23:59:59Z"), Some(Role::Viewer));
        assert_eq!(role(&ci, "2026-03-02T00:00:00Z"), None);
        assert_eq!(role(&people, "2030-01-01T00:00:00Z"), Some(Role::Admin));
        assert_eq!(role(&Digest::of("c"), "2026-01-01T00:00:00Z"), None);
    }

    #[test]
    fn says_all_faults() {
        let text = "tokens:\n- {name: a, role: root, hash: hunter2}\n- {name: a, role: viewer, hash: 'sha256:', \
                    expires: tomorrow}\n";
        insta::assert_snapshot!(Tokens::parse(text).expect_err("faults").join("\n"));
    }

    #[test]
    fn a_faulty_file_changes_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("tokens.yaml");
        let secret = Secret::token().expect("random numbers");
        let write = |text: &str| std::fs::write(&path, text).expect("written");
        write(&format!("tokens: [{{name: a, role: viewer, hash: '{}'}}]", secret.digest()));
        let file = TokenFile::open(&path).expect("good tokens");
        let known = || file.principal(&secret.digest(), Timestamp::MIN).is_some();
        assert!(known());
        write("tokens: [");
        assert!(file.reload().is_err());
        assert!(known());
        write("tokens: []");
        file.reload().expect("good tokens");
        assert!(!known());
    }
}

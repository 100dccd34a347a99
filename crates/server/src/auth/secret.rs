//! Secrets that nobody can guess, and what is kept of them.

use std::fmt;
use std::hash::{Hash, Hasher};

use rustls::crypto::ring;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// What every token begins with, so that secret scanners know it.
const PREFIX: &str = "rf_";

/// 256 random bits, as text. It is shown to its owner only, and never in a log.
#[derive(Clone)]
pub struct Secret(String);

/// The SHA-256 digest of a secret: what is kept of it.
///
/// A fast digest is enough, because a [`Secret`] has 256 random bits: there is nothing to try out. A slow one would
/// only cost time at every request. What people choose themselves is never taken.
#[derive(Clone, Copy, Debug, Eq)]
pub struct Digest([u8; 32]);

/// The system has no random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct NoRandom;

/// Why a text is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a digest: sha256: and 64 hexadecimal digits, as ringfence token prints it")]
pub struct NotADigest;

/// Fills bytes with what nobody can guess.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), NoRandom> {
    ring::default_provider().secure_random.fill(bytes).map_err(|_| NoRandom)
}

impl Secret {
    /// A new one.
    pub fn random() -> Result<Self, NoRandom> {
        let mut bytes = [0; 32];
        fill(&mut bytes)?;
        Ok(Self(format!("{}", Hex(&bytes))))
    }

    /// A new one that says what it is.
    pub fn token() -> Result<Self, NoRandom> {
        Self::random().map(|Self(digits)| Self(format!("{PREFIX}{digits}")))
    }

    /// The text itself, for its owner.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Digest {
    /// The digest of what somebody presents as a secret.
    pub fn of(presented: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(presented.as_ref()).into())
    }

    /// Whether the text looks like a token. What does not cannot be one.
    pub fn is_token(presented: &str) -> bool {
        presented.strip_prefix(PREFIX).is_some_and(|digits| {
            digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
    }
}

/// In the same time for every pair.
impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// `sha256:` and 64 hexadecimal digits.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", Hex(&self.0))
    }
}

impl std::str::FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let digits = text.strip_prefix("sha256:").ok_or(NotADigest)?;
        if digits.len() != 64 || !digits.is_ascii() {
            return Err(NotADigest);
        }
        let mut bytes = [0; 32];
        for (i, byte) in bytes.iter_mut().enumerate() {
            let pair = digits.get(2 * i..2 * i + 2).ok_or(NotADigest)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| NotADigest)?;
        }
        Ok(Self(bytes))
    }
}

/// Bytes as hexadecimal digits.
pub(crate) struct Hex<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Digest, Secret};

    #[test]
    fn a_token_is_known_by_its_digest() {
        let token = Secret::token().expect("random numbers");
        assert!(Digest::is_token(token.reveal()));
        let kept = token.digest().to_string();
        assert_eq!(kept.parse(), Ok(token.digest()));
        assert_ne!(Secret::token().expect("random numbers").digest(), token.digest());
        assert!(!format!("{token:?}").contains(&token.reveal()[3..]));
    }

    #[test]
    fn a_digest_is_written_in_one_way() {
        // SHA-256 of "abc", FIPS 180-2 appendix B.1.
        let abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of("abc").to_string(), abc);
        for wrong in ["", "sha256:", &abc[7..], &abc[..70], "sha256:é", &abc.replace('b', "x")] {
            assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_password_is_no_token() {
        for text in ["", "rf_", "hunter2", "rf_hunter2", &"a".repeat(67)] {
            assert!(!Digest::is_token(text), "{text}");
        }
    }
}

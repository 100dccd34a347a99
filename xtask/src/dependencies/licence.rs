//! Licence expressions of the Software Package Data Exchange (SPDX).

use std::collections::BTreeSet;

/// The list `allow` of the table `[licenses]`. It reads the file's own layout rather than all of TOML: one licence a
/// line, comments behind.
pub(super) fn allowed(deny_toml: &str) -> Option<BTreeSet<String>> {
    let (_, table) = deny_toml.split_once("\n[licenses]\n")?;
    let (_, list) = table.split_once("\nallow = [\n")?;
    let (list, _) = list.split_once("\n]")?;
    let quoted = |line: &str| Some(line.trim().strip_prefix('"')?.split_once('"')?.0.to_owned());
    Some(list.lines().filter_map(quoted).collect())
}

/// Whether an expression can be met with allowed licences: `OR` needs one side, `AND` both; `AND` binds tighter.
/// What cannot be read is not allowed.
pub(super) fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    // Before SPDX, Cargo wrote OR as a slash.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut tokens = spaced.split_whitespace().peekable();
    let verdict = any(&mut tokens, allowed);
    verdict == Some(true) && tokens.next().is_none()
}

type Tokens<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any(tokens: &mut Tokens<'_>, allowed: &BTreeSet<String>) -> Option<bool> {
    let mut verdict = all(tokens, allowed)?;
    while tokens.next_if_eq(&"OR").is_some() {
        verdict |= all(tokens, allowed)?;
    }
    Some(verdict)
}

fn all(tokens: &mut Tokens<'_>, allowed: &BTreeSet<String>) -> Option<bool> {
    let mut verdict = one(tokens, allowed)?;
    while tokens.next_if_eq(&"AND").is_some() {
        verdict &= one(tokens, allowed)?;
    }
    Some(verdict)
}

fn one(tokens: &mut Tokens<'_>, allowed: &BTreeSet<String>) -> Option<bool> {
    match tokens.next()? {
        "(" => {
            let verdict = any(tokens, allowed)?;
            tokens.next_if_eq(&")")?;
            Some(verdict)
        }
        ")" | "OR" | "AND" | "WITH" => None,
        licence => match tokens.next_if_eq(&"WITH") {
            Some(_) => {
                let exception = tokens.next()?;
                Some(allowed.contains(&format!("{licence} WITH {exception}")))
            }
            None => Some(allowed.contains(licence)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judges_expressions() {
        let allowed: BTreeSet<String> =
            ["MIT", "Apache-2.0", "Unicode-3.0"].map(str::to_owned).into();
        for (expression, expected) in [
            ("MIT", true),
            ("GPL-3.0-only", false),
            ("GPL-3.0-only OR MIT", true),
            ("MIT/Apache-2.0", true),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
            ("(MIT OR Apache-2.0) AND GPL-2.0", false),
            ("MIT OR GPL-2.0 AND LGPL-2.1", true),
            ("GPL-2.0 AND LGPL-2.1 OR GPL-3.0", false),
            ("Apache-2.0 WITH LLVM-exception", false),
            ("Apache-2.0 WITH LLVM-exception OR MIT", true),
            ("(MIT", false),
            ("MIT Apache-2.0", false),
            ("MIT OR", false),
            ("", false),
        ] {
            assert_eq!(is_allowed(expression, &allowed), expected, "{expression}");
        }
    }

    #[test]
    fn reads_the_list_of_allowed_licences() {
        let text = "[bans]\nx = 1\n\n[licenses]\nconfidence = 1\nallow = [\n  \"MIT\", # ours\n  \"ISC\",\n]\n";
        assert_eq!(allowed(text), Some(["MIT", "ISC"].map(str::to_owned).into()));
        assert_eq!(allowed("[bans]\n"), None);
    }
}

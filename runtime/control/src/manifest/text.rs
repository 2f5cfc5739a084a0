//! Rules for single texts: names, subjects, pointers, headers, module references.
//! Each returns what is wrong, without a place.

use millstream_log::blobs::UrlBlobs;

use super::model::{ModuleRef, NAME_LENGTH_MAX};

/// A name of a pipeline, source, stage or sink: it becomes a token of subjects.
pub fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("a name is empty".to_owned());
    }
    if let Some(found) = name.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
        return Err(format!("the name {name:?} contains {found:?}"));
    }
    if name.len() > NAME_LENGTH_MAX {
        return Err(format!(
            "the name {name:?} has {} characters, at most {NAME_LENGTH_MAX} are allowed",
            name.len()
        ));
    }
    Ok(())
}

/// The name nearest to `name` that would be allowed, if there is one.
pub fn allowed_name(name: &str) -> Option<String> {
    let allowed: String = name
        .to_lowercase()
        .chars()
        .map(|c| if matches!(c, 'a'..='z' | '0'..='9') { c } else { '-' })
        .take(NAME_LENGTH_MAX)
        .collect();
    let allowed = allowed.trim_matches('-');
    (!allowed.is_empty()).then(|| allowed.to_owned())
}

/// URL of a store that this build can open.
pub fn check_store(url: &str) -> Result<(), String> {
    UrlBlobs::check(url).map_err(|error| error.to_string())
}

/// A subject with or without wildcards.
pub fn check_subject(subject: &str, wildcards: bool) -> Result<(), String> {
    if subject.is_empty() {
        return Err("the subject is empty".to_owned());
    }
    if let Some(found) = subject.chars().find(|c| c.is_whitespace() || c.is_control()) {
        return Err(format!("the subject {subject:?} contains {found:?}"));
    }
    let tokens: Vec<&str> = subject.split('.').collect();
    for (index, token) in tokens.iter().enumerate() {
        let is_last = index + 1 == tokens.len();
        match *token {
            "" => return Err(format!("the subject {subject:?} has an empty token")),
            ">" if wildcards && !is_last => {
                return Err(format!("the subject {subject:?} has `>` before its last token"));
            }
            "*" | ">" if wildcards => {}
            token if token.contains(['*', '>']) => {
                let what = if wildcards { "a wildcard within a token" } else { "a wildcard" };
                return Err(format!("the subject {subject:?} has {what}"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Subjects that the engine itself publishes to, whatever streams capture them.
pub fn is_reserved_subject(subject: &str) -> bool {
    matches!(
        subject.split('.').next(),
        Some("millstream" | "$JS" | "$KV" | "$O" | "$SYS" | "_INBOX")
    )
}

/// The subject of a sink: no wildcards, `{key}` as a placeholder.
pub fn check_sink_subject(subject: &str) -> Result<(), String> {
    check_subject(subject, false)?;
    let rest = subject.replace("{key}", "");
    if rest.contains(['{', '}']) {
        return Err(format!("the subject {subject:?} has a placeholder other than `{{key}}`"));
    }
    if is_reserved_subject(subject) {
        return Err(format!("the subject {subject:?} belongs to the engine or the server"));
    }
    Ok(())
}

/// Tokens of a subject filter; none if it ends in `>` and so has no fixed number.
pub fn token_count(filter: &str) -> Option<usize> {
    (!filter.ends_with('>')).then(|| filter.split('.').count())
}

/// A JSON pointer (RFC 6901).
pub fn check_pointer(pointer: &str) -> Result<(), String> {
    if !pointer.is_empty() && !pointer.starts_with('/') {
        return Err(format!("the pointer {pointer:?} does not begin with `/`"));
    }
    let mut escapes = pointer.split('~').skip(1);
    if escapes.any(|rest| !rest.starts_with(['0', '1'])) {
        return Err(format!("the pointer {pointer:?} has a `~` that is not `~0` or `~1`"));
    }
    Ok(())
}

/// Name of a NATS header.
pub fn check_header(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("the header's name is empty".to_owned());
    }
    match name.chars().find(|c| !c.is_ascii_graphic() || *c == ':') {
        Some(found) => Err(format!("the header's name {name:?} contains {found:?}")),
        None => Ok(()),
    }
}

/// A SHA-256 as the registry spells it.
pub fn check_digest(digest: &str) -> Result<(), String> {
    let is_digest =
        digest.len() == 64 && digest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if is_digest {
        Ok(())
    } else {
        Err(format!("{digest:?} is not a SHA-256 of 64 lower-case hexadecimal digits"))
    }
}

/// `name@version` or `sha256:DIGEST`.
pub fn parse_module(text: &str) -> Result<ModuleRef, String> {
    if let Some(sha256) = text.strip_prefix("sha256:") {
        check_digest(sha256)?;
        return Ok(ModuleRef::Digest { sha256: sha256.to_owned() });
    }
    match text.split_once('@') {
        Some((name, version)) if !name.is_empty() && !version.is_empty() => {
            Ok(ModuleRef::Named { name: name.to_owned(), version: version.to_owned() })
        }
        _ => Err(format!("{text:?} names no module")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tokens() {
        assert!(check_name("card-fraud2").is_ok());
        assert_eq!(check_name("Card").unwrap_err(), r#"the name "Card" contains 'C'"#);
        assert!(
            check_name("").is_err()
                && check_name("a.b").is_err()
                && check_name(&"a".repeat(41)).is_err()
        );
        assert_eq!(allowed_name("Card Fraud_2"), Some("card-fraud-2".to_owned()));
        assert_eq!(allowed_name("___"), None);
    }

    #[test]
    fn subjects_follow_the_server() {
        for good in ["a", "a.b.c", "a.*.c", "a.>", ">", "*"] {
            assert!(check_subject(good, true).is_ok(), "{good}");
        }
        for bad in ["", ".", "a.", ".a", "a..b", "a b", "a.>.b", "a*", "a.b>"] {
            assert!(check_subject(bad, true).is_err(), "{bad}");
        }
        assert!(check_sink_subject("fraud.{key}.scores").is_ok());
        for bad in ["a.*", "a.>", "a.{id}", "a.{key", "millstream.x", "$KV.x"] {
            assert!(check_sink_subject(bad).is_err(), "{bad}");
        }
        assert_eq!((token_count("a.*.c"), token_count("a.>")), (Some(3), None));
    }

    #[test]
    fn pointers_follow_rfc_6901() {
        assert!(
            ["", "/", "/a/b", "/a~1b/m~0n"].into_iter().all(|text| check_pointer(text).is_ok())
        );
        assert!(["a", "$.a", "/a~", "/a~2"].into_iter().all(|text| check_pointer(text).is_err()));
    }

    #[test]
    fn short_module_references() {
        let named = ModuleRef::Named { name: "a".into(), version: "1.0.0".into() };
        assert_eq!(parse_module("a@1.0.0"), Ok(named));
        let digest = "0".repeat(64);
        assert_eq!(
            parse_module(&format!("sha256:{digest}")),
            Ok(ModuleRef::Digest { sha256: digest })
        );
        assert!(
            ["a", "@1", "a@", "", "sha256:00"].into_iter().all(|text| parse_module(text).is_err())
        );
    }
}

//! Keys: `[-/_=.a-zA-Z0-9]+`, as the `nats` CLI takes them.

use super::KvError;

/// Refuses what is not a key.
pub(crate) fn check_key(key: &str) -> Result<(), KvError> {
    let allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'/' | b'_' | b'=' | b'.');
    // Keys are tails of subjects: no token may be empty.
    if key.bytes().all(allowed) && key.split('.').all(|token| !token.is_empty()) {
        Ok(())
    } else {
        Err(KvError::Key { key: key.to_owned() })
    }
}

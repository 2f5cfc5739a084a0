//! Names of documents.

use super::BlobError;

/// Refuses what would be another place in a file system or an object store.
pub(super) fn check_document_name(name: &str) -> Result<(), BlobError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let part = |part: &str| part.bytes().all(allowed) && part.bytes().any(|byte| byte != b'.');
    if name.split('/').all(part) { Ok(()) } else { Err(BlobError::Name { name: name.to_owned() }) }
}

//! Documents in a store, sealed with their hash: a flipped bit must not go unnoticed.

use millstream_log::blobs::Digest;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Sealed {
    sha256: String,
    #[serde(alias = "savepoint")]
    document: String,
}

/// A document as it is stored.
pub fn seal(document: &impl Serialize) -> Result<Vec<u8>, String> {
    let document = serde_json::to_string(document).map_err(text)?;
    let sha256 = Digest::of(document.as_bytes()).to_string();
    serde_json::to_vec(&Sealed { sha256, document }).map_err(text)
}

/// The text of a document that was stored; none if it is not sealed.
pub fn unseal(bytes: &[u8]) -> Result<Option<String>, String> {
    let Ok(sealed) = serde_json::from_slice::<Sealed>(bytes) else { return Ok(None) };
    match Digest::of(sealed.document.as_bytes()).to_string() {
        found if found == sealed.sha256 => Ok(Some(sealed.document)),
        found => Err(format!("it has hash {found}, expected {}", sealed.sha256)),
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

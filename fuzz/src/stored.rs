//! Documents in stores that others may reach.

use millstream_engine::worker::Savepoint;
use millstream_state::CheckpointManifest;

/// A document that is accepted says the same when it is written anew.
pub fn stored(data: &[u8]) {
    if let Ok(savepoint) = Savepoint::decode(data) {
        let written = savepoint.encode().expect("it was read");
        let again = Savepoint::decode(&written).expect("our own savepoint");
        assert_eq!(again.encode().ok(), Some(written));
        let _ = savepoint.info();
    }
    if let Ok(manifest) = CheckpointManifest::decode(data) {
        let again = CheckpointManifest::decode(&manifest.encode()).expect("our own manifest");
        assert_eq!(again.encode(), manifest.encode());
    }
}

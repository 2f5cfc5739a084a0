//! Records of logs and sinks.

use bytes::Bytes;
use millstream_core::commit::{CommitRecord, Compression, decode_header_of, hash_of};
use millstream_core::egress::CursorRecord;

/// A record that is accepted says the same when it is written anew, compressed or not.
pub fn commit_record(data: &[u8]) {
    let message = Bytes::copy_from_slice(data);
    let Ok(record) = CommitRecord::decode(&message) else { return };
    assert_eq!(decode_header_of(data).as_ref(), Ok(&record.header));
    // What replays it goes through all of it.
    let changes = record.slice.delta.iter().count();
    let outputs = record.slice.outputs.iter().count();
    assert_eq!(outputs, record.slice.outputs.count() as usize);
    for compression in [Compression::Off, Compression::Lz4] {
        let mut out = Vec::new();
        let hash = record.encode(compression, &mut out);
        assert_eq!(hash, hash_of(&out));
        let again = CommitRecord::decode(&out.into()).expect("our own record");
        assert_eq!(again, record, "{changes} changes");
    }
}

/// A cursor that is accepted says the same when it is written anew.
pub fn cursor_record(data: &[u8]) {
    if let Ok(record) = CursorRecord::decode(data) {
        assert_eq!(CursorRecord::decode(&record.encode()), Ok(record));
    }
}

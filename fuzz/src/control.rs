//! What users send.

use std::collections::BTreeSet;

use millstream_control::api::{
    Operation, access, audit, checkpoints, dead_letters, logs, modules, node, pipelines,
    savepoints, state,
};
use millstream_control::audit::export;
use millstream_control::manifest::Document;

/// What is refused is told; what is accepted is accepted again.
pub fn manifest(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    match Document::parse("fuzz.yaml", text) {
        Ok(document) => {
            let again = Document::parse("fuzz.yaml", &document.text);
            assert_eq!(again.ok().map(|again| again.manifest), Some(document.manifest));
        }
        Err(problems) => {
            assert!(!problems.0.iter().any(|problem| problem.message.is_empty()), "{text}");
        }
    }
}

/// Reads a request as one of each kind.
pub fn request(data: &[u8]) {
    fn read<O: Operation>(data: &[u8]) {
        let Ok(request) = serde_json::from_slice::<O>(data) else { return };
        let _ = (request.kind(), request.target(), request.claims());
        let written = serde_json::to_vec(&request).expect("it was read");
        let again: O = serde_json::from_slice(&written).expect("our own request");
        assert_eq!(serde_json::to_vec(&again).ok(), Some(written), "{}", O::NAME);
    }
    macro_rules! each {
        ($($kind:ty),* $(,)?) => { $(read::<$kind>(data);)* };
    }
    each!(
        access::Can,
        access::GrantRequest,
        access::Revoke,
        audit::List,
        checkpoints::Show,
        dead_letters::List,
        dead_letters::Redrive,
        dead_letters::Show,
        logs::Last,
        modules::Push,
        modules::Remove,
        node::Drain,
        pipelines::Apply,
        pipelines::Delete,
        pipelines::Validate,
        savepoints::Create,
        savepoints::Rescale,
        savepoints::Restore,
        state::Get,
        state::List,
    );
}

/// Nobody but a node can sign a head, so no file of anybody else's is without findings, whichever keys it names.
pub fn audit_export(data: &[u8]) {
    let verified = export::verify(data, &BTreeSet::new()).expect("bytes can be read");
    assert!(!verified.findings.is_empty() || data == GENUINE, "a forged export is accepted");
}

/// The one export of the corpus that was signed.
const GENUINE: &[u8] = include_bytes!("../corpus/audit_export/genuine.ndjson");

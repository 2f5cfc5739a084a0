//! Plain bindings of the contract, without the SDK: what any language's generator gives.

wit_bindgen::generate!({
    path: "../../../wit/udf-0.1.0",
    world: "udf",
    pub_export_macro: true,
    default_bindings_module: "guest_kit",
});

pub use exports::millstream::udf::guest::Guest;
pub use millstream::udf::types::*;
pub use millstream::udf::{config, log, metrics, state};

/// A description with a name and an input without fields.
pub fn described(name: &str) -> Description {
    Description {
        name: name.into(),
        version: "0.1.0".into(),
        inputs: vec![Input { name: "records".into(), fields: vec![], broadcast: false }],
        outputs: vec![],
        states: vec![],
        timers: vec![],
        capabilities: vec![],
    }
}

/// A keyed state without TTL, of version 1.
pub fn keyed(name: &str, kind: StateKind) -> State {
    State {
        name: name.into(),
        kind,
        ttl_ms: None,
        ttl_domain: TimeDomain::ProcessingTime,
        schema_version: 1,
        reads: vec![],
        broadcast: false,
    }
}

/// No effects, for as many outputs and value states.
pub fn nothing(outputs: usize, values: usize) -> Effects {
    Effects {
        emitted: (0..outputs).map(|_| Emitted { causes: vec![], columns: vec![] }).collect(),
        written: (0..values)
            .map(|_| Written { keys: vec![], present: vec![], items: blob(&[]) })
            .collect(),
        timer_changes: TimerChanges {
            causes: vec![],
            timers: vec![],
            times: vec![],
            present: vec![],
        },
    }
}

/// Packs items.
pub fn blob(items: &[&[u8]]) -> Blob {
    let mut packed = Blob { ends: vec![], data: vec![] };
    for item in items {
        packed.data.extend_from_slice(item);
        packed.ends.push(packed.data.len() as u32);
    }
    packed
}

/// Item `i`.
pub fn item(blob: &Blob, i: usize) -> &[u8] {
    let start = if i == 0 { 0 } else { blob.ends[i - 1] as usize };
    &blob.data[start..blob.ends[i] as usize]
}

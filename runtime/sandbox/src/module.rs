//! A compiled UDF.

use crate::guest::Exports;
use crate::host::Host;
use crate::limits::Limits;
use millstream_core::description::Description;
use std::sync::Arc;
use wasmtime::component::InstancePre;

/// A UDF that has been compiled, linked and checked. Cheap to clone.
#[derive(Clone)]
pub struct Module {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub digest: [u8; 32],
    pub description: Description,
    pub pre: InstancePre<Host>,
    pub exports: Exports,
    pub limits: Limits,
}

impl Module {
    /// SHA-256 of the wasm file.
    pub fn digest(&self) -> [u8; 32] {
        self.inner.digest
    }

    /// What the UDF says of itself, checked.
    pub fn description(&self) -> &Description {
        &self.inner.description
    }
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Description { name, version, .. } = self.description();
        f.debug_struct("Module")
            .field("name", name)
            .field("version", version)
            .field("digest", &hex::encode(self.inner.digest))
            .finish()
    }
}

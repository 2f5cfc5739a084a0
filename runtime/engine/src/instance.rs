//! Starts the UDF of a stage.

use std::sync::Arc;

use millstream_core::udf::{Fault, Udf};
use millstream_sandbox::{GuestObserver, Instance};

use crate::error::EngineError;
use crate::spec::StageSpec;

/// A running instance of the stage's module; what it says goes to `observer`.
pub fn start_udf(
    stage: &StageSpec,
    observer: Box<dyn GuestObserver>,
) -> Result<Box<dyn Udf + Send>, EngineError> {
    let mut instance = Instance::new(&stage.module, &stage.config, observer);
    instance.start().map_err(|fault| {
        let (Fault::Trapped { message } | Fault::Host { message } | Fault::Failed { message, .. }) =
            fault;
        EngineError::Start { stage: stage.name.clone(), cause: message }
    })?;
    Ok(Box::new(instance))
}

/// SHA-256 of the stage's module, hexadecimal.
pub fn digest_hex(stage: &StageSpec) -> String {
    stage.module.digest().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The stage's description, shared.
pub fn description(stage: &StageSpec) -> Arc<millstream_core::description::Description> {
    Arc::new(stage.module.description().clone())
}

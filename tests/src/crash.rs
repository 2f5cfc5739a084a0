//! A process that dies at a crash point: as its environment says, or as it is told later.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use millstream_engine::crash::{self, CrashPoint};

/// `POINT@COUNT`: a process with this variable dies when it reaches the point for the `COUNT`th time.
pub const VARIABLE: &str = "MILLSTREAM_CRASH";

/// Where to die, and how many times the point is still to be reached.
static DEATH: Mutex<Option<(CrashPoint, usize)>> = Mutex::new(None);

/// Arranges the process's death if its environment asks for it.
pub fn crash_as_told() -> Result<()> {
    match std::env::var(VARIABLE) {
        Ok(told) => crash_at(&told),
        Err(_) => Ok(()),
    }
}

/// Arranges the process's death: `POINT@COUNT`.
pub fn crash_at(told: &str) -> Result<()> {
    let (point, count) = told.split_once('@').context("a crash is POINT@COUNT")?;
    *DEATH.lock().unwrap_or_else(PoisonError::into_inner) = Some((point.parse()?, count.parse()?));
    crash::on_reached(|now| {
        let mut death = DEATH.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((point, left)) = death.as_mut()
            && *point == now
        {
            *left = left.saturating_sub(1);
            if *left == 0 {
                std::process::abort();
            }
        }
    });
    Ok(())
}

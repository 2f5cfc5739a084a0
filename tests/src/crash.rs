//! A process that dies at a crash point, or stops there: as its environment says, or as it is told later.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use millstream_engine::crash::{self, CrashPoint};
use rustix::process::Signal;

/// `POINT@COUNT`: a process with this variable dies when it reaches the point for the `COUNT`th time.
pub const VARIABLE: &str = "MILLSTREAM_CRASH";
/// `POINT@COUNT`: it stops there, until it is sent SIGCONT.
pub const PAUSE_VARIABLE: &str = "MILLSTREAM_PAUSE";

/// What happens at a crash point, and how many times it is still to be reached.
struct Fate {
    point: CrashPoint,
    left: usize,
    pauses: bool,
}

static FATE: Mutex<Option<Fate>> = Mutex::new(None);

/// Arranges the process's death or pause if its environment asks for it.
pub fn crash_as_told() -> Result<()> {
    if let Ok(told) = std::env::var(PAUSE_VARIABLE) {
        return arrange(&told, true);
    }
    match std::env::var(VARIABLE) {
        Ok(told) => crash_at(&told),
        Err(_) => Ok(()),
    }
}

/// Arranges the process's death: `POINT@COUNT`.
pub fn crash_at(told: &str) -> Result<()> {
    arrange(told, false)
}

fn arrange(told: &str, pauses: bool) -> Result<()> {
    let (point, count) = told.split_once('@').context("a crash is POINT@COUNT")?;
    let fate = Fate { point: point.parse()?, left: count.parse()?, pauses };
    *FATE.lock().unwrap_or_else(PoisonError::into_inner) = Some(fate);
    crash::on_reached(|now| {
        let mut fate = FATE.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Fate { left, pauses, .. }) = fate.as_mut().filter(|fate| fate.point == now) else {
            return;
        };
        *left = left.saturating_sub(1);
        match (*left, *pauses) {
            (0, false) => std::process::abort(),
            (0, true) => {
                *fate = None;
                // All threads stop before it returns, or right behind it.
                let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::STOP);
            }
            _ => {}
        }
    });
    Ok(())
}

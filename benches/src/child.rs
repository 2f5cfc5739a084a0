//! Runs a process to its end and says what it took.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// What a process took.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// From its start to its end.
    pub wall: Duration,
    /// Processor time of all its threads, in user and in kernel mode.
    pub cpu: Duration,
    /// The most memory it had resident, in bytes.
    pub resident_bytes: u64,
}

/// Runs a command to its end. Fails if it does.
pub fn run(command: &mut Command) -> Result<Usage> {
    let name = command.get_program().display().to_string();
    let started = Instant::now();
    let child = command.spawn().with_context(|| format!("failed to start {name}"))?;
    let pid = libc::pid_t::try_from(child.id()).context("a process id is an int")?;
    let (status, usage) = wait(pid).with_context(|| format!("failed to wait for {name}"))?;
    let wall = started.elapsed();
    if !status.success() {
        bail!("{name} ended with {status}");
    }
    Ok(Usage {
        wall,
        cpu: duration(usage.ru_utime) + duration(usage.ru_stime),
        // In kilobytes on Linux.
        resident_bytes: u64::try_from(usage.ru_maxrss).unwrap_or_default() * 1024,
    })
}

/// Waits for the end of one child, which the standard library does without telling what it took.
fn wait(pid: libc::pid_t) -> io::Result<(ExitStatus, libc::rusage)> {
    let mut status = 0;
    // SAFETY: `rusage` is plain numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers are to values that live longer than the call.
        if unsafe { libc::wait4(pid, &mut status, 0, &mut usage) } == pid {
            return Ok((ExitStatus::from_raw(status), usage));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn duration(time: libc::timeval) -> Duration {
    Duration::from_secs(time.tv_sec.unsigned_abs())
        + Duration::from_micros(time.tv_usec.unsigned_abs())
}

//! Other processes: run to their end or beside this one, and what they take.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

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

/// A process that runs beside this one until it is told to end. Killed when dropped.
pub struct Background {
    name: String,
    process: Child,
    answers: BufReader<ChildStdout>,
    started: Instant,
}

impl Background {
    /// Starts a command. It must end when its standard input does.
    pub fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().display().to_string();
        let started = Instant::now();
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("failed to start {name}"))?;
        let answers = BufReader::new(process.stdout.take().context("its output is piped")?);
        Ok(Background { name, process, answers, started })
    }

    /// When it was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Writes a line to its standard input, and waits for a line of its standard output.
    pub fn ask(&mut self, line: &str) -> Result<String> {
        let to = self.process.stdin.as_mut().context("it was not told to end")?;
        writeln!(to, "{line}").and_then(|()| to.flush())?;
        let mut answer = String::new();
        let read = self.answers.read_line(&mut answer)?;
        ensure!(read > 0, "{} ended instead of an answer", self.name);
        Ok(answer.trim_end().to_owned())
    }

    /// Fails if it has ended with a failure.
    pub fn check(&mut self) -> Result<()> {
        match self.process.try_wait()? {
            Some(status) if !status.success() => bail!("{} ended with {status}", self.name),
            _ => Ok(()),
        }
    }

    /// Tells it to end, and waits for that. Fails if it fails.
    pub fn finish(mut self) -> Result<()> {
        drop(self.process.stdin.take());
        let status = self.process.wait()?;
        if !status.success() {
            bail!("{} ended with {status}", self.name);
        }
        Ok(())
    }

    /// SIGKILL. Returns when it is gone.
    pub fn kill9(mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Processor time that a running process has taken so far: all its threads, in user and in kernel mode.
pub fn cpu_of(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
    // The second field, the name, may hold anything; `utime` and `stime` are the fields 14 and 15.
    let behind_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: Vec<u64> =
        behind_name.split_whitespace().skip(11).take(2).filter_map(|n| n.parse().ok()).collect();
    let [user, system] = ticks[..] else { bail!("{path} is not as expected") };
    // SAFETY: it takes and returns numbers.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    let per_second = u64::try_from(per_second).unwrap_or(100).max(1);
    Ok(Duration::from_micros((user + system) * 1_000_000 / per_second))
}

//! The faults, and the order in which a seed has them happen.

use std::collections::VecDeque;
use std::fmt;

use millstream_engine::crash::{CrashPoint, Step};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use super::damage::{How, What};
use super::proxy::{Flow, Mode};
use super::workload::{PARTITIONS_MAX, SINKS};

/// A way to be parted from the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// Nothing goes through, in both directions; it comes later.
    Stalled,
    /// What the node sends vanishes.
    Mute,
    /// What the servers send vanishes.
    Deaf,
    /// Connections end, and none are taken.
    Cut,
}

impl Parting {
    /// How the node's connections are treated.
    pub fn mode(self) -> Mode {
        let mode = Mode::default();
        match self {
            Parting::Stalled => Mode { up: Flow::Stall, down: Flow::Stall, ..mode },
            Parting::Mute => Mode { up: Flow::Swallow, ..mode },
            Parting::Deaf => Mode { down: Flow::Swallow, ..mode },
            Parting::Cut => Mode { cut: true, ..mode },
        }
    }
}

/// A stream whose leader is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Led {
    /// The pipeline's log.
    Log,
    /// What it reads.
    Source,
    /// The sink with this place among those of the workload.
    Sink(usize),
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL of a node, which is started again after some time, milliseconds.
    Kill { back_after_ms: u64 },
    /// A node dies at a crash point, which it has reached so many times.
    Crash { point: CrashPoint, count: usize },
    /// SIGSTOP of a node for longer than its lease.
    Pause,
    /// A node is parted from the servers for some time, milliseconds.
    Part { parting: Parting, for_ms: u64 },
    /// SIGKILL of a server, which is started again; of three, of the one that leads the stream.
    KillServer { leads: Led },
    /// No file of a node can grow.
    FullDisk,
    /// Checkpoints can neither be stored nor read.
    StoreError,
    /// A bit of a file is flipped, or the file cut, while its node is down.
    Damage { what: What, how: How },
    /// A node's clock jumps, milliseconds.
    Clock { by_ms: i64 },
    /// A stage's configuration is changed.
    Swap,
    /// A node gives its partitions away, and takes some again.
    Drain,
    /// The two stages get so many partitions.
    Rescale { partitions: (u16, u16) },
}

/// Some numbers of partitions of the two stages.
pub fn some_partitions(random: &mut StdRng) -> (u16, u16) {
    let mut some = || random.random_range(1..=PARTITIONS_MAX);
    (some(), some())
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Kill { .. } => f.write_str("kill"),
            Fault::Crash { point, .. } => write!(f, "crash {point}"),
            Fault::Pause => f.write_str("pause"),
            Fault::Part { parting, .. } => {
                write!(f, "part {}", format!("{parting:?}").to_lowercase())
            }
            Fault::KillServer { leads: Led::Log } => f.write_str("kill server of the log"),
            Fault::KillServer { leads: Led::Source } => f.write_str("kill server of the source"),
            Fault::KillServer { leads: Led::Sink(sink) } => {
                write!(f, "kill server of {}", SINKS[*sink].stream)
            }
            Fault::FullDisk => f.write_str("full disk"),
            Fault::StoreError => f.write_str("store error"),
            Fault::Damage { what, how } => {
                write!(f, "{} {}", format!("{how:?}").to_lowercase(), what)
            }
            Fault::Clock { by_ms } if *by_ms < 0 => f.write_str("clock back"),
            Fault::Clock { .. } => f.write_str("clock ahead"),
            Fault::Swap => f.write_str("swap"),
            Fault::Drain => f.write_str("drain"),
            Fault::Rescale { .. } => f.write_str("rescale"),
        }
    }
}

/// Crash points between two other faults.
const CRASHES_PER_ROUND: usize = 7;
/// Longest parting, milliseconds: longer than a lease.
const PARTED_MS_MAX: u64 = 22_000;
/// A jump of a clock, milliseconds.
const JUMP_MS: i64 = 600_000;

/// Faults without end: in each round every kind comes once, and some of the crash points, in a random order; all crash points come before
/// one comes again.
pub struct Schedule {
    random: StdRng,
    round: VecDeque<Fault>,
    points: Vec<CrashPoint>,
}

impl Schedule {
    /// The faults of a seed.
    pub fn new(seed: u64) -> Self {
        Self { random: StdRng::seed_from_u64(seed), round: VecDeque::new(), points: Vec::new() }
    }

    fn point(&mut self) -> CrashPoint {
        if self.points.is_empty() {
            self.points = CrashPoint::all().collect();
            self.points.shuffle(&mut self.random);
        }
        self.points.pop().expect("there are some")
    }

    fn fill(&mut self) {
        let mut round: Vec<Fault> = Vec::new();
        for _ in 0..CRASHES_PER_ROUND {
            let point = self.point();
            let count = self.random.random_range(1..=times(point));
            round.push(Fault::Crash { point, count });
        }
        let random = &mut self.random;
        for _ in 0..3 {
            round.push(Fault::Kill { back_after_ms: random.random_range(0..3_000) });
        }
        for parting in [Parting::Stalled, Parting::Mute, Parting::Deaf, Parting::Cut] {
            let for_ms = random.random_range(1_000..PARTED_MS_MAX);
            round.push(Fault::Part { parting, for_ms });
        }
        for leads in [Led::Log, Led::Source, Led::Sink(0), Led::Sink(1)] {
            round.push(Fault::KillServer { leads });
        }
        for what in What::ALL {
            let how = if random.random_bool(0.5) { How::Flip } else { How::Cut };
            round.push(Fault::Damage { what, how });
        }
        round.extend([Fault::Pause, Fault::FullDisk, Fault::StoreError, Fault::Swap, Fault::Drain]);
        round.extend([JUMP_MS, -JUMP_MS].map(|by_ms| Fault::Clock { by_ms }));
        round.push(Fault::Rescale { partitions: some_partitions(random) });
        round.shuffle(random);
        self.round = round.into();
    }
}

impl Iterator for Schedule {
    type Item = Fault;

    fn next(&mut self) -> Option<Fault> {
        if self.round.is_empty() {
            self.fill();
        }
        self.round.pop_front()
    }
}

/// How often a point is reached, at least, soon after a node starts or a checkpoint begins.
fn times(point: CrashPoint) -> usize {
    let (CrashPoint::Before(step) | CrashPoint::After(step)) = point;
    match step {
        Step::AppendCommit | Step::PublishOutput | Step::PersistState => 50,
        Step::UploadFile | Step::RestoreFile => 3,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_means_the_same_faults_and_all_of_them_come() {
        let some = |seed| Schedule::new(seed).take(400).map(|f| f.to_string()).collect::<Vec<_>>();
        assert_eq!(some(5), some(5));
        assert_ne!(some(5), some(6));
        for point in CrashPoint::all() {
            assert!(some(5).contains(&format!("crash {point}")), "{point}");
        }
    }
}

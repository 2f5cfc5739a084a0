//! What happens while a record is processed.

use guest_kit::*;
use millstream_hostile::Command;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

/// States, counting all kinds.
const LIST: u32 = 1;
const MAP: u32 = 2;
/// What is left in memory for others to find, and how often.
const SECRET: u64 = 0x5ec2_e75e_c2e7_5ec2;
const SECRETS: usize = (2 << 20) / 8;

/// Never returns.
pub fn endless() -> ! {
    loop {
        black_box(());
    }
}

/// What happens while a record is processed.
#[expect(
    clippy::disallowed_methods,
    reason = "clocks, sleep and threads are what must do nothing here"
)]
pub fn act(command: Command, index: u32, key: u32) -> Result<(), Failure> {
    match command {
        Command::Fail => return Err(Failure { index, message: "as told".into() }),
        Command::FailLong => return Err(Failure { index, message: "ä".repeat(100_000) }),
        Command::FailElsewhere => {
            return Err(Failure { index: index + 1_000_000, message: String::new() });
        }
        Command::Panic => panic!("the guest is told to panic"),
        Command::PanicWithLog => {
            // What the SDK's panic hook does.
            log::write(log::Level::Error, "panicked at src/udf.rs:1:2: told to");
            std::process::abort();
        }
        Command::Unreachable => core::arch::wasm32::unreachable(),
        Command::Exit => std::process::exit(3),
        Command::Divide => {
            black_box(1 / black_box(0i64));
        }
        Command::Loop => endless(),
        Command::Spin => (0..100_000u64).for_each(|n| {
            black_box(n);
        }),
        Command::Recurse => {
            black_box(recurse(1));
        }
        Command::RecursePlainly => {
            black_box(recurse_plainly(1));
        }
        Command::MemoryBomb => {
            let mut all = vec![];
            loop {
                // Not written to: that would take the fuel first.
                all.push(black_box(Vec::<u8>::with_capacity(1 << 20)));
            }
        }
        Command::OutOfBounds => {
            let wild = black_box(0xffff_fff0u32) as *const u64;
            // The sandbox must trap this.
            black_box(unsafe { wild.read_volatile() });
        }
        Command::LogFlood => {
            (0..100_000).for_each(|n| log::write(log::Level::Info, &format!("line {n}")))
        }
        Command::LogBig => (0..100).for_each(|_| log::write(log::Level::Info, &"x".repeat(4096))),
        Command::LogTooBig => log::write(log::Level::Info, &"x".repeat(1 << 20)),
        Command::Print => {
            println!("to stdout");
            eprintln!("to stderr");
        }
        Command::File => {
            let error = std::fs::read("/etc/passwd").expect_err("there are no files");
            log::write(log::Level::Info, &format!("file: {:?}", error.kind()));
        }
        Command::Environment => {
            let count = std::env::vars().count() + std::env::args().count();
            log::write(log::Level::Info, &format!("environment: {count}"));
        }
        Command::Clock => {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
            log::write(log::Level::Info, &format!("clock: {}", now.as_millis()));
        }
        Command::Sleep => std::thread::sleep(std::time::Duration::from_secs(3600)),
        Command::Hash => {
            use std::hash::{BuildHasher, RandomState};
            log::write(log::Level::Info, &format!("hash: {}", RandomState::new().hash_one(1)));
        }
        Command::Config => log::write(log::Level::Info, &config::get()),
        Command::Metrics => metrics::counter_add("seen", 1),
        Command::StateUnknown => state::list_append(99, key, b"x"),
        Command::StateOfOtherKind => state::list_append(MAP, key, b"x"),
        Command::StateOfNoKey => state::list_append(LIST, 1_000_000, b"x"),
        Command::StateEntryTooLong => state::map_put(MAP, key, &[1; 1025], b"x"),
        Command::StateItemTooLong => state::list_append(LIST, key, &vec![1; (1 << 20) + 1]),
        Command::StateLimitZero => drop(state::list_read(LIST, key, 0, 0)),
        Command::StateReadList => drop(state::list_read(LIST, key, 0, 1000)),
        Command::StateReadMap => drop(state::map_scan(MAP, key, None, 1000)),
        Command::StateSetBeyond => state::list_set(LIST, key, 1_000_000, b"x"),
        Command::State => {
            state::map_put(MAP, key, b"b", b"2");
            state::map_put(MAP, key, b"a", b"1");
            state::map_put(MAP, key, b"c", b"3");
            state::map_delete(MAP, key, b"c");
            assert_eq!(state::map_get(MAP, key, b"a").as_deref(), Some(&b"1"[..]));
            assert_eq!(state::map_get(MAP, key, b"c"), None);
            let scanned = state::map_scan(MAP, key, Some(&b"a"[..]), 10);
            assert_eq!(scanned, [(b"b".to_vec(), b"2".to_vec())]);
            state::list_append(LIST, key, b"x");
            state::list_append(LIST, key, b"y");
            state::list_set(LIST, key, 0, b"z");
            assert_eq!(state::list_length(LIST, key), 2);
            assert_eq!(state::list_read(LIST, key, 0, 5), [b"z".to_vec(), b"y".to_vec()]);
        }
        Command::StateClear => {
            state::map_clear(MAP, key);
            state::list_clear(LIST, key);
        }
        Command::StateFlood => loop {
            black_box(state::list_length(LIST, key));
        },
        Command::FailForged => {
            let message = "\x1b[2J\r\nNats-Msg-Id: forged\r\n\r\n{\"forged\":true}".into();
            return Err(Failure { index, message });
        }
        Command::PanicLong => panic!("{}", "x".repeat(1 << 20)),
        Command::MemorySize => {
            while core::arch::wasm32::memory_grow::<0>(1) != usize::MAX {}
            let pages = core::arch::wasm32::memory_size::<0>();
            log::write(log::Level::Info, &format!("pages: {pages}"));
        }
        Command::MemoryFill => std::mem::forget(black_box(vec![SECRET; SECRETS])),
        Command::MemorySearch => {
            const PAGES: usize = (SECRETS * 8) >> 16;
            let first = core::arch::wasm32::memory_grow::<0>(PAGES) << 16;
            // New pages, which nobody else in this instance knows.
            let fresh = unsafe { std::slice::from_raw_parts(first as *const u64, SECRETS) };
            let left = black_box(fresh).iter().filter(|&&word| word != 0).count();
            log::write(log::Level::Info, &format!("left by others: {left}"));
        }
        Command::Remember => {
            static CALLS: AtomicU64 = AtomicU64::new(0);
            let calls = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
            log::write(log::Level::Info, &format!("calls in this memory: {calls}"));
        }
        Command::OutputWithoutEnd => {
            let mut output = vec![];
            loop {
                output.extend_from_slice(black_box(&[b'x'; 4096]));
            }
        }
        Command::LogForged => {
            log::write(log::Level::Info, "\x1b[2J\r\n2026-01-01T00:00:00Z ERROR other/stage forged")
        }
        Command::PrintFlood => loop {
            println!("line");
        },
        Command::PrintEndlessLine => (0..256).for_each(|_| print!("{}", "y".repeat(4096))),
        Command::ClockFlood => loop {
            black_box(std::time::Instant::now());
        },
        Command::Stopwatch => {
            let start = std::time::Instant::now();
            (0..10_000u64).for_each(|n| {
                black_box(n);
            });
            log::write(log::Level::Info, &format!("elapsed: {}", start.elapsed().as_nanos()));
        }
        Command::Thread => {
            let said = match std::thread::Builder::new().spawn(|| ()) {
                Ok(_) => "runs".into(),
                Err(error) => error.kind().to_string(),
            };
            log::write(log::Level::Info, &format!("thread: {said}"));
        }
        Command::NanBits => {
            let payload = f64::from_bits(black_box(0x7ff4_dead_beef_0001));
            let negative = f64::from_bits(black_box(0xfff8_0000_0000_1234));
            let nans = [
                black_box(0.0) / black_box(0.0),
                black_box(f64::INFINITY) - black_box(f64::INFINITY),
                black_box(-1.0f64).sqrt(),
                payload + 1.0,
                negative * payload,
            ];
            let bits = nans.map(|nan: f64| format!(" {:016x}", nan.to_bits())).concat();
            log::write(log::Level::Info, &format!("nan:{bits}"));
        }
        Command::StateMax => state::list_append(u32::MAX, key, b"x"),
        Command::StateOfKeyMax => state::list_append(LIST, u32::MAX, b"x"),
        Command::StateOfNextKey => drop(state::map_scan(MAP, key + 1, None, 1000)),
        Command::StateEntryHuge => state::map_put(MAP, key, &vec![1; 4 << 20], b"x"),
        Command::StateAfterTooLong => drop(state::map_scan(MAP, key, Some(&[1; 1025]), 1)),
        Command::StateLimitMax => drop(state::list_read(LIST, key, 0, u32::MAX)),
        Command::StateStartMax => {
            let items = state::list_read(LIST, key, u64::MAX, 1).len();
            log::write(log::Level::Info, &format!("items: {items}"));
        }
        Command::StatePutFlood => {
            for n in 0u64.. {
                state::map_put(MAP, key, &n.to_be_bytes(), &n.to_le_bytes());
            }
        }
        Command::StatePutBig => {
            let value = vec![7; 1 << 20];
            for n in 0u64.. {
                state::map_put(MAP, key, &n.to_be_bytes(), &value);
            }
        }
        Command::StateAppendFlood => loop {
            state::list_append(LIST, key, &[7; 100]);
        },
        Command::StateClearFlood => loop {
            (0..1000u32).for_each(|n| state::map_put(MAP, key, &n.to_be_bytes(), b"x"));
            state::map_clear(MAP, key);
        },
        Command::StateScanFlood => {
            (0..1000u32).for_each(|n| state::map_put(MAP, key, &n.to_be_bytes(), b"x"));
            loop {
                black_box(state::map_scan(MAP, key, None, 1000));
            }
        }
        Command::StateMuch => {
            let value = vec![7; 512 << 10];
            (0..8u64).for_each(|n| state::map_put(MAP, key, &n.to_be_bytes(), &value));
        }
        // These spoil what the call returns, or wait for their timer.
        Command::BadCause
        | Command::DescendingCauses
        | Command::BadEnds
        | Command::ShortData
        | Command::NonUtf8
        | Command::SplitUtf8
        | Command::WrongKind
        | Command::ShortColumn
        | Command::Absent
        | Command::LongPresence
        | Command::NoColumns
        | Command::NoOutputs
        | Command::ManyOutputs
        | Command::Overlap
        | Command::BadJson
        | Command::DeepJson
        | Command::LoneSurrogate
        | Command::Json
        | Command::HugeOutput
        | Command::ManyItems
        | Command::WriteCount
        | Command::BadKey
        | Command::KeyTwice
        | Command::KeysWithoutEnd
        | Command::ValueTooLong
        | Command::WriteUndeclared
        | Command::Delete
        | Command::Timer
        | Command::BadTimer
        | Command::BadTimerCause
        | Command::ShortTimers
        | Command::TimerFlood
        | Command::TimerExtremes
        | Command::TimerPanic
        | Command::TimerLoop
        | Command::TimerFail => {}
    }
    Ok(())
}

/// Fills the stack in linear memory.
#[inline(never)]
#[expect(unconditional_recursion, reason = "that is its purpose")]
fn recurse(n: u64) -> u64 {
    let local = black_box([n; 16]);
    black_box(recurse(black_box(n + 1)) + local[(n % 16) as usize])
}

/// Fills the machine's stack.
#[inline(never)]
fn recurse_plainly(n: u64) -> u64 {
    if n == 0 {
        0
    } else {
        (recurse_plainly(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1) ^ n).rotate_left(7)
    }
}

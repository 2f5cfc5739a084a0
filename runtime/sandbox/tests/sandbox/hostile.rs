//! Every guest of the list in `tests/hostile` ends as the list says: with that fault and message, within its fuel and
//! memory, the same every time; and a good guest of the same engine answers as if nothing were.
//!
//! The tests are made of the list. Those that are costly to compile are in `runtime/cli/tests/it`.

use std::cell::Cell;

use millstream_core::columns::{Batch, Effects};
use millstream_core::udf::{Fault, Udf};
use millstream_hostile::{Assembled, Built, Command, Ends, Guest, Refusal, Shape};
use millstream_sandbox::{Instance, Limits, Module, ModuleError, Sandbox};

use crate::support::*;

/// What the sandbox may say of a guest: 4 KiB of its own words, and a backtrace.
const MESSAGE_BYTES: usize = 16 << 10;
/// Memory of the process during a call beyond that before it: the guest's, what it hands over, and as much again for what
/// the host makes of it.
const MEMORY_BYTES: u64 = 256 << 20;
/// Processor time of a call. Fuel is about a nanosecond, so that a start has 0.1 s; the rest is for slow machines.
const CPU_SECONDS: f64 = 5.0;

macro_rules! tests {
    ($list:ident: $($guest:ident)+) => {
        $(#[test] fn $guest() { super::prove(super::Guest::$list(super::$list::$guest)); })+
    };
}

#[allow(non_snake_case, reason = "the tests have the names of the guests")]
mod command {
    millstream_hostile::for_each_command!(tests);
}
#[allow(non_snake_case, reason = "the tests have the names of the guests")]
mod shape {
    millstream_hostile::for_each_shape!(tests);
}
#[allow(non_snake_case, reason = "the tests have the names of the guests")]
mod assembled {
    millstream_hostile::for_each_assembled!(tests);
}
#[allow(non_snake_case, reason = "the tests have the names of the guests")]
mod built {
    millstream_hostile::for_each_built!(tests);
}

fn prove(case: Guest) {
    let sandbox =
        Sandbox::new(Limits { instances: 4, ..Limits::default() }, Some(&code_folder())).unwrap();
    let good = sandbox.compile(&guest("misbehave")).unwrap();
    let mut neighbour = Neighbour::of(&good);
    neighbour.answers();
    let wasm = case.wasm(guest);
    match (case, case.ends()) {
        (_, Ends::Refused(refusal, says)) => {
            let error = bounded(|| sandbox.compile(&wasm)).unwrap_err();
            assert_eq!(kind(&error), Some(refusal), "{error}");
            is_said(&error.to_string(), says);
            assert_eq!(sandbox.compile(&wasm).unwrap_err(), error, "it is refused differently");
        }
        (Guest::Command(command), ends) => runs(&good, ends, &mut neighbour, |instance| {
            let set = instance.process(&batch(&[command.name()]), &mut Memory::default());
            match command.timer() {
                Some(time) => {
                    set.and_then(|_| instance.on_timer(&timers(&[time]), &mut Memory::default()))
                }
                None => set,
            }
        }),
        (_, ends) => {
            let module = sandbox.compile(&wasm).unwrap();
            runs(&module, ends, &mut neighbour, |instance| {
                instance.process(&without_fields(), &mut Memory::default())
            });
        }
    }
    neighbour.answers();
    Neighbour::of(&good).answers();
}

/// Makes the call with two instances, and with each of them twice: the end is the same.
fn runs(
    module: &Module,
    ends: Ends,
    neighbour: &mut Neighbour,
    call: impl Fn(&mut Instance) -> Result<Effects, Fault>,
) {
    let first = Cell::new(None);
    for _ in 0..2 {
        let heard = Heard::default();
        let mut instance = Instance::new(module, "{}", Box::new(heard.clone()));
        let result = bounded(|| call(&mut instance));
        let fuel = instance.fuel_used();
        // A timer that is set and fires takes two calls.
        assert!(fuel <= 2 * Limits::default().fuel_per_record, "{fuel} of fuel");
        match (&result, ends) {
            (Err(Fault::Trapped { message }), Ends::Trapped(says)) => is_said(message, says),
            (Err(Fault::Failed { index: 0, message }), Ends::Failed(says)) => {
                is_said(message, says)
            }
            (Ok(_), Ends::Answers(says)) => {
                let lines = heard.lines();
                assert!(
                    says.is_empty() || lines.iter().any(|l| l.contains(says)),
                    "{says:?}: {lines:?}"
                );
            }
            (other, _) => panic!("not {ends:?}: {other:?}"),
        }
        is_bounded(&heard);
        neighbour.answers();
        // What is left of the call must not change the next one. Memory that outlives calls may.
        let again = call(&mut instance);
        assert_eq!(again.is_ok(), result.is_ok(), "the second call: {again:?}");
        let seen = (result, fuel, heard.lines());
        if let Some(before) = first.replace(Some(seen.clone())) {
            assert_eq!(before, seen, "another instance ends differently");
        }
    }
}

/// Runs something in its bounds of time and memory.
fn bounded<T>(run: impl FnOnce() -> T) -> T {
    let (memory, time) = (usage::peak_bytes_from_here(), usage::cpu_seconds());
    let result = run();
    let took = usage::cpu_seconds() - time;
    assert!(took < CPU_SECONDS, "it took {took} s of processor time");
    let more = usage::peak_bytes().saturating_sub(memory);
    assert!(more < MEMORY_BYTES, "it took {more} bytes of memory");
    result
}

#[track_caller]
fn is_said(message: &str, says: &str) {
    assert!(
        message.contains(says),
        "{says:?} is not in {}",
        &message[..message.floor_char_boundary(2000)]
    );
    is_plain(message, MESSAGE_BYTES);
}

/// Whether text of a guest is short, and nothing that a terminal or a protocol would act on.
#[track_caller]
fn is_plain(text: &str, bytes: usize) {
    assert!(
        text.len() <= bytes,
        "{} bytes: {}",
        text.len(),
        &text[..text.floor_char_boundary(500)]
    );
    let control = text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t'));
    assert_eq!(control, None, "in {text:?}");
}

/// What one instance may say in the two calls of a case.
#[track_caller]
fn is_bounded(heard: &Heard) {
    let said = heard.0.lock().unwrap();
    assert!(said.lines.len() <= 200, "{} lines", said.lines.len());
    said.lines.iter().for_each(|(_, line)| is_plain(line, 4 << 10));
    assert!(said.counters.len() <= 50, "{} counters", said.counters.len());
}

fn kind(error: &ModuleError) -> Option<Refusal> {
    Some(match error {
        ModuleError::TooLarge { .. } => Refusal::TooLarge,
        ModuleError::NotWasm => Refusal::NotWasm,
        ModuleError::CoreModule => Refusal::CoreModule,
        ModuleError::Invalid(_) => Refusal::Invalid,
        ModuleError::ForbiddenImport { .. } => Refusal::ForbiddenImport,
        ModuleError::NoGuest { .. } => Refusal::NoGuest,
        ModuleError::WrongType { .. } => Refusal::WrongType,
        ModuleError::Describe(_) => Refusal::Describe,
        ModuleError::Description(_) => Refusal::Description,
        ModuleError::CompileTime { .. } => Refusal::TooCostly,
        ModuleError::Precompiled | ModuleError::Host(_) => return None,
    })
}

/// A good guest of the same engine, and the counts of its keys.
struct Neighbour {
    instance: Instance,
    state: Memory,
}

impl Neighbour {
    fn of(module: &Module) -> Self {
        let instance = Instance::new(module, "{}", Box::new(Heard::default()));
        Self { instance, state: Memory::default() }
    }

    fn answers(&mut self) {
        let records = keyed(&[("a", "one"), ("b", "state"), ("a", "drüben")]);
        let effects = self.instance.process(&records, &mut self.state).unwrap();
        assert_eq!(texts(&effects.emitted[0].columns[0]), ["one", "state", "drüben"]);
        let counts: Vec<&[u8]> = effects.written[0].items.iter().collect();
        assert_eq!(counts, [&b"2"[..], b"1"]);
        self.state = Memory::default();
    }
}

/// One record of an input without fields, for a guest without states.
fn without_fields() -> Batch {
    Batch { columns: vec![], values: vec![], ..batch(&["x"]) }
}

/// What this process and thread have used.
mod usage {
    use std::fs;

    /// The most memory this process has had, bytes, counted from here on; how much it has now.
    pub fn peak_bytes_from_here() -> u64 {
        // 5 resets the peak. Where that is not allowed it stays, and only more would be seen.
        let _ = fs::write("/proc/self/clear_refs", "5");
        of_status("VmRSS:")
    }

    pub fn peak_bytes() -> u64 {
        of_status("VmHWM:")
    }

    fn of_status(name: &str) -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kib.unwrap_or(0) << 10
    }

    /// Processor time of this thread. 0 where the system does not tell.
    pub fn cpu_seconds() -> f64 {
        let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        let nanoseconds = stat.split(' ').next().and_then(|n| n.parse::<f64>().ok());
        nanoseconds.unwrap_or(0.0) / 1e9
    }
}

/// The page of guests says what the list says. `UPDATE=1` writes it.
#[test]
fn the_page_of_guests_is_true() {
    let package =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let path = std::path::Path::new(&package).join("../../tests/guests/README.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (story, _) = page.split_once("\n## ").unwrap_or((&page, ""));
    let wanted = format!("{}\n{}", story.trim_end(), millstream_hostile::table());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, wanted).unwrap();
    } else {
        assert_eq!(page, wanted, "{}: run the test with UPDATE=1", path.display());
    }
}

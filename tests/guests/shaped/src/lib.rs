//! Is what the marker in its file says: a guest that is wrong before or around its calls. The list of shapes is in
//! `tests/hostile`, which writes their names into the file.
//!
//! The exports are written by hand, so that they may return frames that no generated code would.

mod describe;
mod frames;
mod memory;
mod start;

use std::hint::black_box;

use guest_kit::exports::millstream::udf::guest;
use guest_kit::*;
use millstream_hostile::{MARKER, Shape};

/// Where the shape is written.
#[used]
static SHAPE: [u8; 40] = *MARKER;

/// The shape of this file.
fn shape() -> Shape {
    // Read where it is: the compiler knows only what it was.
    let marker = unsafe { std::ptr::read_volatile(&raw const SHAPE) };
    Shape::of_marker(&marker).expect("the marker names a shape")
}

/// Never returns.
fn endless() -> ! {
    loop {
        black_box(());
    }
}

/// Takes memory until there is none.
fn bomb() -> ! {
    loop {
        std::mem::forget(black_box(Vec::<u8>::with_capacity(1 << 20)));
    }
}

/// Fills the stack.
#[expect(unconditional_recursion, reason = "that is its purpose")]
fn recurse(n: u64) -> u64 {
    let local = black_box([n; 16]);
    black_box(recurse(black_box(n + 1)) + local[(n % 16) as usize])
}

struct Shaped;

/// What the generator's macro takes for the bindings: the world's description comes into the file, and the exports do not.
mod without_exports {
    pub mod exports {
        pub mod millstream {
            pub mod udf {
                pub mod guest {
                    macro_rules! nothing {
                        ($($tokens:tt)*) => {};
                    }
                    pub(crate) use nothing as __export_millstream_udf_guest_0_1_0_cabi;
                }
            }
        }
    }
}

guest_kit::export!(Shaped with_types_in without_exports);

impl Guest for Shaped {
    fn describe() -> Description {
        describe::describe(shape())
    }

    fn process(_: Batch) -> Result<Effects, Failure> {
        match shape() {
            Shape::MetricNames => {
                for n in 0u32.. {
                    metrics::counter_add(&format!("name{n}"), 1);
                }
            }
            Shape::MetricHugeName => metrics::counter_add(&"n".repeat(1 << 20), 1),
            Shape::MetricFlood => loop {
                metrics::counter_add("seen", 1);
            },
            Shape::MetricValues => {
                (0..3).for_each(|_| metrics::counter_add("large", u64::MAX));
                for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MAX] {
                    metrics::histogram_record("wide", value);
                }
            }
            _ => {}
        }
        Ok(nothing(0, 0))
    }

    fn on_timer(_: TimerBatch) -> Result<Effects, Failure> {
        Ok(nothing(0, 0))
    }
}

/// # Safety
/// As that of what the bindings' generator exports.
#[unsafe(export_name = "millstream:udf/guest@0.1.0#describe")]
unsafe extern "C" fn export_describe() -> *mut u8 {
    frames::of_describe(shape())
        .unwrap_or_else(|| unsafe { guest::_export_describe_cabi::<Shaped>() })
}

/// # Safety
/// As that of what the bindings' generator exports.
#[unsafe(export_name = "millstream:udf/guest@0.1.0#process")]
unsafe extern "C" fn export_process(batch: *mut u8) -> *mut u8 {
    let crafted = frames::of_process(shape());
    crafted.unwrap_or_else(|| unsafe { guest::_export_process_cabi::<Shaped>(batch) })
}

/// # Safety
/// As that of what the bindings' generator exports.
#[unsafe(export_name = "millstream:udf/guest@0.1.0#on-timer")]
unsafe extern "C" fn export_on_timer(batch: *mut u8) -> *mut u8 {
    unsafe { guest::_export_on_timer_cabi::<Shaped>(batch) }
}

/// The host has read what `process` returned. That memory is kept.
#[unsafe(export_name = "cabi_post_millstream:udf/guest@0.1.0#process")]
extern "C" fn post_process(_: *mut u8) {
    match shape() {
        Shape::PostReturnLoop => endless(),
        Shape::PostReturnTrap => core::arch::wasm32::unreachable(),
        _ => {}
    }
}

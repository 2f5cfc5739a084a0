//! What runs when the guest is instantiated, before `describe`.

use guest_kit::state;
use millstream_hostile::Shape;

/// The linker makes a call of each entry of this section.
#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;

extern "C" fn start() {
    match crate::shape() {
        Shape::StartLoop => crate::endless(),
        Shape::StartTrap => core::arch::wasm32::unreachable(),
        Shape::StartMemory => crate::bomb(),
        Shape::StartState => drop(state::list_length(0, 0)),
        _ => {}
    }
}

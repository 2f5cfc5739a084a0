//! What the host gets when it wants memory for the batch.

use std::alloc::{Layout, alloc, realloc};

use guest_kit::state;
use millstream_hostile::Shape;

/// What everything is put into by [`Shape::ReallocSame`].
const PLACE_BYTES: usize = 1 << 16;

/// # Safety
/// As that of the contract's `cabi_realloc`.
#[unsafe(no_mangle)]
unsafe extern "C" fn cabi_realloc(
    old: *mut u8,
    old_bytes: usize,
    align: usize,
    bytes: usize,
) -> *mut u8 {
    static mut PLACE: [u128; PLACE_BYTES / 16] = [0; PLACE_BYTES / 16];
    match crate::shape() {
        Shape::ReallocOut => return usize::MAX.wrapping_sub(15) as *mut u8,
        Shape::ReallocUnaligned => return (&raw mut PLACE).cast::<u8>().wrapping_add(1),
        Shape::ReallocSame => return (&raw mut PLACE).cast(),
        Shape::ReallocLoop => crate::endless(),
        Shape::ReallocTrap => core::arch::wasm32::unreachable(),
        Shape::ReallocState => drop(state::list_length(0, 0)),
        _ => {}
    }
    if bytes == 0 {
        return align as *mut u8;
    }
    unsafe {
        if old_bytes == 0 {
            alloc(Layout::from_size_align_unchecked(bytes, align))
        } else {
            realloc(old, Layout::from_size_align_unchecked(old_bytes, align), bytes)
        }
    }
}

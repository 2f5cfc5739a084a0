//! Files that are no modules, or no longer.

/// What a component's file begins with.
const HEADER: [u8; 8] = *b"\0asm\x0d\0\x01\0";
/// Identifier of a custom section.
const CUSTOM: u8 = 0;

/// The first of so many parts of a file.
pub fn cut(mut file: Vec<u8>, parts: usize) -> Vec<u8> {
    file.truncate(file.len() / parts);
    file
}

pub fn without_the_last(mut file: Vec<u8>) -> Vec<u8> {
    file.pop();
    file
}

/// A header and 64 KiB of a fixed noise (splitmix64).
pub fn noise() -> Vec<u8> {
    let mut state = 0u64;
    let words = std::iter::repeat_with(|| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).to_le_bytes()
    });
    HEADER.into_iter().chain(words.take(8 << 10).flatten()).collect()
}

/// A custom section that says it has so many bytes, and has none.
pub fn section_of(bytes: u32) -> Vec<u8> {
    let mut file = HEADER.to_vec();
    file.push(CUSTOM);
    file.extend(length(bytes));
    file
}

/// A file made this long with a custom section.
pub fn filled_up(mut file: Vec<u8>, bytes: usize) -> Vec<u8> {
    // The section's identifier, its length in five bytes, and its name's length, 0.
    let body = bytes - file.len() - 6;
    file.push(CUSTOM);
    file.extend(length(body as u32));
    file.resize(bytes, 0);
    file
}

/// A length in five bytes of LEB128, whatever it is.
fn length(n: u32) -> [u8; 5] {
    let seven = |shift: u32| (n >> shift) as u8 & 0x7f;
    [seven(0) | 0x80, seven(7) | 0x80, seven(14) | 0x80, seven(21) | 0x80, seven(28)]
}

//! Frames that no generated code returns, word by word as the canonical ABI lays them out.

use millstream_hostile::Shape;

/// Text that is not.
static NOT_TEXT: [u8; 4] = [0xff, 0xfe, b'a', 0xc3];

/// A frame that is never given back.
fn frame<const N: usize>(words: [usize; N]) -> *mut u8 {
    Box::leak(Box::new(words)).as_mut_ptr().cast()
}

/// The place of a byte, and how many there are.
fn place(bytes: &'static [u8]) -> [usize; 2] {
    [bytes.as_ptr() as usize, bytes.len()]
}

/// `describe` of a shape that has one of its own: name, version, and lists of inputs, outputs, states, timers and
/// capabilities, each an address and a length.
pub fn of_describe(shape: Shape) -> Option<*mut u8> {
    let [name, length] = place(b"shaped");
    let [version, version_length] = place(b"1.0.0");
    let start = [name, length, version, version_length];
    let of = |inputs: [usize; 2], capabilities: [usize; 2]| {
        let rest = [inputs[0], inputs[1], 8, 0, 8, 0, 8, 0, capabilities[0], capabilities[1]];
        let words: [usize; 14] =
            std::array::from_fn(|i| if i < 4 { start[i] } else { rest[i - 4] });
        frame(words)
    };
    match shape {
        Shape::DescribeLengthMax => Some(of([8, u32::MAX as usize], [8, 0])),
        Shape::DescribePointer => Some(0xffff_fffc_usize as *mut u8),
        Shape::DescribeUnknown => Some(of([8, 0], place(&[0xff]))),
        Shape::DescribeNotText => {
            let [name, length] = place(&NOT_TEXT);
            Some(frame([name, length, version, version_length, 8, 0, 8, 0, 8, 0, 8, 0, 8, 0]))
        }
        Shape::DescribeAliased => Some(of(aliased(), [8, 0])),
        _ => None,
    }
}

/// 1,000 inputs that have the same 40,000 fields.
fn aliased() -> [usize; 2] {
    const INPUT_WORDS: usize = 5;
    const FIELD_WORDS: usize = 6;
    const INPUTS: usize = 1_000;
    const FIELDS: usize = 40_000;
    // All zero: empty names, the first case of each variant.
    let fields = vec![0usize; FIELDS * FIELD_WORDS].leak().as_ptr() as usize;
    let mut inputs = Vec::with_capacity(INPUTS * INPUT_WORDS);
    (0..INPUTS).for_each(|_| inputs.extend([0, 0, fields, FIELDS, 0]));
    [inputs.leak().as_ptr() as usize, INPUTS]
}

/// What `process` returns if the shape has something of its own: 0 and effects (lists of outputs, writes, and of timers'
/// causes, numbers, times and bits), or 1 and a failure (index and message).
pub fn of_process(shape: Shape) -> Option<*mut u8> {
    let effects =
        |outputs: [usize; 2]| frame([0, outputs[0], outputs[1], 4, 0, 4, 0, 4, 0, 8, 0, 4, 0]);
    let failure =
        |message: [usize; 2]| frame([1, 0, message[0], message[1], 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    match shape {
        Shape::FramePointer => Some(0xffff_fffc_usize as *mut u8),
        Shape::FrameUnaligned => Some(effects([8, 0]).wrapping_add(1)),
        Shape::FrameDiscriminant => Some(frame([7, 4, 0, 4, 0, 4, 0, 4, 0, 8, 0, 4, 0])),
        Shape::FrameLengthMax => Some(effects([8, u32::MAX as usize])),
        Shape::FrameEndOut => {
            let end = core::arch::wasm32::memory_size::<0>() << 16;
            Some(effects([end - 16, 100]))
        }
        Shape::FrameOverlap => {
            let at = effects([8, 0]);
            // The frame's own words are the outputs: their lists are empty, or small numbers.
            let words = at.cast::<usize>();
            unsafe {
                words.add(1).write(words.add(3) as usize);
                words.add(2).write(2);
            }
            Some(at)
        }
        Shape::FrameNotText => Some(failure(place(&NOT_TEXT))),
        Shape::FrameMessageMax => Some(failure([8, u32::MAX as usize])),
        Shape::ReallocSame | Shape::PostReturnLoop | Shape::PostReturnTrap => Some(effects([8, 0])),
        _ => None,
    }
}

//! Descriptions that are not allowed, and what happens while they are made.

use guest_kit::*;
use millstream_hostile::Shape;

/// What the shape says of itself.
pub fn describe(shape: Shape) -> Description {
    let mut description = described("shaped");
    // One version per shape: the registry takes no other bytes for the same one.
    description.version = format!("1.{}.0", shape as u32);
    description.capabilities.push(Capability::Metrics);
    match shape {
        Shape::DescribeTrap => panic!("describe is told to panic"),
        Shape::DescribeRecursion => drop(crate::recurse(1)),
        Shape::DescribeMemory => crate::bomb(),
        Shape::DescribeLog => loop {
            log::write(log::Level::Error, "again");
        },
        Shape::DescribeState => drop(state::list_length(0, 0)),
        Shape::DescribeHugeName => description.name = "n".repeat(40 << 20),
        Shape::DescribeEscapes => description.name = "\x1b[2J\r\nforged".into(),
        Shape::DescribeHugeVersion => description.version = "1".repeat(40 << 20),
        Shape::DescribeStates => {
            let states = (0..100_000).map(|_| keyed("s", StateKind::Map));
            description.states = states.collect();
        }
        Shape::DescribeFields => {
            let field = |_| InputField {
                name: "f".into(),
                source: FieldSource::Payload,
                kind: FieldType::Bytes,
                optional: false,
            };
            description.inputs[0].fields = (0..100_000).map(field).collect();
        }
        _ => {}
    }
    description
}

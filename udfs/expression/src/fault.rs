//! What went wrong with an expression on a record, in words. CEL's own words show values, and a map's in the order of a
//! hash table: these name types and fields only, so that they are the same at every replay.

use cel::common::value::Val;
use cel::{ExecutionError, Value};

/// The cause for the operator.
pub fn describe(error: &ExecutionError) -> String {
    use ExecutionError as E;
    match error {
        E::UndeclaredReference(name) => format!("the record has no field `{name}`"),
        E::NoSuchKey(key) => format!("there is no field `{key}`"),
        E::NoSuchOverload(overload) => {
            let types = overload.argument_types().join(", ");
            format!("`{}` does not take ({types})", plain(overload.function()))
        }
        E::UnsupportedBinaryOperator(operator, left, right) => {
            let operator = sign(operator);
            format!("`{operator}` does not take ({}, {})", type_name(left), type_name(right))
        }
        E::ValuesNotComparable(left, right) => {
            format!("{} and {} cannot be compared", type_name(left), type_name(right))
        }
        E::UnexpectedType { got, want } => format!("a {want} is wanted here, and it is a {got}"),
        E::UnsupportedIndex(index, container) => {
            format!("{} cannot be indexed with {}", type_name(container), type_name(index))
        }
        E::UnsupportedKeyType(key) => format!("a {} cannot be a map's key", type_name(key)),
        E::UnsupportedTargetType { target } => {
            format!("a {} is of the wrong type here", type_name(target))
        }
        E::FunctionError { function, message } => format!("`{}`: {message}", plain(function)),
        E::DivisionByZero(_) => "a division by zero".into(),
        E::RemainderByZero(_) => "a remainder of a division by zero".into(),
        E::Overflow(operator, ..) => format!("`{}` overflows 64 bits", sign(operator)),
        E::IndexOutOfBounds(_) => "the index is outside the list".into(),
        E::DuplicateKey(_) => "a map has the same key twice".into(),
        E::InvalidArgumentCount { expected, actual } => {
            format!("a function takes {expected} arguments and is given {actual}")
        }
        _ => "the expression cannot be evaluated on this record".into(),
    }
}

/// CEL's name of an operator as it is written.
fn plain(function: &str) -> &str {
    match function {
        "@in" => "in",
        "@ordered" => "iteration",
        _ => function.trim_matches(['_', '@']),
    }
}

/// The sign of an arithmetic operator that CEL names with a word.
fn sign(operator: &str) -> &str {
    match operator {
        "add" => "+",
        "sub" => "-",
        "mul" => "*",
        "div" => "/",
        "rem" => "%",
        other => other,
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::List(_) => "list",
        Value::Map(_) => "map",
        Value::Int(_) => "int",
        Value::UInt(_) => "uint",
        Value::Float(_) => "double",
        Value::String(_) => "string",
        Value::Bytes(_) => "bytes",
        Value::Bool(_) => "bool",
        Value::Null => "null",
        _ => "value",
    }
}

/// A value's type as users know it.
pub fn type_of(value: &dyn Val) -> &str {
    match value.get_type().name() {
        "null_type" => "null",
        "optional_type" => "optional",
        name => name,
    }
}

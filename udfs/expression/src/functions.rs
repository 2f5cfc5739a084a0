//! The functions that expressions may call, and those that take the place of what CEL leaves undecided or refuses: the order
//! of a map's keys, and arithmetic on an integer and a double. What JSON numbers are differs from record to record
//! (`12` and `12.5`), and an expression should not work for one of them only.

use cel::common::traits::Iterable;
use cel::common::types::{
    CelDouble, CelInt, CelList, CelMap, CelString, CelUInt, DYN_TYPE, INT_TYPE, Kind,
};
use cel::common::value::{CowVal, Val};
use cel::{DeclarationError, Env, ExecutionError, extensions};

use crate::exact::{Exact, Inexact, SCALE_MAX};
use crate::value;

type Evaluated<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;

/// What may be called, with the fewest and the most arguments. A method's target is not counted.
pub struct Signature(pub &'static str, pub usize, pub usize);

/// Functions: `size(x)`.
pub const FUNCTIONS: &[Signature] = &[
    Signature("bool", 1, 1),
    Signature("bytes", 1, 1),
    Signature("decimal", 2, 2),
    Signature("double", 1, 1),
    Signature("dyn", 1, 1),
    Signature("int", 1, 1),
    Signature("size", 1, 1),
    Signature("string", 1, 1),
    Signature("type", 1, 1),
    Signature("uint", 1, 1),
    Signature("units", 2, 2),
    Signature("math.abs", 1, 1),
    Signature("math.ceil", 1, 1),
    Signature("math.floor", 1, 1),
    Signature("math.isFinite", 1, 1),
    Signature("math.isInf", 1, 1),
    Signature("math.isNaN", 1, 1),
    Signature("math.round", 1, 1),
    Signature("math.sign", 1, 1),
    Signature("math.sqrt", 1, 1),
    Signature("math.trunc", 1, 1),
    Signature("optional.none", 0, 0),
    Signature("optional.of", 1, 1),
    Signature("optional.ofNonZeroValue", 1, 1),
];

/// Methods: `text.contains(x)`.
pub const METHODS: &[Signature] = &[
    Signature("charAt", 1, 1),
    Signature("contains", 1, 1),
    Signature("endsWith", 1, 1),
    Signature("hasValue", 0, 0),
    Signature("indexOf", 1, 2),
    Signature("join", 0, 1),
    Signature("lastIndexOf", 1, 2),
    Signature("lowerAscii", 0, 0),
    Signature("or", 1, 1),
    Signature("orValue", 1, 1),
    Signature("replace", 2, 3),
    Signature("reverse", 0, 0),
    Signature("size", 0, 0),
    Signature("split", 1, 2),
    Signature("startsWith", 1, 1),
    Signature("substring", 1, 2),
    Signature("trim", 0, 0),
    Signature("upperAscii", 0, 0),
    Signature("value", 0, 0),
];

/// First parts of the names of functions: no fields of a record.
pub const NAMESPACES: &[&str] = &["math", "optional"];

/// A list of a map's keys in order, and any other value as it is: what comprehensions go through.
pub const ORDERED: &str = "@ordered";

/// CEL's arithmetic operators, and the function that each becomes.
pub const ARITHMETIC: [(&str, &str); 5] =
    [("_+_", "@add"), ("_-_", "@sub"), ("_*_", "@mul"), ("_/_", "@div"), ("_%_", "@rem")];

/// The environment of all expressions.
pub fn environment() -> Result<Env, DeclarationError> {
    let mut env = Env::stdlib();
    env.add_extension(extensions::strings)?;
    env.add_extension(extensions::math)?;
    env.add_overload(ORDERED, "ordered", vec![DYN_TYPE], ordered)?;
    for (name, function) in [
        ("@add", add as cel::common::functions::Function),
        ("@sub", sub),
        ("@mul", mul),
        ("@div", div),
        ("@rem", rem),
    ] {
        env.add_overload(name, name, vec![DYN_TYPE, DYN_TYPE], function)?;
    }
    env.add_overload("units", "units", vec![DYN_TYPE, INT_TYPE], units)?;
    env.add_overload("decimal", "decimal", vec![INT_TYPE, INT_TYPE], decimal)?;
    Ok(env)
}

/// An operand that is a number.
#[derive(Clone, Copy)]
enum Number {
    Integer(i128),
    Double(f64),
}

fn number(value: &dyn Val) -> Option<Number> {
    match value.get_type().kind() {
        Kind::Int => value.downcast_ref::<CelInt>().map(|n| Number::Integer((*n.inner()).into())),
        Kind::UInt => value.downcast_ref::<CelUInt>().map(|n| Number::Integer((*n.inner()).into())),
        Kind::Double => value.downcast_ref::<CelDouble>().map(|n| Number::Double(*n.inner())),
        _ => None,
    }
}

/// `left` and `right` as doubles, if both are numbers of different types and at least one is a double.
fn mixed(args: &[CowVal<'_, '_>]) -> Option<(f64, f64)> {
    let [left, right] = args else { return None };
    match (number(left.as_ref())?, number(right.as_ref())?) {
        (Number::Integer(left), Number::Double(right)) => Some((left as f64, right)),
        (Number::Double(left), Number::Integer(right)) => Some((left, right as f64)),
        _ => None,
    }
}

macro_rules! arithmetic {
    ($($name:ident, $capability:ident, $word:literal, $double:expr;)*) => {$(
        fn $name<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Evaluated<'b, 'v> {
            if let Some((left, right)) = mixed(&args) {
                let double: fn(f64, f64) -> f64 = $double;
                return Ok(CowVal::owned(CelDouble::from(double(left, right))));
            }
            let [left, right] = &args[..] else {
                return Err(ExecutionError::invalid_argument_count(2, args.len()));
            };
            let same = left.get_type().kind() == right.get_type().kind();
            match left.$capability().filter(|_| same) {
                Some(capability) => {
                    capability.$name(right.as_ref()).map(|result| CowVal::Owned(result.into_owned()))
                }
                None => Err(ExecutionError::no_such_overload(
                    ARITHMETIC.iter().find(|(_, name)| *name == $word).map_or($word, |(sign, _)| sign),
                    vec![left.get_type().name().into(), right.get_type().name().into()],
                )),
            }
        }
    )*};
}

arithmetic! {
    add, as_adder, "@add", |left, right| left + right;
    sub, as_subtractor, "@sub", |left, right| left - right;
    mul, as_multiplier, "@mul", |left, right| left * right;
    div, as_divider, "@div", |left, right| left / right;
}

/// There is no remainder of doubles.
fn rem<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Evaluated<'b, 'v> {
    let [left, right] = &args[..] else {
        return Err(ExecutionError::invalid_argument_count(2, args.len()));
    };
    match left.as_modder() {
        Some(modder) => {
            modder.modulo(right.as_ref()).map(|result| CowVal::Owned(result.into_owned()))
        }
        None => Err(ExecutionError::no_such_overload(
            "_%_",
            vec![left.get_type().name().into(), right.get_type().name().into()],
        )),
    }
}

fn ordered<'b, 'v>(mut args: Vec<CowVal<'b, 'v>>) -> Evaluated<'b, 'v> {
    let Some(range) = args.pop() else {
        return Err(ExecutionError::invalid_argument_count(1, 0));
    };
    let Some(map) = range.downcast_ref::<CelMap<'v>>() else { return Ok(range) };
    let mut keys = Vec::with_capacity(map.len());
    let mut iterator = map.iter();
    while let Some(key) = iterator.next() {
        keys.push(key.clone_as_boxed());
    }
    drop(iterator);
    keys.sort_by(|a, b| value::order_of_keys(a.as_ref(), b.as_ref()));
    Ok(CowVal::owned(CelList::from(keys)))
}

fn scale(function: &str, value: &dyn Val) -> Result<u8, ExecutionError> {
    let scale = value.downcast_ref::<CelInt>().map(|scale| *scale.inner());
    scale.and_then(|scale| u8::try_from(scale).ok()).filter(|scale| *scale <= SCALE_MAX).ok_or_else(
        || ExecutionError::function_error(function, format!("the scale must be 0 to {SCALE_MAX}")),
    )
}

/// The number as a count of units of 10^-scale.
pub fn exact(value: &dyn Val, scale: u8) -> Result<Exact, Inexact> {
    if let Some(number) = number(value) {
        return match number {
            Number::Integer(integer) => Exact::of_integer(integer, scale),
            Number::Double(double) => Exact::of_double(double, scale),
        };
    }
    if let Some(text) = value.downcast_ref::<CelString>() {
        return Exact::of_text(text.inner(), scale);
    }
    match value.downcast_ref::<Exact>() {
        Some(exact) => exact.rescaled(scale),
        None => Err(Inexact::NoNumber(format!("a {}", crate::fault::type_of(value)))),
    }
}

fn units<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Evaluated<'b, 'v> {
    let [value, digits] = &args[..] else {
        return Err(ExecutionError::invalid_argument_count(2, args.len()));
    };
    let scale = scale("units", digits.as_ref())?;
    exact(value.as_ref(), scale)
        .map(|exact| CowVal::owned(CelInt::from(exact.units)))
        .map_err(|error| ExecutionError::function_error("units", error))
}

fn decimal<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Evaluated<'b, 'v> {
    let [units, digits] = &args[..] else {
        return Err(ExecutionError::invalid_argument_count(2, args.len()));
    };
    let scale = scale("decimal", digits.as_ref())?;
    let Some(units) = units.downcast_ref::<CelInt>() else {
        return Err(ExecutionError::function_error("decimal", "the units are an int"));
    };
    Ok(CowVal::owned(Exact { units: *units.inner(), scale }))
}

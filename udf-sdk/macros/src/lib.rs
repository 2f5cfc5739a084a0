//! The macros of the `millstream-udf` crate, which documents and re-exports them.
#![warn(missing_docs)]

mod fields;
mod input;
mod names;
mod output;
mod outputs;
mod states;
mod udf;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes a struct the type of an input's records: each field becomes a column that the host fills.
///
/// A field is taken from the key of its own name in the JSON payload. Attributes:
/// - `#[field(pointer = "/a/b")]`: from this JSON pointer (RFC 6901)
/// - `#[field(rename = "b")]`: from the top-level key `b`
/// - `#[field(header = "Trace-Id")]`: from a NATS header's first value (`&str` or `&[u8]`)
/// - `#[field(subject)]`: the NATS subject (`&str`)
/// - `#[field(payload)]`: the whole payload, untouched (`&[u8]`, or `Json<T>` if it must parse)
///
/// A record that lacks a field that is no `Option`, or holds another type, becomes a dead letter
/// before the UDF sees it.
#[proc_macro_derive(Input, attributes(field))]
pub fn derive_input(item: TokenStream) -> TokenStream {
    finish(input::expand(parse_macro_input!(item as DeriveInput)))
}

/// Makes a struct the type of an output's items: the host writes each as a JSON object, with sorted
/// keys, of its fields. `#[field(rename = "b")]` names a key. `#[output(tag = "type", value = "score")]`
/// on the struct adds a constant text field.
#[proc_macro_derive(Output, attributes(field, output))]
pub fn derive_output(item: TokenStream) -> TokenStream {
    finish(output::expand(parse_macro_input!(item as DeriveInput)))
}

/// Makes a struct of `Emit<T>` fields the named outputs of a UDF. `#[output(rename = "b")]` names
/// one.
#[proc_macro_derive(Outputs, attributes(output))]
pub fn derive_outputs(item: TokenStream) -> TokenStream {
    finish(outputs::expand(parse_macro_input!(item as DeriveInput)))
}

/// Makes a struct of `Value<T>`, `List<T>`, `Map<K, V>`, `Windows<A>` and join fields the keyed state of a UDF.
/// Attributes of a field:
/// - `#[state(ttl = "30d")]`: how long an element lives after its last write (`ms`, `s`, `m`, `h`, `d`), by processing
///   time; `#[state(ttl = "30d", event_time)]`: after the event time of the record that wrote it last. Reads prolong
///   nothing
/// - `#[state(version = 2)]`: version of the encoding; raise it when the type changes (default 1)
/// - `#[state(version = 2, migrate = function)]`: elements of older versions are read by this
///   `fn(from: u32, bytes: &[u8]) -> Result<T>`, where `T` is what the element holds now; `reads = [1]` lists the
///   versions it knows, if not all from 1 on. Without it a pipeline that holds such elements refuses the module
/// - `#[state(rename = "b")]`: name of the state
#[proc_macro_derive(States, attributes(state))]
pub fn derive_states(item: TokenStream) -> TokenStream {
    finish(states::expand(parse_macro_input!(item as DeriveInput)))
}

/// Makes an `impl` block, or a function, the UDF of this component.
///
/// Settings: `name` (default: that of the type or function, with dashes), `version` (default: that of the
/// package), `state = T` (a `#[derive(States)]` struct), `broadcast = T` (another, of broadcast fields), `outputs = T` (a `#[derive(Outputs)]` struct or
/// an `Emit<T>`).
///
/// In an `impl` block:
/// - `fn process(&self, record, ...)` handles the records of the only input, whose name is `input`;
/// - or each `#[input] fn payments(&self, record, ...)` handles those of the input `payments`, and
///   `#[input(broadcast)] fn rules(&self, record, ...)` those of one whose records go to every partition;
/// - `#[timer(event_time)] fn expired(&self, ...)` or `#[timer(processing_time)]` declares and handles a
///   timer, and makes the constant `Self::EXPIRED` to set it with;
/// - `#[window(minutes = Window::tumbling(size))] fn minute(&self, minute: Fired<R>, ...)` lays out the windows of the
///   state's field `minutes`, and handles what they fire; the expression may use `self`;
/// - `#[join(settled = Interval::within(time))] fn settled(&self, joined: Joined<L, R>, ...)` likewise for a join;
/// - `fn new(config: C) -> Result<Self>` makes the instance from the stage's configuration; without it
///   the type's `Default` does.
///
/// What a handler takes after the record is what it may use, in any order: `&mut` the state, `&` the broadcast state, `&mut` the
/// outputs, `&mut Context` (`&mut TimerContext` for a timer, `&FiredContext` for windows and joins), `&mut Random`, `&Metrics`. A handler of
/// broadcast records takes `&mut` the broadcast state, `&mut BroadcastContext`, and neither state nor timers. It returns
/// `Result<()>` or nothing; a UDF with one input and no `outputs` may instead return the item to emit, an
/// `Option` or a `Vec` of it, or a `Result` of these.
///
/// A function is the same as an `impl` with only `process`; it may take `&C` for its configuration.
#[proc_macro_attribute]
pub fn udf(settings: TokenStream, item: TokenStream) -> TokenStream {
    finish(udf::expand(settings.into(), item.into()))
}

fn finish(expanded: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    expanded.unwrap_or_else(|error| error.to_compile_error()).into()
}

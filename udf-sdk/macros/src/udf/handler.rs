//! A handler: a function that the host's records or timers reach.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, FnArg, GenericArgument, LitStr, PathArguments, ReturnType, Signature, Type};

use super::arguments::{Argument, Place, Role, classify, typed};
use super::settings::Settings;
use super::window;
use crate::names::{item_name, plain};

/// What reaches a handler.
pub enum Trigger {
    /// Records of the input of this name, of this type.
    Input { name: String, record: Box<Type>, broadcast: bool },
    /// The timer of this name.
    Timer { name: String, event_time: bool },
    /// Windows or a join in a field of the state, which fire under this name.
    Window { name: String, fired: Box<Type>, field: Box<window::Field> },
}

/// What a handler gives back.
pub enum Returned {
    /// `()` or a `Result` of it.
    Nothing,
    /// Items of this type to emit.
    Items { item: Box<Type>, shape: Shape, fallible: bool },
}

/// How many items.
#[derive(Clone, Copy, PartialEq)]
pub enum Shape {
    One,
    Option,
    Vec,
}

/// A checked handler.
pub struct Handler {
    pub ident: Ident,
    pub trigger: Trigger,
    pub arguments: Vec<Argument>,
    pub returned: Returned,
    return_span: Span,
    /// Whether it takes `&self`.
    method: bool,
}

/// Takes the attribute of this name off a function.
fn take(attributes: &mut Vec<Attribute>, name: &str) -> Option<Attribute> {
    let at = attributes.iter().position(|attribute| attribute.path().is_ident(name))?;
    Some(attributes.remove(at))
}

impl Handler {
    /// The handler that a function of the `impl` block is, if it is one. Takes its attribute off.
    pub fn find(
        attributes: &mut Vec<Attribute>,
        signature: &Signature,
        settings: &Settings,
    ) -> syn::Result<Option<Self>> {
        for kind in [window::Kind::Window, window::Kind::Join] {
            if let Some(attribute) = take(attributes, kind.attribute()) {
                return Self::window(kind, signature, &attribute, settings).map(Some);
            }
        }
        let (input, timer) = (take(attributes, "input"), take(attributes, "timer"));
        match (input, timer) {
            (Some(_), Some(timer)) => Err(syn::Error::new_spanned(
                timer,
                "a function handles an input or a timer, not both",
            )),
            (None, Some(timer)) => {
                let event_time = domain(&timer)?;
                Self::timer(signature, event_time, settings).map(Some)
            }
            (Some(input), None) => {
                Self::record(signature, said_of_input(&input, signature)?, settings, false)
                    .map(Some)
            }
            (None, None) if signature.ident == "process" => {
                Self::record(signature, Said::default(), settings, false).map(Some)
            }
            (None, None) => Ok(None),
        }
    }

    /// A handler of records.
    pub fn record(
        signature: &Signature,
        Said { name, broadcast }: Said,
        settings: &Settings,
        function: bool,
    ) -> syn::Result<Self> {
        let (method, arguments) = receiver(signature)?;
        let Some((record, rest)) = arguments.split_first() else {
            return Err(syn::Error::new(
                signature.ident.span(),
                format!(
                    "`{}` takes the record as its first argument, like `payment: Payment<'_>`",
                    signature.ident
                ),
            ));
        };
        let record = &typed(record)?.ty;
        if matches!(**record, Type::Reference(_)) {
            return Err(syn::Error::new_spanned(
                record,
                "the record comes first and is taken by value, like `payment: Payment<'_>`",
            ));
        }
        if broadcast && settings.broadcast.is_none() {
            return Err(syn::Error::new(
                signature.ident.span(),
                "say what broadcast records change: `#[udf(broadcast = T)]`, where `T` is a `#[derive(States)]` struct of `BroadcastMap<K, V>` fields and the like",
            ));
        }
        let trigger = Trigger::Input { name, record: record.clone(), broadcast };
        Self::checked(signature, trigger, rest, settings, method, function)
    }

    fn timer(signature: &Signature, event_time: bool, settings: &Settings) -> syn::Result<Self> {
        let (method, arguments) = receiver(signature)?;
        let trigger = Trigger::Timer { name: plain(&signature.ident), event_time };
        let handler = Self::checked(signature, trigger, &arguments, settings, method, false)?;
        if let Returned::Items { .. } = handler.returned {
            return Err(syn::Error::new(
                handler.return_span,
                "a timer handler returns `Result<()>`; it emits through the outputs",
            ));
        }
        Ok(handler)
    }

    fn window(
        kind: window::Kind,
        signature: &Signature,
        attribute: &Attribute,
        settings: &Settings,
    ) -> syn::Result<Self> {
        let field = Box::new(window::field(kind, attribute, settings)?);
        let (method, arguments) = receiver(signature)?;
        let fired = match arguments.split_first() {
            Some((fired, rest)) => Some((typed(fired)?.ty.clone(), rest))
                .filter(|(fired, _)| !matches!(**fired, Type::Reference(_))),
            None => None,
        };
        let Some((fired, rest)) = fired else {
            let message = match kind {
                window::Kind::Window => {
                    "a handler of windows takes the window that fires first and by value, like `window: Fired<Totals>`"
                }
                window::Kind::Join => {
                    "a handler of joins takes what is joined first and by value, like `joined: Joined<Order, Payment>`"
                }
            };
            return Err(syn::Error::new(signature.ident.span(), message));
        };
        let trigger = Trigger::Window { name: plain(&signature.ident), fired, field };
        let handler = Self::checked(signature, trigger, rest, settings, method, false)?;
        if let Returned::Items { .. } = handler.returned {
            return Err(syn::Error::new(
                handler.return_span,
                format!(
                    "a handler of {} returns `Result<()>`; it emits through the outputs",
                    kind.plural()
                ),
            ));
        }
        Ok(handler)
    }

    fn checked(
        signature: &Signature,
        trigger: Trigger,
        rest: &[&FnArg],
        settings: &Settings,
        method: bool,
        function: bool,
    ) -> syn::Result<Self> {
        let place = match trigger {
            Trigger::Input { broadcast: true, .. } => Place::Broadcast,
            Trigger::Input { broadcast: false, .. } => Place::Record,
            Trigger::Timer { .. } => Place::Timer,
            Trigger::Window { .. } => Place::Window,
        };
        if let Some(token) = &signature.asyncness {
            return Err(syn::Error::new_spanned(
                token,
                "a handler is not async: there is nothing to wait for in a UDF",
            ));
        }
        let mut arguments: Vec<Argument> = Vec::new();
        for argument in rest {
            let argument = typed(argument)?;
            let classified = classify(argument, settings, place, function)?;
            if arguments.iter().any(|earlier| earlier.role == classified.role) {
                return Err(syn::Error::new_spanned(&argument.ty, "this is already an argument"));
            }
            arguments.push(classified);
        }
        let returned =
            if settings.outputs.is_some() || arguments.iter().any(|a| a.role == Role::Outputs) {
                Returned::Nothing
            } else {
                returned(&signature.output)
            };
        let return_span = match &signature.output {
            ReturnType::Default => signature.ident.span(),
            ReturnType::Type(_, ty) => ty.span(),
        };
        Ok(Self {
            ident: signature.ident.clone(),
            trigger,
            arguments,
            returned,
            return_span,
            method,
        })
    }

    /// Whether the handler takes something.
    pub fn takes(&self, role: Role) -> bool {
        self.arguments.iter().any(|argument| argument.role == role)
    }

    /// The call of the handler, as an expression of type `Result<()>`.
    pub fn call(&self, owner: &TokenStream) -> TokenStream {
        let ident = &self.ident;
        let passed = self.arguments.iter().map(Argument::pass);
        let path = if self.method { quote!(self.#ident) } else { quote!(#owner #ident) };
        let call = match &self.trigger {
            Trigger::Input { record, .. } => {
                let record = quote_spanned!(record.span()=> record);
                quote!(#path(#record, #(#passed),*))
            }
            Trigger::Timer { .. } => quote!(#path(#(#passed),*)),
            Trigger::Window { fired, .. } => {
                let record = quote_spanned!(fired.span()=> record);
                quote!(#path(#record, #(#passed),*))
            }
        };
        let Returned::Items { shape, fallible, .. } = &self.returned else {
            return quote_spanned!(self.return_span=> ::millstream_udf::__private::Outcome::outcome(#call));
        };
        let value = if *fallible { quote!(#call?) } else { call };
        match shape {
            Shape::One => {
                quote!({ let item = #value; outputs.emit(item); ::core::result::Result::Ok(()) })
            }
            Shape::Option => quote!({
                if let ::core::option::Option::Some(item) = #value {
                    outputs.emit(item);
                }
                ::core::result::Result::Ok(())
            }),
            Shape::Vec => quote!({
                for item in #value {
                    outputs.emit(item);
                }
                ::core::result::Result::Ok(())
            }),
        }
    }
}

/// Whether there is a `&self`, and the arguments behind it.
fn receiver(signature: &Signature) -> syn::Result<(bool, Vec<&FnArg>)> {
    let mut arguments: Vec<&FnArg> = signature.inputs.iter().collect();
    match arguments.first() {
        Some(FnArg::Receiver(receiver)) => {
            if receiver.mutability.is_some() || receiver.reference.is_none() {
                return Err(syn::Error::new_spanned(
                    receiver,
                    "a handler takes `&self`: what it changes in `self` would be lost at a restart and differ at a replay; \
                     keep it in a `Value<T>` of the state",
                ));
            }
            arguments.remove(0);
            Ok((true, arguments))
        }
        _ => Ok((false, arguments)),
    }
}

fn domain(attribute: &Attribute) -> syn::Result<bool> {
    let mut event_time = None;
    let teach =
        "say which clock the timer follows: `#[timer(event_time)]` or `#[timer(processing_time)]`";
    if attribute.meta.require_list().is_err() {
        return Err(syn::Error::new_spanned(attribute, teach));
    }
    attribute.parse_nested_meta(|meta| {
        match () {
            () if meta.path.is_ident("event_time") => event_time = Some(true),
            () if meta.path.is_ident("processing_time") => event_time = Some(false),
            () => return Err(meta.error(teach)),
        }
        Ok(())
    })?;
    event_time.ok_or_else(|| syn::Error::new_spanned(attribute, teach))
}

/// What `#[input]` says.
pub struct Said {
    name: String,
    /// Whether its records go to every partition.
    broadcast: bool,
}

impl Default for Said {
    fn default() -> Self {
        Self { name: "input".into(), broadcast: false }
    }
}

fn said_of_input(attribute: &Attribute, signature: &Signature) -> syn::Result<Said> {
    let mut said = Said { name: plain(&signature.ident), broadcast: false };
    if attribute.meta.require_path_only().is_err() {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("name") {
                said.name = item_name(&meta.value()?.parse::<LitStr>()?)?;
            } else if meta.path.is_ident("broadcast") {
                said.broadcast = true;
            } else {
                return Err(meta.error("`#[input]` knows `name = \"payments\"` and `broadcast`"));
            }
            Ok(())
        })?;
    }
    Ok(said)
}

/// The only type argument of `Name<T>`.
fn argument_of<'t>(ty: &'t Type, name: &str) -> Option<&'t Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last().filter(|last| last.ident == name)?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

fn returned(output: &ReturnType) -> Returned {
    let ReturnType::Type(_, ty) = output else { return Returned::Nothing };
    let bare_result = matches!(&**ty, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Result" && last.arguments.is_empty()));
    let (value, fallible) = match argument_of(ty, "Result") {
        Some(value) => (value, true),
        None => (&**ty, false),
    };
    if bare_result || matches!(value, Type::Tuple(tuple) if tuple.elems.is_empty()) {
        return Returned::Nothing;
    }
    let (item, shape) = match (argument_of(value, "Option"), argument_of(value, "Vec")) {
        (Some(item), _) => (item, Shape::Option),
        (_, Some(item)) => (item, Shape::Vec),
        _ => (value, Shape::One),
    };
    Returned::Items { item: Box::new(item.clone()), shape, fallible }
}

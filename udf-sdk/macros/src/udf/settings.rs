//! What `#[udf(...)]` says.

use proc_macro2::TokenStream;
use syn::parse::Parser;
use syn::{LitStr, Type};

use crate::names;

/// The settings of a UDF.
#[derive(Default)]
pub struct Settings {
    /// Its name; by default made from that of the type or function.
    pub name: Option<String>,
    /// Its version; by default the package's.
    pub version: Option<String>,
    /// Its keyed state.
    pub state: Option<Type>,
    /// Its broadcast state.
    pub broadcast: Option<Type>,
    /// Its outputs.
    pub outputs: Option<Type>,
}

impl Settings {
    pub fn parse(tokens: TokenStream) -> syn::Result<Self> {
        let mut settings = Self::default();
        let parser = syn::meta::parser(|meta| {
            if meta.path.is_ident("name") {
                settings.name = Some(names::udf_name(&meta.value()?.parse::<LitStr>()?)?);
            } else if meta.path.is_ident("version") {
                settings.version = Some(names::version(&meta.value()?.parse::<LitStr>()?)?);
            } else if meta.path.is_ident("state") {
                settings.state = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("broadcast") {
                settings.broadcast = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("outputs") {
                settings.outputs = Some(meta.value()?.parse()?);
            } else {
                return Err(meta.error(
                    "`#[udf]` knows `name = \"card-fraud\"`, `version = \"1.0.0\"`, `state = Card`, `broadcast = Rules` and `outputs = Out`",
                ));
            }
            Ok(())
        });
        parser.parse2(tokens)?;
        Ok(settings)
    }
}

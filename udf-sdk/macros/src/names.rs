//! Names and durations as the contract wants them.

use proc_macro2::Ident;
use syn::LitStr;
use syn::ext::IdentExt;

/// `SmallExpired` as `small-expired`, `small_expired` as `small-expired`.
pub fn kebab(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c == '_' {
            out.push('-');
        } else if c.is_uppercase() {
            if !out.is_empty() && !out.ends_with('-') {
                out.push('-');
            }
            out.extend(c.to_lowercase());
        } else {
            out.push(c);
        }
    }
    out
}

/// `enrich_order` as `EnrichOrder`.
pub fn camel(name: &str) -> String {
    name.split('_')
        .filter_map(|word| {
            let mut chars = word.chars();
            chars.next().map(|first| first.to_uppercase().chain(chars).collect::<String>())
        })
        .collect()
}

/// The name of a field without `r#`.
pub fn plain(ident: &Ident) -> String {
    ident.unraw().to_string()
}

/// Checks the name of a UDF.
pub fn udf_name(literal: &LitStr) -> syn::Result<String> {
    let name = literal.value();
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > 64 || !name.chars().all(allowed) {
        let suggestion = kebab(&name.replace([' ', '.', '/'], "-"));
        return Err(syn::Error::new(
            literal.span(),
            format!(
                "a UDF's name is 1 to 64 lower-case letters, digits and dashes, like `card-fraud`; try `{suggestion}`"
            ),
        ));
    }
    Ok(name)
}

/// Checks the name of an input, output or state.
pub fn item_name(literal: &LitStr) -> syn::Result<String> {
    let name = literal.value();
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 64 || !name.chars().all(allowed) {
        return Err(syn::Error::new(
            literal.span(),
            format!(
                "`{name}` is no name for an input, output or state: use 1 to 64 letters, digits, `-` and `_`"
            ),
        ));
    }
    Ok(name)
}

/// Checks the version of a UDF.
pub fn version(literal: &LitStr) -> syn::Result<String> {
    let version = literal.value();
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<&str> = core.split('.').collect();
    let numeric = |n: &&str| {
        !n.is_empty()
            && n.chars().all(|c| c.is_ascii_digit())
            && (n.len() == 1 || !n.starts_with('0'))
    };
    if numbers.len() != 3 || !numbers.iter().all(numeric) {
        return Err(syn::Error::new(
            literal.span(),
            "a UDF's version is a semantic version, like `1.4.0`; leave it out to use the package's",
        ));
    }
    Ok(version)
}

/// A duration such as `30d`, in milliseconds.
pub fn duration_ms(literal: &LitStr) -> syn::Result<u64> {
    let text = literal.value();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit_ms: Option<u64> = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    };
    let ms =
        unit_ms.zip(number.parse::<u64>().ok()).and_then(|(unit, number)| number.checked_mul(unit));
    match ms {
        Some(ms) if ms > 0 => Ok(ms),
        _ => Err(syn::Error::new(
            literal.span(),
            format!(
                "`{text}` is not a duration; write a number and one of `ms`, `s`, `m`, `h`, `d`, like `30d`"
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proc_macro2::Span;

    fn literal(text: &str) -> LitStr {
        LitStr::new(text, Span::call_site())
    }

    #[test]
    fn cases() {
        assert_eq!(kebab("CardFraud"), "card-fraud");
        assert_eq!(kebab("card_fraud"), "card-fraud");
        assert_eq!(camel("enrich_order"), "EnrichOrder");
    }

    #[test]
    fn durations() {
        assert_eq!(duration_ms(&literal("30d")).unwrap(), 2_592_000_000);
        assert_eq!(duration_ms(&literal("5ms")).unwrap(), 5);
        for bad in ["", "d", "30", "0s", "1y", "-1s", "99999999999999999999d", "9999999999999999d"]
        {
            assert!(duration_ms(&literal(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn versions_and_names() {
        for good in ["1.0.0", "0.10.2-rc.1", "1.2.3+build"] {
            assert!(version(&literal(good)).is_ok(), "{good}");
        }
        for bad in ["", "1", "1.0", "1.0.x", "v1.0.0", "01.0.0"] {
            assert!(version(&literal(bad)).is_err(), "{bad}");
        }
        assert!(udf_name(&literal("Card Fraud")).is_err());
        assert!(udf_name(&literal("card-fraud-2")).is_ok());
    }
}

//! Doubles as JSON numbers: the shortest text that reads back as the same double, laid
//! out as Python's `repr` does, so that outputs compare byte for byte with other tools'.

/// Appends `value`; what is not finite becomes `null`.
#[inline]
pub(super) fn write(value: f64, out: &mut Vec<u8>) {
    let size = value.abs();
    if size >= 1e-4 || size == 0.0 {
        if size.is_infinite() {
            out.extend_from_slice(b"null");
        } else {
            // The same layout as Python's from here on up.
            out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
        }
    } else {
        write_small(value, out);
    }
}

/// Below 0.0001 Python writes an exponent of at least two digits. NaN comes here, too.
#[cold]
fn write_small(value: f64, out: &mut Vec<u8>) {
    if value.is_nan() {
        out.extend_from_slice(b"null");
        return;
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    let (sign, text) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    out.extend_from_slice(sign.as_bytes());
    match (text.split_once("e-"), text.strip_prefix("0.0000")) {
        (Some((digits, exponent)), _) => {
            let pad = if exponent.len() < 2 { "0" } else { "" };
            [digits, "e-", pad, exponent]
                .iter()
                .for_each(|part| out.extend_from_slice(part.as_bytes()));
        }
        // The one power of ten that is written out although Python does not.
        (None, Some(digits)) => {
            let (first, rest) = digits.split_at(1);
            let point = if rest.is_empty() { "" } else { "." };
            [first, point, rest, "e-05"]
                .iter()
                .for_each(|part| out.extend_from_slice(part.as_bytes()));
        }
        (None, None) => out.extend_from_slice(text.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(value: f64) -> String {
        let mut out = Vec::new();
        write(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn as_python_writes_them() {
        for (value, expected) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (100.0, "100.0"),
            (1e15, "1000000000000000.0"),
            (9999999999999998.0, "9999999999999998.0"),
            (1e16, "1e+16"),
            (1.2345678901234568e17, "1.2345678901234568e+17"),
            (1e22, "1e+22"),
            (f64::MAX, "1.7976931348623157e+308"),
            (0.1 + 0.2, "0.30000000000000004"),
            // Halfway between two shortest texts: the even one.
            (-947215395419960.2, "-947215395419960.2"),
            (1.25e-5, "1.25e-05"),
            (3.0 / 33554432.0, "8.940696716308594e-08"),
            (0.0001, "0.0001"),
            (0.00012345, "0.00012345"),
            (5.5e-5, "5.5e-05"),
            (-1e-9, "-1e-09"),
            (1e-10, "1e-10"),
            (1.5e-100, "1.5e-100"),
            (5e-324, "5e-324"),
            (f64::NAN, "null"),
            (f64::INFINITY, "null"),
            (f64::NEG_INFINITY, "null"),
        ] {
            assert_eq!(text(value), expected);
        }
    }

    /// `repr`'s layout of the digits in `text`, which must be no more than are needed.
    fn laid_out(value: f64, text: &str) -> String {
        let (mantissa, exponent) =
            text.trim_start_matches('-').split_once('e').unwrap_or((text, "0"));
        let mantissa = mantissa.trim_start_matches('-');
        let point = mantissa.find('.').unwrap_or(mantissa.len()) as i32;
        let all = mantissa.replace('.', "");
        let leading = all.len() - all.trim_start_matches('0').len();
        let digits = all.trim_matches('0');
        let exponent = exponent.parse::<i32>().unwrap() + point - 1 - leading as i32;
        let shortest = format!("{:e}", value.abs());
        assert_eq!(digits.len(), shortest.split_once('e').unwrap().0.replace('.', "").len());
        let sign = if value.is_sign_negative() { "-" } else { "" };
        if (-4..16).contains(&exponent) {
            let n = digits.len() as i32;
            let body = if exponent < 0 {
                format!("0.{}{digits}", "0".repeat((-exponent - 1) as usize))
            } else if exponent >= n - 1 {
                format!("{digits}{}.0", "0".repeat((exponent + 1 - n) as usize))
            } else {
                let (whole, fraction) = digits.split_at(exponent as usize + 1);
                format!("{whole}.{fraction}")
            };
            return format!("{sign}{body}");
        }
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        let exponent_sign = if exponent < 0 { '-' } else { '+' };
        format!("{sign}{first}{point}{rest}e{exponent_sign}{:02}", exponent.abs())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_double(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite() && value != 0.0);
            let text = text(value);
            prop_assert_eq!(&text, &laid_out(value, &text));
            prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), bits);
        }

        #[test]
        fn common_sizes(value in -1e18f64..1e18, scale in -25i32..3) {
            let value = value * 10f64.powi(scale);
            prop_assume!(value != 0.0);
            let text = text(value);
            prop_assert_eq!(&text, &laid_out(value, &text));
            prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits());
        }
    }
}

//! Doubles as JSON numbers: the shortest text that reads back as the same double, laid
//! out as Python's `repr` does, so that outputs compare byte for byte with other tools'.

use std::io::Write;

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
    let start = out.len();
    write!(out, "{value:e}").expect("a vector takes all");
    if out[out.len() - 2] == b'-' && out.len() - 2 > start {
        out.insert(out.len() - 1, b'0');
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

    /// `repr` in terms of the shortest digits and their exponent, which `{:e}` gives.
    fn reference(value: f64) -> String {
        let shortest = format!("{:e}", value.abs());
        let (digits, exponent) = shortest.split_once('e').unwrap();
        let exponent: i32 = exponent.parse().unwrap();
        let digits = digits.replace('.', "");
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
        #[test]
        fn every_double(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            prop_assert_eq!(text(value), reference(value));
            prop_assert_eq!(text(value).parse::<f64>().unwrap().to_bits(), bits);
        }

        #[test]
        fn common_sizes(value in -1e18f64..1e18, scale in -25i32..3) {
            let value = value * 10f64.powi(scale);
            prop_assert_eq!(text(value), reference(value));
        }
    }
}

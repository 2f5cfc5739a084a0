//! Bytes in the test vectors of `wit/udf-0.1.0/vectors`.

/// A string of hexadecimal digits.
pub mod hex {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&digits(bytes))
    }

    pub fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        parse(&String::deserialize(deserializer)?)
            .ok_or_else(|| D::Error::custom("bytes are pairs of hexadecimal digits"))
    }

    pub fn digits(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub fn parse(digits: &str) -> Option<Vec<u8>> {
        let pairs = digits.as_bytes().chunks(2);
        pairs
            .map(|pair| {
                u8::from_str_radix(str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?, 16)
                    .ok()
            })
            .collect()
    }
}

/// The text itself if the bytes are printable ASCII, otherwise `{"hex": "..."}`.
pub mod text_or_hex {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Bytes {
        Text(String),
        Hex { hex: String },
    }

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        let printable = bytes.iter().all(|byte| (b' '..=b'~').contains(byte));
        let bytes = match str::from_utf8(bytes) {
            Ok(text) if printable => Bytes::Text(text.to_owned()),
            _ => Bytes::Hex { hex: super::hex::digits(bytes) },
        };
        bytes.serialize(serializer)
    }

    pub fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        match Bytes::deserialize(deserializer)? {
            Bytes::Text(text) => Ok(text.into_bytes()),
            Bytes::Hex { hex } => super::hex::parse(&hex)
                .ok_or_else(|| D::Error::custom("bytes are pairs of hexadecimal digits")),
        }
    }
}

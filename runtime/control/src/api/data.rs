//! Bytes of unknown kind in JSON.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes. In JSON `{"text": "..."}` when they are UTF-8, otherwise `{"hex": "..."}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Data(pub Vec<u8>);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wire {
    Text(String),
    Hex(String),
}

impl Data {
    /// The text, if it is UTF-8.
    pub fn as_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// For people: the text, or `0x` and hexadecimal digits.
    pub fn display(&self) -> String {
        self.as_text().map_or_else(|| format!("0x{}", hex::encode(&self.0)), str::to_owned)
    }
}

impl<T: Into<Vec<u8>>> From<T> for Data {
    fn from(bytes: T) -> Self {
        Data(bytes.into())
    }
}

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let wire = match self.as_text() {
            Some(text) => Wire::Text(text.to_owned()),
            None => Wire::Hex(hex::encode(&self.0)),
        };
        wire.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Data(match Wire::deserialize(deserializer)? {
            Wire::Text(text) => text.into_bytes(),
            Wire::Hex(digits) => hex::decode(digits).map_err(serde::de::Error::custom)?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::Data;

    #[test]
    fn text_stays_readable_and_bytes_survive() {
        for (bytes, json) in
            [(b"a\"b".to_vec(), r#"{"text":"a\"b"}"#), (vec![0xff, 0], r#"{"hex":"ff00"}"#)]
        {
            let data = Data(bytes);
            assert_eq!(serde_json::to_string(&data).unwrap(), json);
            assert_eq!(serde_json::from_str::<Data>(json).unwrap(), data);
        }
    }
}

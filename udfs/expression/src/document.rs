//! The fields of a record that expressions use, read from its JSON.

use std::collections::HashMap;
use std::fmt;

use cel::ExecutionError;
use cel::common::traits::Indexer;
use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt, MAP_TYPE,
    Type,
};
use cel::common::value::{CowVal, Val};
use millstream_udf::prelude::{Error, Result};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::compiler::Plan;

/// The value of a JSON text, on the heap once per scalar: the interpreter knows values only behind `dyn Val`.
pub type Boxed<'a> = Box<dyn Val + 'a>;

/// A record: of its fields those that the plan names, or all.
///
/// An integer within 64 bits is an `int` (a `uint` above 2^63 - 1), any other number a `double`, an array a `list`, an object
/// a `map`. Of fields of the same name the last counts.
#[derive(Clone, Debug)]
pub struct Document<'a> {
    plan: &'a Plan,
    /// One per name of the plan; nothing where the record has no such field.
    fields: Vec<Option<Boxed<'a>>>,
    /// All fields, if the plan wants the record as a whole.
    whole: Option<CelMap<'a>>,
}

impl<'a> Document<'a> {
    /// Reads a payload; an error if it is not a JSON object.
    pub fn read(plan: &'a Plan, payload: &'a [u8]) -> Result<Self> {
        let mut json = serde_json::Deserializer::from_slice(payload);
        let document = Reader(plan).deserialize(&mut json);
        let document = document.and_then(|document| json.end().map(|()| document));
        document
            .map_err(|error| Error::new(format_args!("the record is not a JSON object: {error}")))
    }

    /// The record as a value.
    pub fn as_value(&self) -> &(dyn Val + 'a) {
        match &self.whole {
            Some(whole) => whole,
            None => self,
        }
    }

    /// A field by its name.
    pub fn field(&self, name: &str) -> Option<CowVal<'_, 'a>> {
        match &self.whole {
            Some(whole) => Indexer::get(whole, &CelString::from(name)).ok(),
            None => {
                let at = self.plan.index_of(name)?;
                self.fields[at].as_deref().map(CowVal::Borrowed)
            }
        }
    }
}

/// The record as an operand of `record.x`, where the plan has found nothing else to be done with it.
impl Val for Document<'_> {
    fn get_type(&self) -> &Type {
        &MAP_TYPE
    }

    fn cel_type() -> &'static Type {
        static MAP: Type = MAP_TYPE;
        &MAP
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }
}

impl Indexer for Document<'_> {
    fn get<'b, 'v>(&'b self, index: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let name = index.downcast_ref::<CelString>().map(CelString::inner).unwrap_or_default();
        match self.plan.index_of(name).and_then(|at| self.fields[at].as_deref()) {
            Some(field) => Ok(CowVal::Borrowed(field)),
            None => Err(ExecutionError::no_such_key(name)),
        }
    }

    fn steal<'v>(self: Box<Self>, index: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(index).map(CowVal::into_owned)
    }
}

/// Any JSON text as a value.
pub fn value_of(json: &str) -> Result<Boxed<'_>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let value = Value.deserialize(&mut deserializer)?;
    deserializer.end().map(|()| value)
}

/// A JSON value that outlives records: a row of a table.
pub struct Constant(Boxed<'static>);

impl Constant {
    pub(crate) fn value(&self) -> &(dyn Val + 'static) {
        self.0.as_ref()
    }
}

impl<'de> serde::Deserialize<'de> for Constant {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        let json = serde_json::Value::deserialize(json)?;
        Value.deserialize(json).map(Self).map_err(serde::de::Error::custom)
    }
}

/// Reads a record by a plan.
struct Reader<'a>(&'a Plan);

impl<'de> DeserializeSeed<'de> for Reader<'de> {
    type Value = Document<'de>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Reader<'de> {
    type Value = Document<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Self(plan) = self;
        let mut document = Document { plan, fields: Vec::new(), whole: None };
        if plan.whole {
            document.whole = Some(CelMap::from(entries(map)?));
            return Ok(document);
        }
        document.fields.resize_with(plan.names.len(), || None);
        while let Some(at) = map.next_key_seed(Name(plan))? {
            match at {
                Some(at) => document.fields[at] = Some(map.next_value_seed(Value)?),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(document)
    }
}

/// A field's name: its index in the plan.
struct Name<'a>(&'a Plan);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.index_of(name))
    }
}

/// Any JSON value.
struct Value;

impl<'de> DeserializeSeed<'de> for Value {
    type Value = Boxed<'de>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value {
    type Value = Boxed<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Box::new(CelNull))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Box::new(CelBool::from(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Box::new(CelInt::from(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(match i64::try_from(value) {
            Ok(value) => Box::new(CelInt::from(value)),
            Err(_) => Box::new(CelUInt::from(value)),
        })
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Box::new(CelDouble::from(value)))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Box::new(CelString::from(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Box::new(CelString::from(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Self)? {
            list.push(item);
        }
        Ok(Box::new(CelList::from(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Ok(Box::new(CelMap::from(entries(map)?)))
    }
}

fn entries<'de, A: MapAccess<'de>>(
    mut map: A,
) -> Result<HashMap<CelMapKey<'de>, Boxed<'de>>, A::Error> {
    let mut entries = HashMap::new();
    while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
        entries.insert(CelMapKey::from(name.into_owned()), map.next_value_seed(Value)?);
    }
    Ok(entries)
}

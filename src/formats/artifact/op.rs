//! Operators as plain data: the keyword, and the attributes of its schema by key.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ir::ops::{AttrValue, Attributes, Kind, find};
use crate::ir::{Elementwise, Op, Shape};

/// An operator in a header.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredOp {
    op: String,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    attributes: Map<String, Value>,
    /// The shape of an input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shape: Option<Shape>,
    /// A function of each element.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    function: Option<Arc<Elementwise>>,
}

/// The keyword of an input.
const INPUT: &str = "input";

impl StoredOp {
    /// The operator as data; `None` if no source declares it.
    pub fn new(op: &Op) -> Option<StoredOp> {
        let mut stored = StoredOp { op: op.word().into(), attributes: Map::new(), shape: None, function: None };
        match op {
            Op::Input(shape) => stored.shape = Some(shape.clone()),
            Op::Elementwise(function) => stored.function = Some(function.clone()),
            op if op.is_declarable() => {
                stored.attributes = op.attributes().iter().map(|a| (a.attribute.key.to_owned(), json(a.value))).collect();
            }
            _ => return None,
        }
        Some(stored)
    }

    /// The operator.
    pub fn read(&self) -> Result<Op, String> {
        if let Some(function) = &self.function {
            return Ok(Op::Elementwise(function.clone()));
        }
        if let (INPUT, Some(shape)) = (self.op.as_str(), &self.shape) {
            return Ok(Op::Input(shape.clone()));
        }
        let operator = find(&self.op).ok_or_else(|| format!("`{}` is an operator that no source declares", self.op))?;
        let mut attributes = Attributes::default();
        for (key, given) in &self.attributes {
            let attribute = operator.schema.attribute(key).ok_or_else(|| format!("`{}` has no `{key}`", self.op))?;
            let value = value(attribute.kind, given);
            attributes.push(attribute.key, value.ok_or_else(|| format!("`{key}` of `{}` cannot be {given}", self.op))?);
        }
        (operator.read)(&attributes, &[]).map_err(|invalid| format!("`{}`: {}", self.op, invalid.message))
    }
}

fn json(value: AttrValue) -> Value {
    match value {
        AttrValue::Count(n) => n.into(),
        AttrValue::Size(pair) | AttrValue::Ends(pair) => serde_json::json!(pair),
        AttrValue::Sides(sides) => serde_json::json!(sides),
        AttrValue::Shape(sizes) => serde_json::json!(sizes),
        AttrValue::Factors(factors) => serde_json::json!(factors),
        AttrValue::Number(x) => x.into(),
        AttrValue::Flag(on) => on.into(),
        AttrValue::Word(word) => word.into(),
    }
}

/// The value of an attribute; `None` if it is not of its kind.
fn value(kind: Kind, json: &Value) -> Option<AttrValue> {
    fn of<T: serde::de::DeserializeOwned>(json: &Value) -> Option<T> {
        serde_json::from_value(json.clone()).ok()
    }
    let number = || json.as_f64().filter(|x| x.is_finite());
    match kind {
        Kind::Count => of(json).map(AttrValue::Count),
        Kind::WindowOr(word) if json.as_str() == Some(word) => Some(AttrValue::Word(word)),
        Kind::Size | Kind::Window | Kind::WindowOr(_) => of(json).map(AttrValue::Size),
        Kind::Sides => of(json).map(AttrValue::Sides),
        Kind::Ends => of(json).map(AttrValue::Ends),
        Kind::Shape => of(json).map(AttrValue::Shape),
        Kind::Factors => of(json).filter(|factors: &[f64; 2]| factors.iter().all(|x| x.is_finite())).map(AttrValue::Factors),
        Kind::Number => number().filter(|x| *x >= 0.0).map(AttrValue::Number),
        Kind::Probability => number().filter(|x| (0.0..=1.0).contains(x)).map(AttrValue::Number),
        Kind::Real => number().map(AttrValue::Number),
        Kind::Flag => json.as_bool().map(AttrValue::Flag),
        Kind::Word(words) => words.iter().find(|word| json.as_str() == Some(**word)).map(|word| AttrValue::Word(word)),
        Kind::Label => None,
    }
}

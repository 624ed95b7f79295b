//! All operators of the language.

use super::schema::{Attribute, Kind, Operator, Schema};
use super::value::{AttrValue, Attributes};
use super::{conv, conv_transpose, elementwise, linear, norm, pool, rearrange, reduce, shape};
use crate::ir::elementwise::{Elementwise, Number};
use crate::ir::op::Op;

/// The families, in the order of the reference.
const FAMILIES: &[&[Operator]] = &[
    conv::OPERATORS,
    conv_transpose::OPERATORS,
    norm::OPERATORS,
    elementwise::OPERATORS,
    pool::OPERATORS,
    reduce::OPERATORS,
    linear::OPERATORS,
    shape::OPERATORS,
    rearrange::OPERATORS,
];

/// All operators of the language, grouped by function.
pub fn operators() -> impl Iterator<Item = &'static Operator> {
    FAMILIES.iter().copied().flatten()
}

/// The operator with this keyword.
pub fn find(word: &str) -> Option<&'static Operator> {
    operators().find(|operator| operator.schema.word == word)
}

/// An attribute of an operator.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// Its declaration.
    pub attribute: Attribute<'a>,
    /// Its value.
    pub value: AttrValue,
    /// Whether this is the default beside the other attributes.
    pub is_default: bool,
}

impl Op {
    /// Its attributes, in the order of its schema.
    pub fn attributes(&self) -> Vec<Given<'_>> {
        if let Op::Elementwise(function) = self {
            return function.attributes();
        }
        let found = operators().find_map(|own| Some((&own.schema, (own.write)(self)?)));
        found.map_or_else(Vec::new, |(schema, values)| given(schema, &values))
    }

    /// The shortest statement of it on an operand of these channels: its word, and its attributes in the order of the schema.
    pub fn statement(&self, channels: Option<usize>) -> (&str, Vec<Given<'_>>) {
        let depthwise = match self {
            Op::Conv(conv) => channels.and_then(|channels| conv.depthwise(channels)),
            _ => None,
        };
        depthwise.map_or_else(|| (self.word(), self.attributes()), |(schema, values)| (schema.word, given(schema, &values)))
    }

    /// Its name in dumps and messages, which is its keyword in the language.
    pub fn word(&self) -> &str {
        match self {
            Op::Input(_) => "input",
            Op::Elementwise(function) => &function.name,
            Op::Train(op) => op.word(),
            Op::Custom(op) => op.0.word(),
            op => operators().find(|own| (own.write)(op).is_some()).map_or("operator", |own| own.schema.word),
        }
    }
}

/// These values as attributes of their schema.
fn given(schema: &Schema<'static>, values: &Attributes<'static>) -> Vec<Given<'static>> {
    let given = |attribute: &Attribute<'static>| {
        let value = values.value(attribute.key)?;
        Some(Given { attribute: *attribute, value, is_default: attribute.default_value(values) == Some(value) })
    };
    schema.attributes.iter().filter_map(given).collect()
}

impl Elementwise {
    /// Its numbers, as attributes.
    pub fn attributes<'a>(&'a self) -> Vec<Given<'a>> {
        let given = |number: &'a Number| Given {
            attribute: Attribute::required(&number.key, Kind::Real, "a number of the function"),
            value: number.value.into(),
            is_default: number.is_default,
        };
        self.numbers.iter().map(given).collect()
    }
}

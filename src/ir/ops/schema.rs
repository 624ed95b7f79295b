//! How an operator is declared: its word, operands and attributes, as data.
//!
//! Everything that only walks attributes is written once over a [`Schema`] and names no operator: reading a statement's arguments,
//! the dump, the decompiler's statements, the artifact, the reference in the documentation and in `resnetc explain`.

use super::value::{AttrValue, Attributes, Invalid};
use crate::ir::dim::Shape;
use crate::ir::op::Op;

/// What a statement of the language can say about an operator.
#[derive(Clone, Copy, Debug)]
pub struct Schema<'a> {
    /// The keyword.
    pub word: &'a str,
    /// A one-line description.
    pub doc: &'a str,
    /// What it reads.
    pub operands: Operands,
    /// Its attributes. Only the first one can be positional.
    pub attributes: &'a [Attribute<'a>],
    /// Attributes that exclude all others.
    pub alone: &'a [Alone],
    /// Statements with it.
    pub examples: &'a [&'a str],
}

/// The operands of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operands {
    /// The current value.
    Current,
    /// The current value and a labeled one.
    Two,
    /// The current value and one or more labeled ones.
    Several,
}

/// An attribute.
#[derive(Clone, Copy, Debug)]
pub struct Attribute<'a> {
    /// Its key.
    pub key: &'a str,
    /// What it is.
    pub kind: Kind,
    /// Its default.
    pub default: DefaultValue,
    /// What it means, in a few words.
    pub doc: &'a str,
    /// Whether a first argument without a key is this one.
    pub is_positional: bool,
    /// How a dump shows it.
    pub shown: Shown,
}

/// The kind of an attribute's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number.
    Count,
    /// A height and a width, or one number for both.
    Size,
    /// A size that is written in full: `3x3`.
    Window,
    /// A window, or this word.
    WindowOr(&'static str),
    /// Padding on each side of a feature map.
    Sides,
    /// Channels before and after.
    Ends,
    /// Channels, height and width in a list, one of which may be -1.
    Shape,
    /// Factors of a height and a width, or one for both; they may be fractions.
    Factors,
    /// A number that is not negative.
    Number,
    /// A number from 0 to 1.
    Probability,
    /// Any number.
    Real,
    /// On or off.
    Flag,
    /// One of these words.
    Word(&'static [&'static str]),
    /// The label of another value, which becomes an operand.
    Label,
}

/// What an attribute is if a statement does not give it.
#[derive(Clone, Copy, Debug)]
pub enum DefaultValue {
    /// Nothing: it must be given.
    Required,
    /// Nothing: it must be given unless another attribute replaces it, as this text says.
    RequiredUnless(&'static str),
    /// Nothing; the text says what that means.
    Absent(&'static str),
    /// This value.
    Is(AttrValue),
    /// A value that follows from other attributes.
    Rule(&'static Rule),
}

/// A default that follows from other attributes, which have no rule themselves.
#[derive(Debug)]
pub struct Rule {
    /// In words.
    pub text: &'static str,
    /// The value; `None` if they have none.
    pub value: fn(&Attributes<'_>) -> Option<AttrValue>,
    /// Why the attribute must be given where it has no value.
    pub missing: &'static str,
}

/// How a dump shows an attribute. What a source leaves out depends on the default alone, except for [`Shown::Everywhere`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shown {
    /// With its key, if it is not the default.
    WithKey,
    /// Without its key.
    Bare,
    /// With its key, even if it is the default.
    Always,
    /// With its key, unless it is this value.
    Unless(AttrValue),
    /// In dumps and sources, even if it is the default.
    Everywhere,
}

/// An attribute that excludes all others, if it has this word; whatever its value where there is none.
#[derive(Clone, Copy, Debug)]
pub struct Alone {
    /// Its key.
    pub key: &'static str,
    /// The word.
    pub word: Option<&'static str>,
}

/// An operator of the language: its schema, and how the attributes correspond to an [`Op`].
#[derive(Clone, Copy, Debug)]
pub struct Operator {
    /// Its schema.
    pub schema: Schema<'static>,
    /// The operator with these attributes, for operands of these shapes.
    pub read: fn(&Attributes<'_>, &[Shape]) -> Result<Op, Invalid>,
    /// The attributes of an operator; `None` if it is another one. A function of each element states its own ([`Op::attributes`]).
    pub write: fn(&Op) -> Option<Attributes<'static>>,
}

impl<'a> Schema<'a> {
    /// An operator on the current value.
    pub const fn new(word: &'a str, doc: &'a str, attributes: &'a [Attribute<'a>]) -> Schema<'a> {
        Schema { word, doc, operands: Operands::Current, attributes, alone: &[], examples: &[] }
    }

    /// One that joins values.
    pub const fn joins(self, operands: Operands) -> Schema<'a> {
        Schema { operands, ..self }
    }

    /// With attributes that exclude all others.
    pub const fn alone(self, alone: &'a [Alone]) -> Schema<'a> {
        Schema { alone, ..self }
    }

    /// With statements that show it.
    pub const fn examples(self, examples: &'a [&'a str]) -> Schema<'a> {
        Schema { examples, ..self }
    }

    /// The attribute of this key.
    pub fn attribute(&self, key: &str) -> Option<&'a Attribute<'a>> {
        self.attributes.iter().find(|attribute| attribute.key == key)
    }

    /// The key of a first argument without one.
    pub fn positional(&self) -> Option<&'a str> {
        self.attributes.first().filter(|first| first.is_positional).map(|first| first.key)
    }

    /// Whether it joins the current value with labeled ones.
    pub fn is_join(&self) -> bool {
        self.operands != Operands::Current
    }
}

impl<'a> Attribute<'a> {
    const fn new(key: &'a str, kind: Kind, default: DefaultValue, doc: &'a str) -> Attribute<'a> {
        Attribute { key, kind, default, doc, is_positional: false, shown: Shown::WithKey }
    }

    /// An attribute that must be given.
    pub const fn required(key: &'a str, kind: Kind, doc: &'a str) -> Attribute<'a> {
        Attribute::new(key, kind, DefaultValue::Required, doc)
    }

    /// An attribute that must be given unless another one replaces it.
    pub const fn required_unless(key: &'a str, kind: Kind, unless: &'static str, doc: &'a str) -> Attribute<'a> {
        Attribute::new(key, kind, DefaultValue::RequiredUnless(unless), doc)
    }

    /// An attribute without a default.
    pub const fn optional(key: &'a str, kind: Kind, otherwise: &'static str, doc: &'a str) -> Attribute<'a> {
        Attribute::new(key, kind, DefaultValue::Absent(otherwise), doc)
    }

    /// An attribute with a default.
    pub const fn with_default(key: &'a str, kind: Kind, default: AttrValue, doc: &'a str) -> Attribute<'a> {
        Attribute::new(key, kind, DefaultValue::Is(default), doc)
    }

    /// An attribute whose default follows from others.
    pub const fn with_rule(key: &'a str, kind: Kind, rule: &'static Rule, doc: &'a str) -> Attribute<'a> {
        Attribute::new(key, kind, DefaultValue::Rule(rule), doc)
    }

    /// A first argument without a key is this one.
    pub const fn positional(self) -> Attribute<'a> {
        Attribute { is_positional: true, ..self }
    }

    /// How a dump shows it.
    pub const fn shown(self, shown: Shown) -> Attribute<'a> {
        Attribute { shown, ..self }
    }

    /// Its default beside these other attributes.
    pub fn default_value(&self, others: &Attributes<'_>) -> Option<AttrValue> {
        match self.default {
            DefaultValue::Is(value) => Some(value),
            DefaultValue::Rule(rule) => (rule.value)(others),
            DefaultValue::Required | DefaultValue::RequiredUnless(_) | DefaultValue::Absent(_) => None,
        }
    }

    /// Its default, in words; `None` if it must be given.
    pub fn default_text(&self) -> Option<String> {
        match self.default {
            DefaultValue::Required => None,
            DefaultValue::RequiredUnless(text) | DefaultValue::Absent(text) => Some(text.to_owned()),
            DefaultValue::Is(value) => Some(value.to_string()),
            DefaultValue::Rule(rule) => Some(rule.text.to_owned()),
        }
    }
}

impl Kind {
    /// What it takes, in words.
    pub fn takes(self) -> String {
        match self {
            Kind::Count => "a whole number".to_owned(),
            Kind::Size | Kind::Window => "a size".to_owned(),
            Kind::WindowOr(word) => format!("a size, or `{word}`"),
            Kind::Sides => "a size, or [top, bottom, left, right]".to_owned(),
            Kind::Ends => "[before, after]".to_owned(),
            Kind::Shape => "[channels, height, width]".to_owned(),
            Kind::Factors => "a number, a size, or [height, width]".to_owned(),
            Kind::Number | Kind::Real => "a number".to_owned(),
            Kind::Probability => "a number from 0 to 1".to_owned(),
            Kind::Flag => "true or false".to_owned(),
            Kind::Word(words) => one_of(words),
            Kind::Label => "a label".to_owned(),
        }
    }

    /// Whether it is a height and a width.
    pub fn is_size(self) -> bool {
        matches!(self, Kind::Size | Kind::Window | Kind::WindowOr(_) | Kind::Sides)
    }
}

/// `a`, `b` or `c`.
fn one_of(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match &words[..] {
        [others @ .., last] if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => words.concat(),
    }
}

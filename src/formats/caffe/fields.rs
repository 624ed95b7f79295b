//! Reads the fields of messages by name and type.

use crate::ir::Pair;
use crate::syntax::prototxt::{Field, Message, Value};

/// The largest number that a size may be, far above any use.
const MAX_SIZE: usize = 1 << 24;

/// The fields of a message; none where the message is not stated.
#[derive(Clone, Copy)]
pub(super) struct Fields<'m>(pub Option<&'m Message<'m>>);

impl<'m> Fields<'m> {
    /// The fields of this name, in order.
    pub fn all(self, name: &str) -> impl Iterator<Item = &'m Field<'m>> {
        self.0.into_iter().flat_map(|message| &message.fields).filter(move |field| field.name == name)
    }

    /// The field of this name; the last one, as in Protocol Buffers.
    fn last(self, name: &str) -> Option<&'m Field<'m>> {
        self.all(name).last()
    }

    /// The message of this name.
    pub fn message(self, name: &str) -> Fields<'m> {
        Fields(self.last(name).and_then(|field| match &field.value {
            Value::Message(message) => Some(message),
            Value::Text(_) | Value::Word(_) => None,
        }))
    }

    /// All messages of this name.
    pub fn messages(self, name: &str) -> impl Iterator<Item = Fields<'m>> {
        self.all(name).filter_map(|field| match &field.value {
            Value::Message(message) => Some(Fields(Some(message))),
            Value::Text(_) | Value::Word(_) => None,
        })
    }

    /// The text or the word of this name.
    pub fn word(self, name: &str) -> Option<&'m str> {
        self.last(name).and_then(Field::word)
    }

    /// The texts or words of this name.
    pub fn words(self, name: &str) -> impl Iterator<Item = &'m str> {
        self.all(name).filter_map(Field::word)
    }

    /// Numbers of this name.
    pub fn sizes(self, name: &str) -> Result<Vec<usize>, String> {
        let read = |word: &str| match word.parse::<usize>() {
            Ok(size) if size <= MAX_SIZE => Ok(size),
            _ => Err(format!("its `{name}` is `{word}`, but must be a number from 0 to {MAX_SIZE}")),
        };
        self.all(name).map(|field| read(field.word().unwrap_or("{…}"))).collect()
    }

    /// A number that may be left out.
    pub fn size(self, name: &str) -> Result<Option<usize>, String> {
        Ok(self.sizes(name)?.pop())
    }

    /// An integer, which may be negative.
    pub fn int(self, name: &str, default: i64) -> Result<i64, String> {
        let Some(word) = self.word(name) else { return Ok(default) };
        word.parse().map_err(|_| format!("its `{name}` is `{word}`, but must be an integer"))
    }

    /// Real numbers of this name.
    pub fn floats(self, name: &str) -> Result<Vec<f32>, String> {
        let read = |word: &str| match word.trim_end_matches(['f', 'F']).parse::<f32>() {
            Ok(value) if value.is_finite() => Ok(value),
            _ => Err(format!("its `{name}` is `{word}`, but must be a number")),
        };
        self.all(name).map(|field| read(field.word().unwrap_or("{…}"))).collect()
    }

    /// A real number.
    pub fn float(self, name: &str, default: f32) -> Result<f32, String> {
        Ok(self.floats(name)?.pop().unwrap_or(default))
    }

    /// `true` or `false`.
    pub fn flag(self, name: &str, default: bool) -> Result<bool, String> {
        match self.word(name) {
            None => Ok(default),
            Some("true" | "True" | "t" | "1") => Ok(true),
            Some("false" | "False" | "f" | "0") => Ok(false),
            Some(word) => Err(format!("its `{name}` is `{word}`, but must be `true` or `false`")),
        }
    }

    /// A height and a width: one number for both or two, or a number each with `_h` and `_w` at the end of `short`.
    pub fn pair(self, name: &str, short: &str, default: usize) -> Result<Pair, String> {
        let [height, width] = [self.size(&format!("{short}_h"))?, self.size(&format!("{short}_w"))?];
        match self.sizes(name)?[..] {
            [] => Ok([height.unwrap_or(default), width.unwrap_or(default)]),
            [both] => Ok([both; 2]),
            [height, width] => Ok([height, width]),
            _ => Err(format!("its `{name}` has more than two numbers, but feature maps have a height and a width")),
        }
    }
}

impl<'m> Field<'m> {
    /// The text or the word; `None` for a message.
    pub(super) fn word(&'m self) -> Option<&'m str> {
        match &self.value {
            Value::Text(text) => Some(text),
            Value::Word(word) => Some(word),
            Value::Message(_) => None,
        }
    }
}

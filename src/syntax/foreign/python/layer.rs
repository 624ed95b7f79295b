//! How a layer of PyTorch or Keras is described, and how its arguments become a statement's.

use super::tree::{Argument as Given, Expr};
use super::value::{Reader, Written, truth};

/// A layer or function of PyTorch or Keras.
#[derive(Clone, Copy)]
pub struct Layer {
    /// Its names there: of the class and of the function.
    pub names: &'static [&'static str],
    /// Its parameters in order, as far as arguments go without their names; a function's after the value.
    pub parameters: &'static [&'static str],
    /// What it is here.
    pub own: Own,
}

/// What a layer is here.
#[derive(Clone, Copy)]
pub enum Own {
    /// This statement, with these arguments in this order.
    Statement(&'static str, &'static [Argument]),
    /// Statements that depend on more than single arguments.
    Statements(fn(&mut Arguments) -> Option<Vec<String>>),
}

/// An argument of a statement.
#[derive(Clone, Copy)]
pub struct Argument {
    /// Our key; empty for the first argument, which goes without.
    pub key: &'static str,
    /// The parameters that it is there.
    pub theirs: &'static [&'static str],
    pub value: Reader,
    /// What is written if it is not given: their default, where ours differs. `None` if it must be given.
    pub otherwise: Option<&'static str>,
}

/// An argument that must be given.
pub const fn required(key: &'static str, theirs: &'static [&'static str], value: Reader) -> Argument {
    Argument { key, theirs, value, otherwise: None }
}

/// An argument with the same default there and here.
pub const fn optional(key: &'static str, theirs: &'static [&'static str], value: Reader) -> Argument {
    Argument { key, theirs, value, otherwise: Some("") }
}

impl Argument {
    /// One whose default there is written out here.
    pub const fn or(self, default: &'static str) -> Argument {
        Argument { otherwise: Some(default), ..self }
    }
}

/// What a layer there always does, and ours only with this argument.
pub const fn always(argument: &'static str) -> Argument {
    Argument { key: "", theirs: &[], value: truth, otherwise: Some(argument) }
}

/// Arguments that change nothing here: what is inferred, and how it is computed.
const WITHOUT_EFFECT: &[&str] = &[
    "in_channels",
    "in_features",
    "in_planes",
    "num_features",
    "num_channels",
    "inplace",
    "name",
    "input_shape",
    "device",
    "dtype",
    "return_indices",
    "recompute_scale_factor",
];

/// The arguments of a call, by the names of their parameters.
pub struct Arguments<'e, 'a> {
    list: Vec<(&'a str, &'e Expr<'a>)>,
    /// Whether every value so far was written out.
    pub is_literal: bool,
}

impl<'e, 'a> Arguments<'e, 'a> {
    /// `None` if there are more than parameters.
    pub fn read(given: &'e [Given<'a>], parameters: &[&'a str]) -> Option<Arguments<'e, 'a>> {
        let keyed = |(i, argument): (usize, &'e Given<'a>)| match argument.key {
            Some(key) => Some((key, &argument.value)),
            None => Some((*parameters.get(i)?, &argument.value)),
        };
        let list = given.iter().enumerate().map(keyed).collect::<Option<Vec<_>>>()?;
        Some(Arguments { list, is_literal: true })
    }

    /// Takes the argument of these names.
    pub fn take(&mut self, names: &[&str]) -> Option<&'e Expr<'a>> {
        let at = self.list.iter().position(|(name, _)| names.contains(name))?;
        Some(self.list.remove(at).1)
    }

    /// Takes an argument that must have one of these values, given or not, to be left out here.
    pub fn leave_out(&mut self, name: &str, values: &[&str]) -> Option<()> {
        self.take(&[name]).is_none_or(|value| values.contains(&value.text)).then_some(())
    }

    /// The names of the arguments that are left.
    pub fn names(&self) -> impl Iterator<Item = &'a str> + '_ {
        self.list.iter().map(|(name, _)| *name)
    }

    /// A value in our notation.
    pub fn value(&mut self, value: &Expr, read: Reader) -> Option<String> {
        let Written { text, is_literal } = read(value)?;
        self.is_literal &= is_literal;
        Some(text)
    }

    /// An argument in our notation, `key: value`, or its default; `None` if it has no counterpart.
    pub fn argument(&mut self, argument: &Argument) -> Option<String> {
        let Some(given) = self.take(argument.theirs) else { return argument.otherwise.map(str::to_owned) };
        let value = self.value(given, argument.value)?;
        Some(match argument.key {
            "" => value,
            // a bare name is short for `name: name`
            key if key == value => value,
            key => format!("{key}: {value}"),
        })
    }

    /// A statement with these arguments.
    pub fn statement(&mut self, word: &str, arguments: &[Argument]) -> Option<String> {
        let list = arguments.iter().map(|argument| self.argument(argument)).collect::<Option<Vec<_>>>()?;
        Some(statement(word, list))
    }

    /// Whether nothing is left that changes what is computed.
    pub fn done(&self) -> Option<()> {
        self.list.iter().all(|(name, _)| WITHOUT_EFFECT.contains(name)).then_some(())
    }
}

/// `conv 3x3, filters: 64`; arguments that are not written are empty.
pub fn statement(word: &str, arguments: impl IntoIterator<Item = String>) -> String {
    let mut line = word.to_owned();
    let mut separator = if word.contains(' ') { ", " } else { " " };
    for argument in arguments.into_iter().filter(|argument| !argument.is_empty()) {
        line += separator;
        line += &argument;
        separator = ", ";
    }
    line
}

/// The statements of a layer with these arguments, and whether all of its values are written out.
pub fn statements(layer: &Layer, given: &[Given]) -> Option<(Vec<String>, bool)> {
    let mut arguments = Arguments::read(given, layer.parameters)?;
    let lines = match layer.own {
        Own::Statement(word, list) => vec![arguments.statement(word, list)?],
        Own::Statements(write) => write(&mut arguments)?,
    };
    arguments.done()?;
    Some((lines, arguments.is_literal))
}

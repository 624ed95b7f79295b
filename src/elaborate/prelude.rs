//! The functions that every file has, as operators: importers recognize them, and exporters ask whether a function is one.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use super::Program;
use super::apply::operator;
use super::function::{Functions, Role};
use crate::base::decimal::decimal;
use crate::base::file_system::MemoryFiles;
use crate::base::source::{SourceFile, SourceMap};
use crate::ir::{Elementwise, Number};
use crate::syntax::prelude;

/// A file without content, which has these functions.
static PROGRAM: LazyLock<Program> = LazyLock::new(|| {
    let file = SourceFile { name: "prelude".to_owned(), path: None, text: "resnet 1\n".into() };
    Program::from_source(file, Arc::new(MemoryFiles::default()), &mut SourceMap::default(), &mut Vec::new())
});

static FUNCTIONS: LazyLock<Vec<Elementwise>> =
    LazyLock::new(|| prelude::activations().iter().filter_map(|activation| call(activation.name, &[])).collect());

/// The functions with their default numbers, in the order of their declaration.
pub fn functions() -> &'static [Elementwise] {
    &FUNCTIONS
}

/// The function of this name with these numbers, as a statement makes it; `None` if there is none.
pub fn call(name: &str, numbers: &[(&str, f32)]) -> Option<Elementwise> {
    let id = PROGRAM.prelude(name)?;
    let signature = PROGRAM.functions.get(&id)?.as_ref()?;
    let index = |key: &str| signature.parameters.iter().position(|p| p.role == Role::Number && p.name.node == key);
    let given: Option<BTreeMap<usize, f64>> = numbers.iter().map(|(key, value)| Some((index(key)?, decimal(*value)))).collect();
    let (mut diags, work) = (Vec::new(), Cell::new(0));
    let compiled = Functions::new(&PROGRAM, &mut diags, &work).compile(id, signature, &given?)?;
    Some(operator(name, signature, compiled))
}

/// Whether a function with these operands and numbers is one of these, rather than one of the same name in a file.
pub fn contains(function: &Elementwise) -> bool {
    let given: Vec<(&str, f32)> = function.given().map(|Number { key, value, .. }| (key.as_str(), *value)).collect();
    call(&function.name, &given).is_some_and(|known| known == *function)
}

/// The numbers of the function of this name.
pub fn keys(name: &str) -> impl Iterator<Item = &'static str> {
    prelude::find(name).into_iter().flat_map(|activation| activation.keys().map(|(key, _)| key))
}

/// Whether there is a function of this name.
pub fn has(name: &str) -> bool {
    prelude::find(name).is_some()
}

//! The functions that every file has, as operators: importers recognize them, and exporters ask whether a function is one.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use super::Program;
use crate::base::file_system::MemoryFiles;
use crate::base::source::{SourceFile, SourceMap};
use crate::ir::{Elementwise, Number};

/// A call, by the name of the function and the bits of its numbers.
type Call = (String, Vec<(String, u32)>);

/// The calls so far. They recur: the same activation follows each layer of a network.
static CALLS: LazyLock<Mutex<HashMap<Call, Option<Arc<Elementwise>>>>> = LazyLock::new(Mutex::default);

static FUNCTIONS: LazyLock<Vec<Arc<Elementwise>>> =
    LazyLock::new(|| NAMES.iter().filter_map(|name| call(name, &[])).collect());

const NAMES: &[&str] = &["relu", "sigmoid"];

/// The functions of one value, with their defaults.
pub fn functions() -> &'static [Arc<Elementwise>] {
    &FUNCTIONS
}

/// The function of this name with these numbers, as a statement makes it; `None` if there is none.
pub fn call(name: &str, numbers: &[(&str, f32)]) -> Option<Arc<Elementwise>> {
    let key: Call = (name.to_owned(), numbers.iter().map(|(key, value)| ((*key).to_owned(), value.to_bits())).collect());
    let known = CALLS.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
    known.unwrap_or_else(|| {
        let function = compiled(name, numbers);
        CALLS.lock().unwrap_or_else(PoisonError::into_inner).insert(key, function.clone());
        function
    })
}

/// Whether there is a function of this name.
pub fn has(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Whether an operator is a call of one of these functions, rather than of a function of the same name in a file.
pub fn contains(function: &Elementwise) -> bool {
    let given: Vec<(&str, f32)> = function.given().map(|Number { key, value, .. }| (key.as_str(), *value)).collect();
    call(&function.name, &given).is_some_and(|known| *known == *function)
}

fn compiled(name: &str, numbers: &[(&str, f32)]) -> Option<Arc<Elementwise>> {
    let mut text = format!("resnet 1\nnetwork net {{\n  input 1 x 1 x 1\n  {name}");
    for (i, (key, value)) in numbers.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        write!(text, "{comma} {key}: {value:?}").ok()?;
    }
    text.push_str("\n}\n");
    let (mut sources, mut diags) = (SourceMap::default(), Vec::new());
    let file = SourceFile { name: "prelude".to_owned(), path: None, text: text.into() };
    let program = Program::from_source(file, Arc::new(MemoryFiles::default()), &mut sources, &mut diags);
    let network = program.elaborate("net", &[], &mut sources, &mut diags)?;
    let (_, value) = network.graph.outputs().first()?;
    network.graph.node(value.node).op.as_elementwise().filter(|_| diags.is_empty()).cloned()
}

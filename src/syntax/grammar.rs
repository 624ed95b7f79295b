//! The parser that pest generates from `grammar/resnet.pest`.

// The code that pest generates has no documentation.
#![allow(missing_docs)]

use pest_derive::Parser;

#[derive(Parser)]
#[grammar = "../grammar/resnet.pest"]
pub(super) struct Grammar;

//! The parser that pest makes of `grammar/resnet.pest`.

// What pest generates holds nothing to document.
#![allow(missing_docs)]

use pest_derive::Parser;

#[derive(Parser)]
#[grammar = "../grammar/resnet.pest"]
pub(super) struct Grammar;

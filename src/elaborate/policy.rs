//! A shortcut policy as a value.

use std::sync::Arc;

use super::value::Unit;
use crate::base::source::Span;
use crate::ir::Shortcut;

/// A policy as stated.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    pub kind: Shortcut,
    /// The block of a projection, if stated.
    pub unit: Option<Arc<Unit>>,
    /// Where the policy is stated.
    pub span: Option<Span>,
}

impl Policy {
    /// `identity`, the default, which never adds parameters.
    pub const DEFAULT: Policy = Policy { kind: Shortcut::Identity, unit: None, span: None };
}

//! `parallel … split`: the share of the channels that each arm reads.

use super::expand::{Cx, Expander};
use super::value::Value;
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::Span;
use crate::ir::{self, Op};
use crate::syntax::ast::{Expr, Split};

impl Expander<'_> {
    /// The value that each arm reads; `None` after a reported error.
    pub(super) fn shares(
        &mut self,
        split: &Split,
        arms: usize,
        value: Option<ir::Value>,
        span: Span,
        cx: &Cx,
    ) -> Vec<Option<ir::Value>> {
        let none = vec![None; arms];
        let Some(value) = value else { return none };
        let Some(channels) = self.shape(value).channels() else { return none };
        let counts = match &split.shares {
            Some(list) => self.listed(list, arms, channels, cx),
            None => self.equal(split.span, arms, channels),
        };
        let Some(counts) = counts else { return none };
        let mut start = 0;
        let mut slice = |count: usize| {
            let name = self.scope().count("slice");
            let share = self.node(Op::Slice(start..start + count), name, span, cx.frame, &[value]);
            start += count;
            Some(share)
        };
        counts.into_iter().map(&mut slice).collect()
    }

    fn equal(&mut self, span: Span, arms: usize, channels: usize) -> Option<Vec<usize>> {
        if arms > 0 && channels.is_multiple_of(arms) {
            return Some(vec![channels / arms; arms]);
        }
        let message = format!("{channels} channels cannot be split equally among {arms} arms");
        let each = channels / arms.max(1);
        let mut list = vec![each; arms];
        if let Some(last) = list.last_mut() {
            *last += channels - each * arms;
        }
        let mut diag = Diagnostic::error(codes::SIZES, message, span, format!("the value has {channels} channels"))
            .rule("each arm of a `split` reads as many channels as the others, or as many as a list says");
        if each > 0 {
            let list: Vec<String> = list.iter().map(usize::to_string).collect();
            diag = diag.help(format!("`split: [{}]` gives the rest to the last arm", list.join(", ")));
        }
        self.error(diag);
        None
    }

    fn listed(&mut self, list: &Expr, arms: usize, channels: usize, cx: &Cx) -> Option<Vec<usize>> {
        let value = self.eval(list, &cx.env);
        let is_share = |item: &Value| match item {
            Value::Int(n) => usize::try_from(*n).ok().filter(|&n| n > 0),
            _ => None,
        };
        let counts: Option<Vec<usize>> = match &value {
            Value::List(items) => items.iter().map(is_share).collect(),
            _ => None,
        };
        let Some(counts) = counts else {
            self.evaluator().mismatch("a list of the channels of each arm", &value, list.span);
            return None;
        };
        if counts.len() != arms {
            let message = format!("{} shares for {arms} arms", counts.len());
            let diag = Diagnostic::error(codes::SIZES, message, list.span, "one for each arm is needed");
            self.error(diag.rule("each arm of a `split` reads its own share of the channels"));
            return None;
        }
        let sum = counts.iter().fold(0usize, |sum, &count| sum.saturating_add(count));
        if sum != channels {
            self.error(wrong_sum(&counts, sum, channels, list.span));
            return None;
        }
        Some(counts)
    }
}

/// The error for shares that do not add up to the channels.
fn wrong_sum(counts: &[usize], sum: usize, channels: usize, span: Span) -> Diagnostic {
    let terms: Vec<String> = counts.iter().map(usize::to_string).collect();
    let message = format!("the shares {} add up to {sum}, but the value has {channels} channels", terms.join(" + "));
    let (what, by) = if sum > channels { ("more", sum - channels) } else { ("fewer", channels - sum) };
    let diag = Diagnostic::error(codes::SIZES, message, span, format!("{by} {what} than there are"))
        .rule("every channel belongs to one arm of a `split`");
    let Some((last, others)) = counts.split_last() else { return diag };
    match channels.checked_sub(sum - last) {
        Some(rest) if rest > 0 => {
            let list: Vec<String> = others.iter().chain([&rest]).map(usize::to_string).collect();
            diag.help(format!("`split: [{}]` adds up to {channels}", list.join(", ")))
        }
        _ => diag,
    }
}

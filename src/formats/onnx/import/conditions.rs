//! Imports comparisons, which are part of the selections that read them: the language has no values that are true or false.

use super::Importer;
use super::call::Call;
use super::dispatch::ImportResult;
use super::flow::Flow;
use super::values::{Condition, Known, Term};
use crate::elementwise::{Builder, Comparison, Register};

/// The maximum number of comparisons of a condition.
const MAX_COMPARISONS: usize = 32;

impl Condition {
    /// The operands of its comparisons, in order.
    fn terms(&self, list: &mut Vec<Term>) {
        match self {
            Condition::Compare(_, sides) => list.extend(sides.iter().cloned()),
            Condition::Not(inner) => inner.terms(list),
            Condition::And(parts) | Condition::Or(parts) => parts.iter().for_each(|part| part.terms(list)),
        }
    }

    fn comparisons(&self) -> usize {
        match self {
            Condition::Compare(..) => 1,
            Condition::Not(inner) => inner.comparisons(),
            Condition::And(parts) | Condition::Or(parts) => parts.iter().map(Condition::comparisons).sum(),
        }
    }

    /// `then` if it holds, else `otherwise`. `sides` are the registers of its operands, in order.
    fn select(&self, b: &mut Builder, sides: &[Register], then: Register, otherwise: Register) -> Register {
        match self {
            Condition::Compare(test, _) => match sides {
                [left, right, ..] => b.select(*test, *left, *right, then, otherwise),
                _ => otherwise,
            },
            Condition::Not(inner) => inner.select(b, sides, otherwise, then),
            Condition::And(parts) => {
                let (first, second) = sides.split_at(2 * parts[0].comparisons());
                let inner = parts[1].select(b, second, then, otherwise);
                parts[0].select(b, first, inner, otherwise)
            }
            Condition::Or(parts) => {
                let (first, second) = sides.split_at(2 * parts[0].comparisons());
                let inner = parts[1].select(b, second, then, otherwise);
                parts[0].select(b, first, then, inner)
            }
        }
    }
}

impl Importer<'_> {
    /// A comparison of two operands.
    pub(super) fn comparison(&mut self, call: &Call<'_>) -> ImportResult<Known> {
        let test = match call.node.op_type() {
            "Less" => Comparison::Less,
            "LessOrEqual" => Comparison::LessEqual,
            "Greater" => Comparison::Greater,
            "GreaterOrEqual" => Comparison::GreaterEqual,
            _ => Comparison::Equal,
        };
        let sides = [self.term(call, 0)?, self.term(call, 1)?];
        Ok(Known::Condition(Condition::Compare(test, Box::new(sides))))
    }

    /// Whether each element is NaN.
    pub(super) fn is_nan(&mut self, call: &Call<'_>) -> ImportResult<Known> {
        let x = self.term(call, 0)?;
        Ok(Known::Condition(Condition::Compare(Comparison::NotEqual, Box::new([x.clone(), x]))))
    }

    /// `Not`, `And` and `Or`.
    pub(super) fn logic(&mut self, call: &Call<'_>) -> ImportResult<Known> {
        let condition = match call.node.op_type() {
            "Not" => Condition::Not(Box::new(self.condition(call, 0)?)),
            op => {
                let parts = Box::new([self.condition(call, 0)?, self.condition(call, 1)?]);
                if op == "And" { Condition::And(parts) } else { Condition::Or(parts) }
            }
        };
        if condition.comparisons() > MAX_COMPARISONS {
            return Err(format!("it depends on more than {MAX_COMPARISONS} comparisons"));
        }
        Ok(Known::Condition(condition))
    }

    fn condition(&self, call: &Call<'_>, slot: usize) -> ImportResult<Condition> {
        match self.known(call, slot) {
            Some(Known::Condition(condition)) => Ok(condition.clone()),
            _ => Err(format!("its operand {slot} is not a comparison of values")),
        }
    }

    /// A choice between two operands.
    pub(super) fn choice(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        let condition = self.condition(call, 0)?;
        let branches = [self.term(call, 1)?, self.term(call, 2)?];
        self.select(call, &condition, branches)
    }

    /// A condition as a number: 1 if it holds.
    pub(super) fn truth(&mut self, call: &Call<'_>, condition: &Condition) -> ImportResult<Flow> {
        self.select(call, condition, [Term::Number(1.0), Term::Number(0.0)])
    }

    fn select(&mut self, call: &Call<'_>, condition: &Condition, branches: [Term; 2]) -> ImportResult<Flow> {
        let mut terms = branches.to_vec();
        condition.terms(&mut terms);
        self.pointwise(call, "choose", &terms, |b, registers| match registers {
            [then, otherwise, sides @ ..] => condition.select(b, sides, *then, *otherwise),
            _ => 0,
        })
    }
}

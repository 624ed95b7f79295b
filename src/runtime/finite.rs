//! Finds where values stop being finite, for networks that output NaN.

use std::collections::BTreeSet;

use thiserror::Error;

use crate::ir::{ParamRole, of_norm};
use crate::plan::{Plan, Step, WeightSource};

/// The first non-finite values, in execution order.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotFinite {
    /// In an input.
    #[error("the input `{name}` holds {value} (sample {sample} of the batch, counted from 0)")]
    Input {
        /// Its name.
        name: String,
        /// The first sample of the batch with such a value, 0-based.
        sample: usize,
        /// `NaN`, `inf` or `-inf`.
        value: String,
    },
    /// In a weight tensor.
    #[error("the weights are not finite: {what}")]
    Weight {
        /// Its full name: `layer1.0.conv1.weight`.
        name: String,
        /// A description of the problem.
        what: String,
    },
    /// In the output of a layer whose weights and inputs are finite.
    #[error("`{name}` is the first layer whose output is not finite; its input and weights are, so its values overflow")]
    Layer {
        /// The layer, or another node of the graph.
        name: String,
    },
}

/// Whether all values are finite.
pub(crate) fn all_finite(values: &[f32]) -> bool {
    // no branch per value, so that the loop is vectorized
    values.chunks(4096).all(|piece| piece.iter().fold(true, |all, v| all & v.is_finite()))
}

/// Checks an input with `samples` samples.
pub(super) fn of_input(name: &str, values: &[f32], samples: usize) -> Option<NotFinite> {
    if all_finite(values) {
        return None;
    }
    let at = values.iter().position(|v| !v.is_finite())?;
    let each = (values.len() / samples.max(1)).max(1);
    Some(NotFinite::Input { name: name.to_owned(), sample: at / each, value: values[at].to_string() })
}

/// Checks a weight tensor.
pub(crate) fn of_tensor(name: &str, values: &[f32]) -> Option<NotFinite> {
    let is_variance = name.strip_suffix(ParamRole::RunningVar.suffix()).is_some_and(|rest| rest.ends_with('.'));
    let what = if !all_finite(values) {
        let count = values.iter().filter(|v| !v.is_finite()).count();
        format!("`{name}` holds NaN or infinity in {count} of {} values", values.len())
    } else if let Some(low) = values.iter().find(|&&v| is_variance && v < 0.0) {
        format!("`{name}` holds a negative variance ({low})")
    } else {
        return None;
    };
    Some(NotFinite::Weight { name: name.to_owned(), what })
}

/// Determines why the output of a step is not finite although its inputs are. `weights` are the values of its weights;
/// `check` finds what is not finite in the tensor with a given name.
pub(super) fn of_step(plan: &Plan, step: &Step, weights: &[&[f32]], check: impl Fn(&str) -> Option<NotFinite>) -> NotFinite {
    let mut names = BTreeSet::new();
    for weight in step.weights.iter().map(|id| &plan.weights[id.0]) {
        match &weight.source {
            WeightSource::Param(source) | WeightSource::Transposed { param: source, .. } => source.tensors(&mut names),
            WeightSource::NormScale { norm, .. } | WeightSource::NormShift { norm, .. } => of_norm(norm, &mut names),
        }
    }
    if let Some(wrong) = names.iter().find_map(|name| check(name)) {
        return wrong;
    }
    match step.weights.iter().zip(weights).find(|(_, values)| !all_finite(values)) {
        Some((id, _)) => {
            let name = plan.weights[id.0].name.clone();
            let what = format!("`{name}` overflows when packed, with the batch norm folded in");
            NotFinite::Weight { name, what }
        }
        // in training, the statistics of a batch norm are computed by a separate step
        None => NotFinite::Layer { name: step.name.strip_suffix(".stats").unwrap_or(&step.name).to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_values_are_checked() {
        for at in [0, 4095, 4096, 9999] {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut values = vec![f32::MAX; 10_000];
                assert!(all_finite(&values));
                values[at] = bad;
                assert!(!all_finite(&values), "{at}: {bad}");
            }
        }
    }

    #[test]
    fn messages_name_the_sample_or_the_problem() {
        assert_eq!(of_input("x", &[0.0; 6], 3), None);
        let found = of_input("x", &[0.0, 1.0, 2.0, f32::NEG_INFINITY, f32::NAN, 0.0], 3);
        assert_eq!(found, Some(NotFinite::Input { name: "x".into(), sample: 1, value: "-inf".into() }));
        assert_eq!(of_tensor("bn.running_mean", &[-1.0]), None);
        let message = of_tensor("bn.running_var", &[1.0, -0.5]).unwrap().to_string();
        assert!(message.contains("`bn.running_var` holds a negative variance (-0.5)"), "{message}");
        let message = of_tensor("fc.bias", &[1.0, f32::NAN]).unwrap().to_string();
        assert!(message.contains("`fc.bias` holds NaN or infinity in 1 of 2 values"), "{message}");
    }
}

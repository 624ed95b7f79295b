//! What of a recipe can change when a run goes on.

use super::TrainError;
use crate::ir::Recipe;

/// Refuses a change that the state of a run does not fit, or that would have no effect after the first step.
pub(super) fn check(before: &Recipe, after: &Recipe) -> Result<(), TrainError> {
    let of_order = "the position in the data depends on it";
    let of_start = "it applies to the first step only";
    let of_buffers = "the optimizer's state does not fit";
    let has_momentum = |recipe: &Recipe| recipe.optimizer.momentum > 0.0;
    let fixed = [
        ("batch", before.batch != after.batch, of_order),
        ("accumulate", before.accumulate != after.accumulate, of_order),
        ("seed", before.seed != after.seed, of_order),
        ("shuffle", before.shuffle != after.shuffle, of_order),
        ("init", before.init != after.init, of_start),
        ("zero_init_residual", before.zero_init_residual != after.zero_init_residual, of_start),
        ("from", before.from != after.from, of_start),
        ("freeze", before.freeze != after.freeze, of_buffers),
        ("optimizer.momentum", has_momentum(before) != has_momentum(after), of_buffers),
    ];
    match fixed.iter().find(|(_, differs, _)| *differs) {
        Some((key, _, why)) => Err(TrainError::Recipe(format!(
            "`{key}` cannot change when a run goes on: {why}; begin a run with --weights RUN_DIR/weights.safetensors instead"
        ))),
        None => Ok(()),
    }
}

/// Refuses a length that the run already has.
pub(super) fn goes_on(step: u64, total: u64) -> Result<(), TrainError> {
    if step < total {
        return Ok(());
    }
    Err(TrainError::Recipe(format!(
        "the run has {step} steps already, and would end after {total}: give a larger number of epochs or steps"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::Count;

    #[test]
    fn a_run_can_be_longer_but_not_another() {
        let before = Recipe::default();
        let longer = Recipe { length: Count::Epochs(8), ..before.clone() };
        assert!(check(&before, &longer).is_ok());
        for (other, key) in [
            (Recipe { batch: 7, ..before.clone() }, "batch"),
            (Recipe { seed: 7, ..before.clone() }, "seed"),
            (Recipe { freeze: vec!["fc".into()], ..before.clone() }, "freeze"),
        ] {
            let error = check(&before, &other).map_err(|error| error.to_string());
            assert!(error.as_ref().is_err_and(|text| text.contains(&format!("`{key}` cannot change"))), "{error:?}");
        }
        assert!(goes_on(5, 6).is_ok() && goes_on(6, 6).is_err());
    }
}

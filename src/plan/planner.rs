//! Makes plans.

use super::layout::Layouts;
use super::strategy::ConvQuery;
use super::{ConvStrategy, Kernel, Plan, PlanError, PlanOptions, Settings, arena, concat, in_place, lower, pair, strategy};
use crate::ir::Plannable;

/// Plans an optimized network or a training step. All its sizes must be fixed.
///
/// A network as its source declares it cannot be planned:
///
/// ```compile_fail
/// # use resnetc::internal::plan::{Plan, PlanError, PlanOptions, Settings, plan};
/// # use resnetc::internal::{ir::{Canonical, Checked}, passes::{self, Optimized}};
/// fn plan_it(network: &Checked, options: &PlanOptions) -> Result<Plan, PlanError> {
///     plan(network, options, &Settings::default())
/// }
/// ```
///
/// ```
/// # use resnetc::internal::plan::{Plan, PlanError, PlanOptions, Settings, plan};
/// # use resnetc::internal::{ir::{Canonical, Checked}, passes::{self, Optimized}};
/// fn plan_it(network: &Checked, options: &PlanOptions) -> Result<Plan, PlanError> {
///     plan(&passes::inference(network.canonical()), options, &Settings::default())
/// }
/// ```
pub fn plan(network: &impl Plannable, options: &PlanOptions, settings: &Settings) -> Result<Plan, PlanError> {
    let mut plan = lower::lower(network, options, settings)?;
    for step in &mut plan.steps {
        if let Kernel::Train(train) = &mut step.kernel {
            train.precise = settings.precise;
        }
    }
    let layouts = Layouts::of(&plan);
    let convs = layouts.queries(&plan).into_iter().map(|query| (query.name, strategy::candidates(&query, options, settings)));
    let choices = strategy::choose(convs.collect(), options, settings);
    layouts.assign(&mut plan, choices)?;
    pair::join(&mut plan);
    in_place::overwrite(&mut plan);
    let views = concat::place_parts(&mut plan);
    arena::place(&mut plan, &views)?;
    Ok(plan)
}

/// For each convolution by name, the strategies worth measuring, the most promising first.
pub fn alternatives(
    network: &impl Plannable,
    options: &PlanOptions,
    settings: &Settings,
) -> Result<Vec<(String, Vec<ConvStrategy>)>, PlanError> {
    let plan = lower::lower(network, options, settings)?;
    let strategies = |query: &ConvQuery<'_>| {
        let candidates = strategy::candidates(query, options, settings);
        (query.name.to_owned(), candidates.into_iter().map(|choice| choice.strategy).collect())
    };
    Ok(Layouts::of(&plan).queries(&plan).iter().map(strategies).collect())
}

//! The two design rules of the paper (He et al. 2016, section 3.3): for the same output feature map size, the layers have the
//! same number of filters; if the feature map size is halved, the number of filters is doubled.

use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::ir::{MapRule, Network, Shape, Stage, Types};

/// Checks all stages.
pub(super) fn check(network: &Network, types: &Types, diags: &mut Vec<Diagnostic>) {
    for stage in &network.stages {
        equal_blocks(stage, types, diags);
    }
    for pair in network.stages.windows(2) {
        between(&pair[0], &pair[1], types, diags);
    }
}

/// The blocks of a stage have equal output shape.
fn equal_blocks(stage: &Stage, types: &Types, diags: &mut Vec<Diagnostic>) {
    let shape = |i: usize| stage.instances.get(i).map(|(_, value)| types.shape(*value));
    let Some(first @ Shape::Known(_)) = shape(0) else { return };
    for i in 1..stage.instances.len() {
        match shape(i) {
            Some(other @ Shape::Known(_)) if other != first => {
                diags.push(
                    Diagnostic::error(
                        codes::STAGE_BLOCKS_DIFFER,
                        format!("the blocks of stage `{}` differ: block 0 yields {first}, block {i} {other}", stage.name),
                        stage.label_span,
                        "this stage",
                    )
                    .rule("the blocks of a stage have equal output shape")
                    .help("use `repeat` instead of `stage`, which has no such rule"),
                );
                return;
            }
            Some(Shape::Known(_)) => {}
            _ => return,
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Map {
    Kept,
    Halved,
    Other,
}

fn map_change(stage: &Stage, types: &Types) -> Option<(Map, String, String)> {
    let before = types.shape(stage.input).map()?;
    let after = types.shape(stage.instances.last()?.1).map()?;
    let text = |map: &[crate::ir::Dim]| map.iter().map(ToString::to_string).collect::<Vec<_>>().join(" x ");
    let halves = |from: crate::ir::Dim, to: crate::ir::Dim| from.affine(1, 2, 0) == Some(to) || from.affine(0, 2, 0) == Some(to);
    let change = if before == after {
        Map::Kept
    } else if before.len() == after.len() && before.iter().zip(after).all(|(&from, &to)| halves(from, to)) {
        Map::Halved
    } else {
        Map::Other
    };
    Some((change, text(before), text(after)))
}

/// Whether a stage reads a map that cannot be halved.
fn is_single(stage: &Stage, types: &Types) -> bool {
    let map = types.shape(stage.input).map();
    map.is_some_and(|map| !map.is_empty() && map.iter().all(|dim| dim.fixed() == Some(1)))
}

fn between(before: &Stage, stage: &Stage, types: &Types, diags: &mut Vec<Diagnostic>) {
    let (Some((old, old_span)), Some((new, new_span))) = (before.filters, stage.filters) else { return };
    let Some((change, from, to)) = map_change(stage, types) else { return };
    let name = &stage.name;
    match change {
        Map::Halved if new != old.saturating_mul(2) && !stage.allow_halving => {
            let mut diag = Diagnostic::error(
                codes::HALVED_NOT_DOUBLED,
                if new == old {
                    format!("stage `{name}` halves the feature map but keeps {old} filters")
                } else {
                    format!("stage `{name}` halves the feature map but goes from {old} to {new} filters")
                },
                new_span,
                format!("twice {old} would be {}", old.saturating_mul(2)),
            )
            .label(old_span, format!("{old} here"));
            if let Some(span) = stage.map.1 {
                diag = diag.label(span, format!("{from} to {to}"));
            }
            diags.push(
                diag.rule(
                    "if the feature map is halved, the filters are doubled, so that a layer's cost stays the same (section 3.3)",
                )
                .fix("double the filters", new_span, "filters: double")
                .help("or add `allow halving` if this is intended"),
            );
        }
        Map::Kept if new != old && !stage.allow_doubling => {
            let advice = match stage.map {
                (MapRule::Keep, _) => "halve the feature map (`map: halve`), or add `allow doubling` if this is intended",
                (MapRule::Halve, _) if is_single(stage, types) => {
                    "a 1 x 1 feature map cannot be halved: use a larger input, halve fewer times before this stage, or add `allow doubling` \
                     if this is intended"
                }
                (MapRule::Halve, _) => {
                    "`map: halve` gives the first block `stride: 2`, but the block uses it nowhere: pass `stride` to a convolution or pool of \
                     the block, or add `allow doubling` if this is intended"
                }
            };
            diags.push(
                Diagnostic::error(
                    codes::DOUBLED_NOT_HALVED,
                    format!("stage `{name}` keeps the feature map size but goes from {old} to {new} filters"),
                    new_span,
                    format!("on a feature map of {to}"),
                )
                .label(old_span, format!("{old} here, at the same size"))
                .rule("layers with the same feature map size have the same number of filters (section 3.3)")
                .help(advice),
            );
        }
        Map::Other if !stage.allow_halving => {
            diags.push(
                Diagnostic::error(
                    codes::HALVED_NOT_DOUBLED,
                    format!("stage `{name}` changes the feature map from {from} to {to}"),
                    stage.label_span,
                    "neither kept nor halved",
                )
                .rule("from stage to stage, the feature map is kept or halved")
                .help("add `allow halving` if this is intended"),
            );
        }
        Map::Kept | Map::Halved | Map::Other => {}
    }
}
